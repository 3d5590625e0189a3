#pragma once
/// Calibration per group (cluster), shrunk to the task's own.

#include <cstddef>
#include <span>
#include <vector>

#include "base/error.h"
#include "calibration/metrics.h"

namespace understudy::calibration {

/// p_g(p) = sigmoid(logit(p) + offset_g), offset_g ~ Normal(0, tau^2): a group with few rows keeps the task's probability,
/// one with many gets its own. tau is the one of a grid (0 .. 3) with the greatest marginal likelihood (Laplace), so groups
/// that do not differ give tau = 0 and no offsets. Source: empirical Bayes for random intercepts (Breslow and Clayton 1993).
struct GroupOffsets {
  double tau = 0;
  std::vector<double> offset;  ///< by group, log-odds

  /// @param group index; groups that had no rows (or are unknown, past the end) keep the task's probability
  double apply(double p, std::size_t group) const;
};

/// @param p     n probabilities of the task's fit @param y n outcomes @param group n indices below `groups`
/// @return kInvalidRequest when sizes differ or an index is out of range. O(n * 60)
Result<GroupOffsets> fit_group_offsets(Probabilities p, Outcomes y, std::span<const std::size_t> group, std::size_t groups);

}  // namespace understudy::calibration
