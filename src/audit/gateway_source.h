#pragma once
/// A running gateway's log as a source of calls: `understudy audit --from URL`.

#include <memory>
#include <string>

#include "audit/engine.h"

namespace understudy::audit {

/// The calls that `GET /admin/api/calls` hands out, read as they arrive: the same as in the gateway's data directory
/// (store_source.h). `url`: the gateway's address (http://host:port); `key`: an admin key, "" where it has none. kUsage here for what
/// is no address, from `read` for what is no gateway, one that cannot be reached or one that refuses, with its own words.
Result<std::unique_ptr<RecordSource>> open_gateway_source(const std::string& url, std::string key);

}  // namespace understudy::audit
