#pragma once
/// TLS over a descriptor, as client or server, by OpenSSL. Internal to this module.

#include <openssl/types.h>

#include <memory>
#include <string>

#include "net/internal/stream.h"
#include "net/tls.h"
#include "net/tls_server.h"

typedef struct ssl_session_st SSL_SESSION;

namespace understudy::net::internal {

struct FreeSslSession {
  void operator()(SSL_SESSION* session) const;
};
using SslSession = std::unique_ptr<SSL_SESSION, FreeSslSession>;

class TlsStream final : public Stream {
 public:
  /// `host` is what the certificate must name; `session` (may be null) is offered for resumption.
  TlsStream(ReactorCore& core, const TlsClientContext& context, const std::string& host, SSL_SESSION* session);
  /// The server's end.
  TlsStream(ReactorCore& core, const TlsServerContext& context);
  ~TlsStream() override;

  /// kDone once it is complete and, for a client, the peer is verified.
  Io handshake() override;
  bool peer_speaks_http() const override { return peer_speaks_http_; }
  /// What a later connection can resume; null where the server gave nothing.
  SslSession session() const;
  bool resumed() const;

  IoResult try_read(std::span<char> into) override;
  IoResult try_write(std::span<const iovec> pieces) override;
  void end() override;
  void cut() override;
  std::string failure() const override { return failure_; }

 private:
  void attach();
  Io classify(int returned);

  SSL* ssl_;
  int error_ = 0;  // errno of the transport under it
  std::string failure_;
  bool peer_speaks_http_ = false;

  friend struct TlsBio;
};

}  // namespace understudy::net::internal
