#pragma once
/// The gateway's own log as lines of the plain format (docs/formats/call-record.md): what `GET /admin/api/calls` answers
/// and gateway_source.h reads.

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "audit/record.h"
#include "base/error.h"

namespace understudy::audit {

/// Appends one line with its end. A record without usage is written without counts, so that its reader counts it as malformed.
void append_call_line(const CallRecord& record, std::string& out);

/// Writes every upstream attempt in a data directory, in pieces of about 64 KiB; `write` ends it by an error, which is
/// returned. The same calls as `--from DIR` reads. Blocks on disk: not for a reactor's thread.
Result<void> export_calls(const std::filesystem::path& data, const std::function<Result<void>(std::string_view)>& write);

}  // namespace understudy::audit
