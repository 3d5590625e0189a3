#pragma once
/// The database's version and how an older one becomes the newest.

#include "store/internal/sqlite.h"

namespace understudy::store {

inline constexpr int kSchemaVersion = 1;
inline constexpr int kApplicationId = 0x55445354;  ///< "UDST": SQLite's `PRAGMA application_id`

/// Bits of requests.flags and attempts.flags; on disk: never change.
enum RequestFlag : std::int64_t {
  kFinished = 1,
  kEscalated = 2,
  kStreamed = 4,
  kClientGone = 8,
  kComplete = 16,
  kThresholdByHand = 32,
  kTeacherCostEstimated = 64,
  kCoinHeads = 128,
  kCutOff = 256,  ///< its process died before it was finished; its attempts are in the sums
};
enum AttemptFlag : std::int64_t { kOffPath = 1, kServed = 2, kUsageKnown = 4, kUsageEstimated = 8 };

/// An attempt's id is its request's id times this plus its place in order of arrival.
inline constexpr std::int64_t kAttemptsPerRequest = 1024;

/// request_sums.served_by where no stage served, and for what a crash cut off (cost only; not counted as a request).
inline constexpr std::int64_t kServedByNobody = -1;
inline constexpr std::int64_t kServedByCutOff = -2;

/// kUnsupported where a newer version wrote it, kCorrupt where it is another program's database.
Result<void> check_version(const Database& db);

/// Runs the migrations that `db` lacks, each in a transaction. `up_to` is for tests of older versions.
Result<void> migrate(Database& db, int up_to = kSchemaVersion);

}  // namespace understudy::store
