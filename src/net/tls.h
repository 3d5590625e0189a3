#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace understudy::net {

struct TlsClientOptions {
  bool system_store = true;       ///< trust what the machine trusts
  std::string ca_file;            ///< one more PEM file of trusted authorities; empty: none
};

/// How we verify servers: TLS 1.2 or newer, chain and host name checked, SNI sent, sessions reused. Immutable and
/// thread-safe; shared by all client pools.
class TlsClientContext {
 public:
  /// kConfig when the file cannot be read or OpenSSL refuses it.
  static Result<std::shared_ptr<const TlsClientContext>> create(const TlsClientOptions& options = {});
  ~TlsClientContext();
  TlsClientContext(const TlsClientContext&) = delete;
  TlsClientContext& operator=(const TlsClientContext&) = delete;

  void* native() const { return context_; }  ///< SSL_CTX*, for this module

 private:
  explicit TlsClientContext(void* context) : context_(context) {}
  void* context_;
};

}  // namespace understudy::net
