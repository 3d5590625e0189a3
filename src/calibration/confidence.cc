#include "calibration/confidence.h"

#include <algorithm>
#include <cmath>

namespace understudy::calibration {

std::optional<double> RawMinLogprob::confidence(const LogprobFeatures& features) const {
  return std::exp(static_cast<double>(features[kMinLogprob]));
}

double RawMinLogprob::most_with(float logprob) const { return std::exp(static_cast<double>(std::clamp(logprob, kLogprobFloor, 0.0f))); }

}  // namespace understudy::calibration
