#pragma once
/// What each rung of a ladder is worth in dollars: the foreseen bill with it and without it, at the same foreseen risk.

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "calibration/promise/ladder.h"
#include "calibration/promise/threshold_path.h"

namespace understudy::calibration {

/// Bills are means a request, in USD, of every rung that is asked and of the teacher where it answers. Foreseen on fit rows by
/// held-back probabilities, so an estimate: what is chosen as the cheapest looks a little cheaper than it is.
struct RungWorth {
  std::string rung;
  std::optional<double> threshold;    ///< in the cheapest setting that is foreseen to keep the promise; nullopt: it does not ask this rung
  double asked_share = 0;             ///< share of requests on which that setting asks it
  double own_usd = 0;                 ///< what those calls cost, a request of the task
  double bill_usd = 0;                ///< that setting's whole bill, `own_usd` included
  double bill_without_usd = 0;        ///< the same search where this rung, and any that looks at its answer again, cannot be asked
  double standard_error_usd = 0;      ///< of bill_without_usd - bill_usd, over rows
  double saved_usd_per_1000 = 0;      ///< 1,000 (bill_without_usd - bill_usd): net of the rung's own calls
  double coin_usd_per_1000 = 0;       ///< what coin rows, which ask every rung, pay for it: a cost also where it is never asked else
  /// What having it configured gains or loses.
  double net_usd_per_1000() const { return saved_usd_per_1000 - coin_usd_per_1000; }
};

/// The cheapest candidate that is foreseen to keep alpha; nullopt where none is: the teacher alone then.
std::optional<ThresholdCandidate> cheapest_within(std::span<const ThresholdCandidate> path, double alpha);

/// @param rows         fit rows that a coin picked @param probability by rung, held-back probabilities by row (NaN: not usable)
/// @param alpha        the foreseen risk that a setting may have @param coin probability of the coin
/// @return by rung; empty where there are no rows, or no row's teacher call has a known cost: nothing can be told in dollars then.
/// O(rungs) searches of threshold_path. Pure.
std::vector<RungWorth> rung_worth(std::span<const LabelledRow* const> rows, std::span<const std::vector<double>> probability, std::span<const RungSpec> rungs,
                                  double alpha, double coin);

}  // namespace understudy::calibration
