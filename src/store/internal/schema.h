#pragma once
/// The database's version and how an older one becomes the newest.

#include "store/internal/sqlite.h"

namespace understudy::store {

inline constexpr int kSchemaVersion = 4;
inline constexpr int kApplicationId = 0x55445354;  ///< "UDST": SQLite's `PRAGMA application_id`

/// Bits of requests.flags and attempts.flags; on disk: never change.
inline constexpr std::int64_t kFinished = 1;
inline constexpr std::int64_t kEscalated = 2;
inline constexpr std::int64_t kStreamed = 4;
inline constexpr std::int64_t kClientGone = 8;
inline constexpr std::int64_t kComplete = 16;
inline constexpr std::int64_t kThresholdByHand = 32;
inline constexpr std::int64_t kTeacherCostEstimated = 64;
inline constexpr std::int64_t kCoinHeads = 128;
inline constexpr std::int64_t kCutOff = 256;  ///< its process died before it was finished; its attempts are in the sums

inline constexpr std::int64_t kOffPath = 1;
inline constexpr std::int64_t kServed = 2;
inline constexpr std::int64_t kUsageKnown = 4;
inline constexpr std::int64_t kUsageEstimated = 8;

/// An attempt's id is its request's id times this plus its place in order of arrival.
inline constexpr std::int64_t kAttemptsPerRequest = 1024;

/// request_sums.served_by where no stage served, and for what a crash cut off (cost only; not counted as a request).
inline constexpr std::int64_t kServedByNobody = -1;
inline constexpr std::int64_t kServedByCutOff = -2;

/// And what asking for lessons cost (cost only).
inline constexpr std::int64_t kServedByLessons = -3;

/// label_sums.of_served: whose answer was judged. The teacher's own are apart from all the others.
inline constexpr std::int64_t kJudgedOther = 0;
inline constexpr std::int64_t kJudgedServed = 1;
inline constexpr std::int64_t kJudgedTeacher = 2;

/// kUnsupported where a newer version wrote it, kCorrupt where it is another program's database.
Result<void> check_version(const Database& db);

/// Runs the migrations that `db` lacks, each in a transaction. `up_to` is for tests of older versions.
Result<void> migrate(Database& db, int up_to = kSchemaVersion);

}  // namespace understudy::store
