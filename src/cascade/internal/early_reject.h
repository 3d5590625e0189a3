#pragma once
/// `early_reject`: leaves a student's answer as soon as it can no longer be served, so that the teacher is asked earlier.
///
/// Never changes who serves. The confidence of a rung with `Rung::early` rises and falls with the answer's least likely token
/// alone (its calibration sees nothing else: `feature_count`), and that token can only become less likely while an answer grows. So what
/// the answer could reach at most is known at every token, and an answer is left only where even that is below the threshold. The version that
/// the promise is proven for is the same with and without (docs/decisions/0016).

#include "calibration/confidence.h"
#include "calibration/promise/ladder.h"
#include "chat/answer.h"

namespace understudy::cascade::internal {

/// Of one answer. What it is made from must outlive it.
class EarlyReject {
 public:
  /// @param calibrated  of the version in force; null: the raw confidence decides (by hand)
  EarlyReject(const calibration::ConfidenceModel& raw, const calibration::RungModel* calibrated, double threshold)
      : raw_(raw), calibrated_(calibrated), threshold_(threshold) {}

  /// Whether an answer that begins with these tokens is below the threshold however it ends. Looks at each token once: give it the same
  /// series again when it has grown.
  bool hopeless(const chat::LogprobSeries& series);

 private:
  const calibration::ConfidenceModel& raw_;
  const calibration::RungModel* calibrated_;
  double threshold_;
  std::size_t seen_ = 0;
  float least_ = 0;
};

}  // namespace understudy::cascade::internal
