#pragma once
/// How good probabilities are. `p` holds n probabilities in [0, 1], `y` n outcomes (1 happened, 0 did not), n >= 1.
/// Pure, thread-safe; O(n log n) at most.

#include <cstdint>
#include <functional>
#include <span>

#include "base/random.h"
#include "calibration/binomial.h"

namespace understudy::calibration {

using Probabilities = std::span<const double>;
using Outcomes = std::span<const std::uint8_t>;

/// Expected calibration error over `bins` equal-width bins of [0, 1]: sum over bins of (share of rows) * |mean p - mean y|.
/// A value on an inner edge belongs to the bin below it, as in Guo et al. 2017. A constant equal to the base rate scores
/// 0 and knows nothing: read it beside the Brier score.
double ece(Probabilities p, Outcomes y, int bins = 15);

/// Mean of (p - y)^2. Brier 1950.
double brier(Probabilities p, Outcomes y);

/// Mean of -log(probability given to what happened), nats; p is clipped to [1e-6, 1 - 1e-6].
double log_loss(Probabilities p, Outcomes y);

/// P(score of a 1 > score of a 0), ties count half (Mann-Whitney). NaN where one class is missing.
double auroc(std::span<const double> score, Outcomes y);

/// Percentile bootstrap over rows (Efron 1979). @param draws >= 100; cost draws times the metric's
Interval bootstrap_interval(Probabilities p, Outcomes y, const std::function<double(Probabilities, Outcomes)>& metric, int draws,
                            double level, Random& random);

/// Mean and normal interval of independent repetitions (seeds, splits): mean +- z * s / sqrt(n); no width for n < 2.
struct MeanInterval {
  double mean = 0;
  double low = 0;
  double high = 0;
};
MeanInterval mean_interval(std::span<const double> values, double z = 1.96);

}  // namespace understudy::calibration
