#pragma once
/// How a task went over time, as sums over buckets: what the curve of `understudy status --task` is drawn from. StoreReader::curves
/// (queries.h) reads it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/money.h"
#include "chat/stage.h"

namespace understudy::store {

struct CurveQuery {
  std::optional<std::string> task;   ///< nullopt: every task, on the same buckets ("": requests without one)
  std::optional<WallTime> since;     ///< finished at or after
  std::optional<WallTime> until;     ///< finished before
  std::size_t points = 40;           ///< most buckets of a task; 1..1000 (clamped)
  bool by_requests = false;          ///< buckets of equally many requests (the last may have fewer) instead of equal times
};

/// Spot checks of answers that cheap stages served, by the coin's probability.
struct CurveLabels {
  double propensity = 1;
  std::int64_t n = 0;
  std::int64_t agree = 0;
};

/// Sums over the requests that ended in [from, to). What came later for them (labels and their calls) counts to them where the
/// requests themselves were read, and to the hour in which it came where the hourly sums were (TaskCurve::hourly). Of labels:
/// always to the request. What lessons cost is known by the hour: finer buckets share it by their requests of that hour.
struct CurvePoint {
  WallTime from, to;
  std::int64_t requests = 0;
  std::array<std::int64_t, kStageCount> served_by{};
  std::int64_t failed = 0;
  std::int64_t escalated = 0;
  std::int64_t coins = 0;
  std::int64_t teacher_calls = 0;          ///< for any reason, retries and labels included
  PicousdSum cost;                         ///< of requests, of calls for labels and of lessons; without those of unknown cost
  PicousdSum lesson_cost;                  ///< of it for lessons
  std::int64_t cost_unknown = 0;           ///< requests that it lacks
  PicousdSum teacher_cost;                 ///< what the teacher alone would have cost
  std::int64_t teacher_cost_unknown = 0;
  std::int64_t teacher_cost_estimated = 0; ///< of those in it
  std::vector<CurveLabels> labels;         ///< by rising propensity
};

struct TaskCurve {
  std::string task;
  std::vector<CurvePoint> points;  ///< oldest first; buckets without requests are there, too, between the first and the last
  bool hourly = false;             ///< from the hourly sums: buckets of whole hours, `from` of the first at its hour's beginning
};

}  // namespace understudy::store
