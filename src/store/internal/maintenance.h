#pragma once
/// What is done to the database beside adding to it: retention, real deletion, compaction. On the writer's connection.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "store/internal/bodies.h"
#include "store/internal/sqlite.h"

namespace understudy::store {

struct Retention {
  std::optional<std::int64_t> bodies_max_age_ms;
  std::optional<std::int64_t> bodies_max_bytes;
  std::optional<std::int64_t> records_max_age_ms;
  std::optional<std::int64_t> promise_rows_max_age_ms;
  std::optional<std::int64_t> lessons_max_age_ms;
};

struct Removed {
  std::uint64_t body_blocks = 0;
  std::uint64_t requests = 0;
  std::uint64_t bodies = 0;  ///< texts overwritten one by one
  std::uint64_t other = 0;
  std::uint64_t promise_rows = 0;  ///< gone by age
  std::uint64_t lessons = 0;       ///< the same
};

/// The time that retention goes by: the wall clock, but after a jump ahead it follows slowly, an hour for each minute that the
/// store runs, and goes on from there after a restart. A machine that was off or asleep is caught up with soon; a clock that is years
/// wrong leaves half a day to correct it before a text of the usual thirty days goes. A step back is believed at once: less is removed.
/// A record's own time confirms nothing: the same clock wrote it.
class RetentionClock {
 public:
  /// Writes to `db`, at most once a minute, how far it is. The writer's thread.
  Result<WallTime> now(Database& db, const Clock& clock);

 private:
  static constexpr std::int64_t kTellAfterUs = std::int64_t{24} * 3'600'000'000;
  std::optional<MonoTime> last_;
  WallTime at_, saved_;
  bool stored_ = false, behind_ = false;
};

/// Removes what is too old or too much, the oldest first, at most `limit` of each kind: short transactions.
Result<Removed> apply_retention(Database& db, const Retention& retention, WallTime now, std::uint64_t limit);

/// Removes rows and overwrites texts. The old bytes are gone from the files after vacuum(). kNotFound.
Result<Removed> remove_request(Database& db, std::string_view request_id);
/// Also removes the texts of requests that a crash cut off: nobody knows whose they were.
Result<Removed> remove_tenant(Database& db, std::string_view tenant);

/// Rewrites the database without free pages and old bytes and empties the write-ahead log. kOverloaded where a reader holds on
/// to the old state for seconds; kIo where the disk has no room for the copy.
Result<void> vacuum(Database& db);

/// Bytes of the database's files.
std::uint64_t database_bytes(const std::filesystem::path& database);

}  // namespace understudy::store
