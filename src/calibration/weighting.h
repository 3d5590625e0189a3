#pragma once
/// Rates from rows that were not all labelled alike.
/// Pure, thread-safe, O(n).

#include <optional>
#include <span>

#include "base/error.h"
#include "calibration/binomial.h"
#include "calibration/metrics.h"

namespace understudy::calibration {

struct RateEstimate {
  double rate = 0;
  double standard_error = 0;
  Interval interval;          ///< normal, two-sided at the level asked for, clipped to [0, 1]
  double effective_rows = 0;  ///< (sum w)^2 / sum w^2, Kish's design effect
};

/// Rate over all requests from labelled ones, each weighted by 1 / propensity (Hajek's ratio; Horvitz and Thompson 1952).
/// Requests labelled with probability 1 and others by a coin mix without bias as long as every propensity is what was used.
/// @param bad        n outcomes @param propensity n probabilities in (0, 1] with which each row was chosen to be labelled
/// @return kInvalidRequest for n = 0, sizes that differ, or a propensity outside (0, 1]
Result<RateEstimate> weighted_rate(Outcomes bad, std::span<const double> propensity, double level = 0.95);

/// Rate from few true labels and many verdicts of a cheap judge (prediction-powered inference, tuned: Angelopoulos,
/// Duchi and Zrnic 2023): mean(truth) + lambda (mean(verdicts of the unlabelled) - mean(verdicts of the labelled)), lambda
/// in [0, 1] chosen for the least variance; a useless judge gets lambda near 0 and costs nothing.
/// @param truth             n outcomes of rows that the teacher judged too, n >= 2
/// @param judge_on_labelled n verdicts in [0, 1] for the same rows
/// @param judge_elsewhere   m verdicts for other rows of the same traffic, m >= 2
/// The interval is asymptotic (normal): fine for estimates, not used for the promise, whose test stays exact.
struct PredictionPowered : RateEstimate {
  double lambda = 0;
};
Result<PredictionPowered> prediction_powered_rate(Outcomes truth, std::span<const double> judge_on_labelled,
                                                  std::span<const double> judge_elsewhere, double level = 0.95);

}  // namespace understudy::calibration
