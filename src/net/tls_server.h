#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace understudy::net {

/// Who we are to clients: a certificate with its chain, and its key. TLS 1.2 or newer, HTTP/1.1 only (a client whose ALPN
/// does not offer it is refused), sessions resumed by tickets that die with the context. Immutable and thread-safe.
class TlsServerContext {
 public:
  /// PEM files: `cert_file` holds the certificate and then those between it and the authority, `key_file` the unencrypted
  /// private key. Both are read now and not again. kConfig with file and remedy: cannot be read, holds none, key encrypted,
  /// key of another certificate. `now` is what the certificate's dates are compared with for `warnings`.
  static Result<std::shared_ptr<const TlsServerContext>> create(const std::string& cert_file, const std::string& key_file, WallTime now);
  ~TlsServerContext();
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;

  /// Sentences for the log: expired, not valid yet, less than 14 days left.
  const std::vector<std::string>& warnings() const { return warnings_; }
  void* native() const { return context_; }  ///< SSL_CTX*, for this module

 private:
  explicit TlsServerContext(void* context) : context_(context) {}
  void* context_;
  std::vector<std::string> warnings_;
};

}  // namespace understudy::net
