#pragma once
/// Who calls, and what they may: the key of a request, and its scopes.

#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "gateway/key_ring.h"
#include "net/server.h"

namespace understudy::gateway::internal {

/// Who calls, found from the request's key.
struct Caller {
  const ApiKey* key = nullptr;        ///< null where the gateway is open
  std::string_view presented;         ///< the bearer token as sent
  std::string_view tenant;
};

/// For the API under /v1. kUnauthorized where the gateway has keys and this request has none that fits, kForbidden without the scope
/// "inference", or where a key that is not trusted names a tenant.
Result<Caller> authenticate(const net::RequestHead& head, const KeyRing& keys, const Clock& clock);

enum class OperatorScope {
  kAdmin,   ///< the key needs "admin"
  kAudit,   ///< "audit" will do
};

/// For routes about the gateway itself: without keys the caller must be on this machine, with keys the key needs the scope; a browser
/// may send it as the password of HTTP Basic.
Result<void> authenticate_operator(const net::Exchange& exchange, const KeyRing& keys, const Clock& clock, OperatorScope scope);

}  // namespace understudy::gateway::internal
