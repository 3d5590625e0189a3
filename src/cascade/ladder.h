#pragma once
/// The cheap stages of a cascade as rungs (calibration/promise/ladder.h), and the numbers that they give.

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "calibration/features.h"
#include "calibration/promise/ladder.h"
#include "cascade/attempt.h"
#include "cascade/policy.h"
#include "lessons/few_shots.h"

namespace understudy::cascade {

/// One cheap stage. Rungs stand in the order in which they are asked.
struct Rung {
  std::string name;                   ///< "cache", "specialist:NAME", "knn", "specialist"; "student" or the model's name; "student+self_check", ...: unique
  Stage stage = Stage::kStudent;
  std::size_t model = 0;              ///< who answers; not meant for the cache and the rungs that learn
  std::optional<SignalSpec> signal;   ///< looks at the answer of rung `of` again
  std::size_t of = 0;                 ///< itself where there is no signal
  std::optional<lessons::FewShotPolicy> examples = {};   ///< it is shown lessons with the request; unusable where none are like it
  std::shared_ptr<const BoundSpecialist> bound = {};   ///< trained before, named by the task
  std::optional<ScoreBand> band = {};  ///< by hand: where the bound specialist's score leaves it in doubt
  bool early = false;                 ///< a student whose answer may be left before its end (internal/early_reject.h)
  bool trial = false;                 ///< how many are shown is still being found out: it is asked for labels, and never serves

  /// What it says is a function of what the teacher answered before.
  bool learns() const { return stage == Stage::kKnn || (stage == Stage::kSpecialist && !bound); }
};

std::vector<Rung> make_ladder(const Policy& policy, const CascadeConfig& cascade, const TaskConfig* task);

/// Numbers of a student's answer: those of its logprobs, then ln(1 + bytes of the request). A rung with a signal has one
/// more, the signal's; the cache has none, and neither has a rung that may be left early: its calibration is a map of the raw confidence alone.
inline constexpr std::size_t kStudentFeatures = calibration::kLogprobFeatureCount + 1;
using StudentFeatures = std::array<float, kStudentFeatures>;
std::size_t feature_count(const Rung& rung);
std::vector<calibration::RungSpec> rung_specs(std::span<const Rung> ladder);

/// NaN throughout the logprobs' part where the answer came without any.
StudentFeatures student_features(const std::optional<calibration::LogprobFeatures>& features, std::size_t request_bytes);

/// Names all that decides about a task: rungs with their models, the teacher, the comparator. Another id, another ladder:
/// its evidence starts anew.
std::string ladder_id(const Policy& policy, const CascadeConfig& cascade, const TaskConfig* task, std::span<const Rung> ladder);

std::string_view signal_name(SignalKind kind);   ///< "self_check", "samples", "verbal", "peer"

}  // namespace understudy::cascade
