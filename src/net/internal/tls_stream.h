#pragma once
/// TLS over a descriptor, client side, by OpenSSL. Internal to this module.

#include <openssl/types.h>

#include <memory>
#include <string>

#include "net/internal/stream.h"
#include "net/tls.h"

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
  ~TlsStream() override;

  /// Moves the handshake on; kDone once it is complete and the peer is verified.
  Io handshake();
  /// What a later connection can resume; null where the server gave nothing.
  SslSession session() const;
  bool resumed() const;

  IoResult try_read(std::span<char> into) override;
  IoResult try_write(std::span<const iovec> pieces) override;
  void end() override;
  std::string failure() const override { return failure_; }

 private:
  Io classify(int returned);

  SSL* ssl_;
  int error_ = 0;  // errno of the transport under it
  std::string failure_;

  friend struct TlsBio;
};

}  // namespace understudy::net::internal
