#pragma once
/// Fits a rung's model on labelled rows.

#include <cstddef>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "calibration/promise/ladder.h"

namespace understudy::calibration {

struct RungFit {
  RungModel model;
  std::vector<double> held_back;  ///< by row: what a fit without that row's fold says; NaN where the rung was not usable
  double log_loss = 0;            ///< held-back, nats a row
  double brier = 0, ece15 = 0;    ///< held-back
  std::size_t rows = 0;           ///< usable ones
};

/// Candidates: raw confidence as it is, the base rate alone (where the confidence tells nothing), Platt's and the beta map of it, and a ridge over it and all features; five folds,
/// the least held-back log loss wins, ridge only by a standard error (raw confidence stays unless something is better on
/// rows that it has not seen). With fewer than 20 usable rows, or outcomes of one kind only, raw it is.
/// @param rows  n rows @param rung index of the rung @param random of the folds
/// O(n f^2 * 40). Pure.
RungFit fit_rung(std::span<const LabelledRow* const> rows, std::size_t rung, Random& random);

}  // namespace understudy::calibration
