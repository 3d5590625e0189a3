#include "net/tls_server.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string_view>

#include "net/internal/openssl_reason.h"

namespace understudy::net {
namespace {

using internal::openssl_reason;

constexpr std::int64_t kDayUs = 86'400'000'000;
constexpr std::int64_t kWarnDays = 14;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using PrivateKey = std::unique_ptr<EVP_PKEY, FreeKey>;

Unexpected unusable(std::string_view what, const std::string& file, std::string_view why) {
  return fail(ErrorKind::kConfig, fmt::format("the TLS {} {} cannot be used: {}", what, file, why));
}

/// Without a callback of ours OpenSSL would ask for the passphrase on the terminal.
int no_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Result<PrivateKey> read_key(const std::string& path) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "re"));
  if (!file) return unusable("key", path, std::strerror(errno));
  bool encrypted = false;
  PrivateKey key(PEM_read_PrivateKey(file.get(), nullptr, &no_passphrase, &encrypted));
  const std::string reason = key ? "" : openssl_reason();
  if (encrypted) return unusable("key", path, "it is encrypted; take the passphrase off (openssl pkey -in FILE -out NEW) and let only the gateway's user read it");
  if (!key) return unusable("key", path, "it holds no private key in PEM form (" + reason + ")");
  return key;
}

std::int64_t unix_us(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return static_cast<std::int64_t>(::timegm(&parts)) * 1'000'000;
}

std::string day(std::int64_t us) {
  const std::time_t seconds = us / 1'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

std::vector<std::string> date_warnings(const X509* certificate, const std::string& file, WallTime now) {
  const std::int64_t from = unix_us(X509_get0_notBefore(certificate));
  const std::int64_t until = unix_us(X509_get0_notAfter(certificate));
  const std::string which = fmt::format("the TLS certificate {} ", file);
  if (until < now.us) return {fmt::format("{}expired on {}: clients refuse it; put a new one in its place and reload", which, day(until))};
  if (from > now.us) return {fmt::format("{}is not valid before {}: clients refuse it until then", which, day(from))};
  if (until < now.us + kWarnDays * kDayUs) return {fmt::format("{}expires on {}; put a new one in its place and reload", which, day(until))};
  return {};
}

/// Of what the client can speak we speak HTTP/1.1; where that is not among it, no connection is better than a misunderstanding.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered, unsigned offered_size, void*) {
  static constexpr unsigned char kOurs[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, size, kOurs, sizeof kOurs - 1, offered, offered_size) != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<std::shared_ptr<const TlsServerContext>> TlsServerContext::create(const std::string& cert_file, const std::string& key_file, WallTime now) {
  ERR_clear_error();
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr) return fail(ErrorKind::kConfig, "OpenSSL cannot be set up: " + openssl_reason());
  std::shared_ptr<TlsServerContext> out(new TlsServerContext(context));
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets carry the sessions
  SSL_CTX_set_alpn_select_cb(context, &choose_protocol, nullptr);

  if (!std::unique_ptr<std::FILE, CloseFile>(std::fopen(cert_file.c_str(), "re"))) return unusable("certificate", cert_file, std::strerror(errno));
  if (SSL_CTX_use_certificate_chain_file(context, cert_file.c_str()) != 1) {
    return unusable("certificate", cert_file, openssl_reason() + "; it must hold the certificate in PEM form, then those between it and the authority");
  }
  auto key = read_key(key_file);
  if (!key) return fail(std::move(key.error()));
  const X509* certificate = SSL_CTX_get0_certificate(context);
  if (X509_check_private_key(certificate, key->get()) != 1) {
    ERR_clear_error();
    return unusable("key", key_file, "it does not belong to the certificate " + cert_file);
  }
  if (SSL_CTX_use_PrivateKey(context, key->get()) != 1) return unusable("key", key_file, openssl_reason());
  out->warnings_ = date_warnings(certificate, cert_file, now);
  return std::shared_ptr<const TlsServerContext>(std::move(out));
}

TlsServerContext::~TlsServerContext() { SSL_CTX_free(static_cast<SSL_CTX*>(context_)); }

}  // namespace understudy::net
