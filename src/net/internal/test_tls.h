#pragma once
/// Certificates made on the spot, and both ends of TLS on blocking sockets, for tests.

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/internal/test_peer.h"

namespace understudy::net::internal {

struct FreeKey {
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
};
struct FreeCert {
  void operator()(X509* p) const { X509_free(p); }
};
struct FreeContext {
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
};
struct FreeSsl {
  void operator()(SSL* p) const { SSL_free(p); }
};
using TestKey = std::unique_ptr<EVP_PKEY, FreeKey>;
using TestCert = std::unique_ptr<X509, FreeCert>;

struct Identity {
  TestKey key;
  TestCert cert;
};

inline void add_extension(X509* cert, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  ASSERT_NE(extension, nullptr) << value;
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

/// A certificate for `names` ("DNS:a,IP:127.0.0.1"), signed by `authority`; without one, an authority itself.
inline Identity make_identity(const Identity* authority, const char* names, long valid_s = 3600, long since_s = 7200) {
  static std::atomic<long> serial{1};
  Identity made;
  made.key.reset(EVP_EC_gen("P-256"));
  made.cert.reset(X509_new());
  X509* cert = made.cert.get();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
  X509_gmtime_adj(X509_getm_notBefore(cert), -since_s);
  X509_gmtime_adj(X509_getm_notAfter(cert), valid_s);
  X509_set_pubkey(cert, made.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(authority != nullptr ? "leaf" : "test authority"), -1, -1, 0);
  X509* issuer = authority != nullptr ? authority->cert.get() : cert;
  X509_set_issuer_name(cert, X509_get_subject_name(issuer));
  add_extension(cert, issuer, NID_basic_constraints, authority != nullptr ? "CA:FALSE" : "critical,CA:TRUE");
  if (names != nullptr) add_extension(cert, issuer, NID_subject_alt_name, names);
  EXPECT_GT(X509_sign(cert, (authority != nullptr ? authority->key : made.key).get(), EVP_sha256()), 0);
  return made;
}

/// A file that this process can name again: the certificate, and the key where asked.
inline std::string write_pem(const std::string& name, const Identity& identity, bool key) {
  const std::string path = testing::TempDir() + "understudy_tls_" + name + std::to_string(::getpid()) + ".pem";
  std::FILE* file = std::fopen(path.c_str(), "w");
  EXPECT_NE(file, nullptr);
  if (key) {
    PEM_write_PrivateKey(file, identity.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  } else {
    PEM_write_X509(file, identity.cert.get());
  }
  std::fclose(file);
  return path;
}

/// The server's end of TLS on a blocking socket.
class TlsPeer {
 public:
  TlsPeer(SSL_CTX* context, int fd) : ssl_(SSL_new(context)) {
    SSL_set_fd(ssl_.get(), fd);
    accepted_ = SSL_accept(ssl_.get()) == 1;
    ERR_clear_error();
  }
  bool accepted() const { return accepted_; }
  bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  std::string server_name() const {
    const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
    return name != nullptr ? name : "";
  }
  std::string read_until(std::string_view end) {
    std::string out;
    char c = 0;
    while (!out.ends_with(end) && SSL_read(ssl_.get(), &c, 1) == 1) out.push_back(c);
    return out.ends_with(end) ? out : std::string();
  }
  std::string read_bytes(std::size_t count) {
    std::string out(count, '\0');
    std::size_t got = 0;
    while (got < count) {
      const int n = SSL_read(ssl_.get(), out.data() + got, static_cast<int>(count - got));
      if (n <= 0) break;
      got += static_cast<std::size_t>(n);
    }
    out.resize(got);
    return out;
  }
  void send(const std::string& bytes) { EXPECT_GT(SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())), 0); }
  void say_goodbye() { SSL_shutdown(ssl_.get()); }

 private:
  std::unique_ptr<SSL, FreeSsl> ssl_;
  bool accepted_ = false;
};

/// A client on a blocking socket: what Peer can, over TLS.
class TlsClient final : public Peer {
 public:
  /// `prepare` sets what is special about this client; `trusted` signs whom it accepts.
  TlsClient(std::uint16_t port, const Identity& trusted, const std::function<void(SSL*)>& prepare = {})
      : Peer(port), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), trusted.cert.get());
    ssl_.reset(SSL_new(context_.get()));
    SSL_set1_host(ssl_.get(), "localhost");
    SSL_set_fd(ssl_.get(), fd());
    if (prepare) prepare(ssl_.get());
    ready_ = SSL_connect(ssl_.get()) == 1;
    if (!ready_) failure_ = ERR_reason_error_string(ERR_peek_error()) != nullptr ? ERR_reason_error_string(ERR_peek_error()) : "cut";
    ERR_clear_error();
  }
  bool ready() const { return ready_; }
  const std::string& failure() const { return failure_; }
  SSL* ssl() { return ssl_.get(); }
  std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  /// After the end: whether the server said goodbye, so that nobody could have cut the answer short.
  bool ended_properly() const { return goodbye_; }

 private:
  ssize_t receive(char* into, std::size_t size) override {
    const int got = SSL_read(ssl_.get(), into, static_cast<int>(size));
    if (got <= 0) goodbye_ = SSL_get_error(ssl_.get(), got) == SSL_ERROR_ZERO_RETURN;
    ERR_clear_error();
    return got;
  }
  ssize_t transmit(const char* from, std::size_t size) override {
    const int sent = SSL_write(ssl_.get(), from, static_cast<int>(size));
    ERR_clear_error();
    return sent;
  }

  std::unique_ptr<SSL_CTX, FreeContext> context_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  bool ready_ = false;
  bool goodbye_ = false;
  std::string failure_;
};

}  // namespace understudy::net::internal
