#pragma once
/// The gateway's own log as a source of calls: `understudy audit --from DIR`, also beside a running gateway.

#include <memory>
#include <string>

#include "audit/engine.h"

namespace understudy::audit {

/// Every upstream attempt of every request in a data directory. The session is the user-visible request (the request itself
/// where there is none), the task is the step, off-path attempts are offline. An attempt that reached no upstream is no call;
/// one without recorded usage is counted as malformed, not as free. kUsage where `from` is no data directory.
Result<std::unique_ptr<RecordSource>> open_store_source(const std::string& from);

}  // namespace understudy::audit
