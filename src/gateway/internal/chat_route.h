#pragma once
#include "base/ids.h"
#include "cascade/engine.h"
#include "gateway/internal/shared.h"
#include "net/server.h"

namespace understudy::gateway::internal {

/// Who calls, found from the request's key.
struct Caller {
  const ApiKey* key = nullptr;        ///< null where the gateway is open
  std::string_view presented;         ///< the bearer token as sent
  std::string_view tenant;
};

/// kUnauthorized where the gateway has keys and this request has none that fits, kForbidden without the scope.
Result<Caller> authenticate(const net::RequestHead& head, const KeyRing& keys);

/// The same for admin routes: without keys the caller must be on this machine, with keys the key needs the
/// scope admin; a browser may send it as the password of HTTP Basic.
Result<void> authenticate_admin(const net::Exchange& exchange, const KeyRing& keys);

/// Fills the context from head and body. kInvalidRequest for an unknown x-understudy-mode.
Result<cascade::RequestContext> make_context(const net::Exchange& exchange, const Caller& caller);

}  // namespace understudy::gateway::internal
