#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/internal/openssl_reason.h"

namespace understudy::net {
using internal::openssl_reason;

Result<std::shared_ptr<const TlsClientContext>> TlsClientContext::create(const TlsClientOptions& options) {
  ERR_clear_error();
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (context == nullptr) return fail(ErrorKind::kConfig, "OpenSSL cannot be set up: " + openssl_reason());
  std::shared_ptr<const TlsClientContext> out(new TlsClientContext(context));
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  static constexpr unsigned char kProtocols[] = "\x08http/1.1";
  SSL_CTX_set_alpn_protos(context, kProtocols, sizeof kProtocols - 1);
  if (options.system_store && SSL_CTX_set_default_verify_paths(context) != 1) {
    return fail(ErrorKind::kConfig, "the machine's store of trusted certificates cannot be read: " + openssl_reason());
  }
  if (!options.ca_file.empty() && SSL_CTX_load_verify_file(context, options.ca_file.c_str()) != 1) {
    return fail(ErrorKind::kConfig, "certificate file " + options.ca_file + " cannot be read: " + openssl_reason());
  }
  return out;
}

TlsClientContext::~TlsClientContext() { SSL_CTX_free(static_cast<SSL_CTX*>(context_)); }

}  // namespace understudy::net
