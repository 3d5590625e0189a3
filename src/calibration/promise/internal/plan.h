#pragma once
/// What the keeper may test next, found on fit rows (and on the confidences of test rows, never on their labels).

#include <deque>
#include <vector>

#include "calibration/promise/input_shift.h"
#include "calibration/promise/keeper.h"
#include "calibration/promise/ladder.h"
#include "calibration/promise/threshold_path.h"

namespace understudy::calibration {

struct PromiseKeeper::Plan {
  std::vector<RungModel> models;
  std::vector<ThresholdCandidate> path;      ///< all candidates
  std::size_t start = 0;                     ///< the one in `path` to be tested first
  double pass_chance = 0;                    ///< foreseen for it
  std::size_t coin_rows = 0;                 ///< fit rows that the foresight rests on
  bool worth_testing = false;
};

namespace internal {

ShiftBaseline shift_baseline(const LadderPolicy& policy, const std::deque<LabelledRow>& rows);

/// Chance that a candidate passes the exact test: its risk on fit rows as the rate, `served_rows` test rows.
double pass_chance(const ThresholdCandidate& candidate, std::size_t served_rows, double alpha, double delta);
/// Risk of what a candidate serves, from fit rows: the greater of counted and expected, half a bad row added.
double foreseen_risk(const ThresholdCandidate& candidate);

}  // namespace internal
}  // namespace understudy::calibration
