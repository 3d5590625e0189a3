#include "cascade/internal/early_reject.h"

namespace understudy::cascade::internal {

bool EarlyReject::hopeless(const chat::LogprobSeries& series) {
  bool fell = false;
  for (; seen_ < series.chosen.size(); ++seen_) {
    if (!(series.chosen[seen_] < least_)) continue;
    least_ = series.chosen[seen_];
    fell = true;
  }
  if (!fell) return false;
  const double most = raw_.most_with(least_);
  return (calibrated_ != nullptr ? calibrated_->probability(most, {}) : most) < threshold_;
}

}  // namespace understudy::cascade::internal
