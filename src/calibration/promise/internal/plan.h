#pragma once
/// What the keeper may test next, found on fit rows alone.

#include <memory>
#include <optional>
#include <vector>

#include "calibration/promise/input_shift.h"
#include "calibration/promise/internal/contest.h"
#include "calibration/promise/keeper.h"
#include "calibration/promise/ladder.h"
#include "calibration/promise/threshold_path.h"

namespace understudy::calibration {

struct PromiseKeeper::Plan {
  std::vector<LadderPolicy> candidates;      ///< from the one that is foreseen to be shown first on, bolder and bolder
  std::size_t fit_rows = 0;                  ///< from the coin
  std::optional<double> rows_missing;        ///< test rows until the first of them is foreseen to be shown, from none; nullopt: never
  double share = 0;                          ///< of requests that it serves
};

struct PromiseKeeper::Running {
  internal::Contest contest;
  std::shared_ptr<const LearnedFit> fit;     ///< of all its candidates; null: none is needed
};

inline constexpr std::size_t kMostTests = 12;   ///< of an epoch, at a time: later ones have too little delta to show anything

namespace internal {

/// Of rows that are judged as the policy judges.
ShiftBaseline shift_baseline(const LadderPolicy& policy, const std::vector<const LabelledRow*>& rows);

/// Risk of what a candidate serves, from fit rows: mostly counted, in part expected by the held-back probabilities, and some more for what so
/// few rows cannot tell.
double foreseen_risk(const ThresholdCandidate& candidate);

}  // namespace internal
}  // namespace understudy::calibration
