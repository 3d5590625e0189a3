#pragma once
#include "base/ids.h"
#include "cascade/engine.h"
#include "gateway/internal/callers.h"
#include "gateway/internal/shared.h"
#include "net/server.h"

namespace understudy::gateway::internal {

/// Fills the context from head and body. kInvalidRequest for an unknown x-understudy-mode.
Result<cascade::RequestContext> make_context(const net::Exchange& exchange, const Caller& caller);

}  // namespace understudy::gateway::internal
