#pragma once
/// Maps from a raw confidence to the probability that the answer is good.
///
/// A raw confidence is a probability-like number in [0, 1]; it is mostly squeezed against 1 (an answer token's probability
/// of 1 - 1e-7), so the maps work on log(-log p), where such numbers are still told apart, or on log-odds.
/// All maps are non-decreasing. Immutable and thread-safe once fitted; a call costs well under a microsecond.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/random.h"

namespace understudy::calibration {

class Calibrator {
 public:
  virtual ~Calibrator() = default;
  /// @param confidence in [0, 1] @return in [0, 1]
  virtual double operator()(double confidence) const = 0;
  /// "raw", "platt", "beta", "isotonic", "venn_abers", "average", "average_8", "constant"
  virtual std::string_view method() const = 0;
};
using CalibratorPtr = std::shared_ptr<const Calibrator>;

/// The coordinate of Platt's map: -log(-log p), p clipped to [1e-20, 1 - 1e-12]; rises with p.
double complementary_log_log(double p);

/// The fits below take n >= 2 confidences and as many outcomes of both kinds; kInvalidRequest with the reason otherwise.

/// Returns confidences unchanged.
CalibratorPtr raw_calibrator();

/// sigmoid(a * cll(p) + b), a >= 0. Platt 1999, with his smoothed targets (n1 + 1) / (n1 + 2) and 1 / (n0 + 2).
Result<CalibratorPtr> fit_platt(std::span<const double> p, std::span<const std::uint8_t> y);

/// sigmoid(a log p - b log(1 - p) + c), a, b >= 0 (a negative slope is dropped and the rest fitted again), p clipped to
/// [1e-4, 1 - 1e-4]. Kull, Silva Filho and Flach 2017.
Result<CalibratorPtr> fit_beta(std::span<const double> p, std::span<const std::uint8_t> y);

/// Pool-adjacent-violators, linear between the points, output clipped to [.5 / n, 1 - .5 / n]. Zadrozny and Elkan 2002.
Result<CalibratorPtr> fit_isotonic(std::span<const double> p, std::span<const std::uint8_t> y);

/// Inductive Venn-Abers: isotonic fits with the new point as 0 and as 1 give p0 <= p1, merged as p1 / (1 - p0 + p1).
/// All answers are computed at the fit, O(n^2). Vovk and Petej 2014.
Result<CalibratorPtr> fit_venn_abers(std::span<const double> p, std::span<const std::uint8_t> y);

/// Mean of Platt, beta and isotonic. `groups` > 0: cut into so many groups of equal mass on the fit rows, each giving its
/// mean output: fewer distinct values, less noise in each.
Result<CalibratorPtr> fit_average(std::span<const double> p, std::span<const std::uint8_t> y, int groups = 0);

/// The base rate, whatever the confidence: the yardstick that a low calibration error alone does not beat.
Result<CalibratorPtr> fit_constant(std::span<const std::uint8_t> y);

/// The isotonic regression itself: non-decreasing fit of y at the sorted distinct x, weights = multiplicities.
struct IsotonicFit {
  std::vector<double> x;  ///< distinct, rising
  std::vector<double> value;
};
IsotonicFit isotonic_regression(std::span<const double> x, std::span<const double> y);

struct CalibratorChoice {
  CalibratorPtr calibrator;
  double cv_log_loss = 0;  ///< nats a row on held-back folds
  double cv_brier = 0;
};

/// Fits each candidate on folds - 1 parts and scores the held-back one; the least mean log loss is fitted on all rows, or
/// average_8 where its loss is within a standard error of that (fewer values, each held more exactly) and not above raw's. Raw
/// confidence is always among the candidates, so a fit never does worse than it on held-back rows. Candidates: platt, beta,
/// average, average_8; beyond 300 rows isotonic and venn_abers too.
Result<CalibratorChoice> choose_calibrator(std::span<const double> p, std::span<const std::uint8_t> y, Random& random, int folds = 5);

/// Fits by name (the list at `Calibrator::method`). kUsage for an unknown name.
Result<CalibratorPtr> fit_calibrator(std::string_view method, std::span<const double> p, std::span<const std::uint8_t> y);

}  // namespace understudy::calibration
