#pragma once
/// The gateway's own log as lines of the plain format (docs/formats/call-record.md): what `GET /admin/api/calls` answers and
/// `understudy audit --from URL` reads.

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

/// Fetches the lines of a running gateway into a file that has no name any more; read it as `path`.
class FetchedCalls {
 public:
  /// `url`: the gateway's address (http://host:port); `key`: an admin key, "" where it has no keys. kUsage where that is no
  /// gateway, or one that refuses; the message says what it said.
  static Result<FetchedCalls> fetch(const std::string& url, std::string_view key);
  FetchedCalls(FetchedCalls&& other) noexcept;
  FetchedCalls& operator=(FetchedCalls&&) = delete;
  ~FetchedCalls();

  std::string path() const;

 private:
  explicit FetchedCalls(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace understudy::audit
