#pragma once
/// From the calls of one request to a labelled row: what each rung of the ladder said, and whether it agrees with the teacher.
/// Pure, thread-safe.

#include <array>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "calibration/promise/ladder.h"
#include "cascade/answer_cache.h"
#include "cascade/attempt.h"
#include "cascade/bound_specialist.h"
#include "cascade/internal/compare_answers.h"
#include "cascade/internal/signals.h"
#include "cascade/ladder.h"

namespace understudy::cascade::internal {

/// What is known of one rung's answer to the request.
struct RungTrace {
  bool asked = false;                    ///< on the path; else the job asks, but for the cache
  std::optional<chat::Answer> answer;    ///< of a signal's rung: nothing, its answer is that of rung `of`
  std::optional<double> raw;             ///< raw confidence; nullopt: no signal came
  std::optional<calibration::LogprobFeatures> features;
  SignalReading signal;                  ///< of a rung with a signal
  std::array<float, kBoundFeatures> bound{};   ///< of a bound specialist's rung, where it answered
  double cost_usd = 0;
};

/// What a request's calls told of each rung of the ladder. `signals` by rung, those that were read.
std::vector<RungTrace> trace_rungs(const std::vector<Rung>& ladder, const std::list<Attempt>& attempts, const CachedAnswer* in_cache,
                                   const std::map<std::size_t, SignalReading>& signals);

/// The rungs of a labelled row: what each said, and whether it agrees with the teacher. nullopt: a judge must say, and has not.
std::optional<std::vector<calibration::RungOutcome>> judge_rungs(const std::vector<Rung>& ladder, const std::vector<RungTrace>& traces, const TaskConfig* task,
                                                                 const chat::Answer& teacher, std::size_t request_bytes, const Verdicts* verdicts = nullptr);

/// USD as a number for choices (never for accounts); 0 where it is not known.
double usd(std::optional<Picousd> amount);

}  // namespace understudy::cascade::internal
