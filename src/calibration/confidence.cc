#include "calibration/confidence.h"

#include <cmath>

namespace understudy::calibration {

std::optional<double> RawMinLogprob::confidence(const LogprobFeatures& features) const {
  return std::exp(static_cast<double>(features[kMinLogprob]));
}

}  // namespace understudy::calibration
