#include "net/internal/tls_stream.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"

namespace understudy::net::internal {

namespace {

constexpr std::size_t kRecordBytes = 16 * 1024;

}  // namespace

/// Lets OpenSSL read and write through our descriptor: no SIGPIPE, no system call while it is known to be in vain.
struct TlsBio {
  static TlsStream& stream(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

  static int finish(BIO* bio, const IoResult& result, void (*set_retry)(BIO*)) {
    BIO_clear_retry_flags(bio);
    if (result.io == Io::kDone) return static_cast<int>(result.bytes);
    if (result.io == Io::kEnd) {
      BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
      return 0;
    }
    if (result.io != Io::kBroken) set_retry(bio);
    return -1;
  }
  static int read(BIO* bio, char* into, int size) {
    TlsStream& self = stream(bio);
    return finish(bio, receive(self.descriptor_, {into, static_cast<std::size_t>(size)}, self.error_),
                  [](BIO* b) { BIO_set_retry_read(b); });
  }
  static int write(BIO* bio, const char* from, int size) {
    TlsStream& self = stream(bio);
    const iovec piece{const_cast<char*>(from), static_cast<std::size_t>(size)};
    return finish(bio, transmit(self.descriptor_, {&piece, 1}, self.error_), [](BIO* b) { BIO_set_retry_write(b); });
  }
  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }
  static BIO_METHOD* method() {
    static BIO_METHOD* const kMethod = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "understudy descriptor");
      UNDERSTUDY_ASSERT(made != nullptr);
      BIO_meth_set_read(made, &TlsBio::read);
      BIO_meth_set_write(made, &TlsBio::write);
      BIO_meth_set_ctrl(made, &TlsBio::control);
      return made;
    }();
    return kMethod;
  }
};

void FreeSslSession::operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }

TlsStream::TlsStream(ReactorCore& core, const TlsClientContext& context, const std::string& host, SSL_SESSION* session)
    : Stream(core), ssl_(SSL_new(static_cast<SSL_CTX*>(context.native()))) {
  attach();
  SSL_set_connect_state(ssl_);
  in6_addr address{};
  const bool literal = ::inet_pton(AF_INET, host.c_str(), &address) == 1 || ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
  if (literal) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), host.c_str());
  } else {
    SSL_set_hostflags(ssl_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(ssl_, host.c_str());
    SSL_set_tlsext_host_name(ssl_, host.c_str());
  }
  if (session != nullptr) SSL_set_session(ssl_, session);
}

TlsStream::TlsStream(ReactorCore& core, const TlsServerContext& context) : Stream(core), ssl_(SSL_new(static_cast<SSL_CTX*>(context.native()))) {
  attach();
  SSL_set_accept_state(ssl_);
}

void TlsStream::attach() {
  BIO* bio = BIO_new(TlsBio::method());
  UNDERSTUDY_ASSERT(ssl_ != nullptr && bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
}

TlsStream::~TlsStream() {
  // Without a goodbye OpenSSL would call the session not resumable.
  if (failure_.empty() && SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
  ERR_clear_error();
  SSL_free(ssl_);
}

Io TlsStream::classify(int returned) {
  switch (SSL_get_error(ssl_, returned)) {
    case SSL_ERROR_WANT_READ: return Io::kWaitRead;
    case SSL_ERROR_WANT_WRITE: return Io::kWaitWrite;
    case SSL_ERROR_ZERO_RETURN: return Io::kEnd;
    default: break;
  }
  const long verified = SSL_get_verify_result(ssl_);
  const unsigned long code = ERR_peek_last_error();
  peer_speaks_http_ = ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST;
  if (verified != X509_V_OK && !SSL_is_init_finished(ssl_)) {
    failure_ = std::string("its certificate is not accepted: ") + X509_verify_cert_error_string(verified);
  } else if (error_ != 0) {
    failure_ = std::strerror(error_);
  } else if (code != 0) {
    const char* reason = ERR_reason_error_string(code);
    failure_ = std::string("TLS: ") + (reason != nullptr ? reason : "unknown failure");
  } else {
    failure_ = "TLS: the connection was cut";
  }
  ERR_clear_error();
  return Io::kBroken;
}

Io TlsStream::handshake() {
  ERR_clear_error();
  const int returned = SSL_do_handshake(ssl_);
  return returned == 1 ? Io::kDone : classify(returned);
}

SslSession TlsStream::session() const {
  SslSession session(SSL_get1_session(ssl_));
  if (session && SSL_SESSION_is_resumable(session.get()) == 0) session.reset();
  return session;
}

bool TlsStream::resumed() const { return SSL_session_reused(ssl_) == 1; }

IoResult TlsStream::try_read(std::span<char> into) {
  ERR_clear_error();
  std::size_t got = 0;
  const int returned = SSL_read_ex(ssl_, into.data(), into.size(), &got);
  if (returned == 1) return {Io::kDone, got};
  return {classify(returned), 0};
}

IoResult TlsStream::try_write(std::span<const iovec> pieces) {
  // One record from many pieces. A repeated call gathers the same bytes, as OpenSSL demands after "want write".
  std::array<char, kRecordBytes> record;
  std::size_t size = 0;
  for (const iovec& piece : pieces) {
    const std::size_t take = std::min(piece.iov_len, record.size() - size);
    std::memcpy(record.data() + size, piece.iov_base, take);
    size += take;
    if (size == record.size()) break;
  }
  ERR_clear_error();
  std::size_t sent = 0;
  const int returned = SSL_write_ex(ssl_, record.data(), size, &sent);
  if (returned == 1) return {Io::kDone, sent};
  return {classify(returned), 0};
}

void TlsStream::end() {
  ERR_clear_error();
  if (SSL_is_init_finished(ssl_)) SSL_shutdown(ssl_);
  ::shutdown(descriptor_.fd(), SHUT_WR);
}

void TlsStream::cut() {
  SSL_set_quiet_shutdown(ssl_, 1);
  Stream::cut();
}

}  // namespace understudy::net::internal
