#pragma once
/// Candidates for the thresholds of a whole ladder, ordered from conservative to bold, chosen jointly for least cost.

#include <optional>
#include <span>
#include <vector>

#include "calibration/promise/ladder.h"

namespace understudy::calibration {

/// One setting of all thresholds, and what it does on the rows that it was chosen on.
struct ThresholdCandidate {
  std::vector<std::optional<double>> thresholds;  ///< by rung; nullopt: not asked
  double served = 0;       ///< share of rows that a rung serves
  double bad = 0;          ///< share of rows that a rung serves and that are bad, expected by the held-back probabilities
  std::size_t served_rows = 0, bad_rows = 0;      ///< as counted
  double cost_usd = 0;     ///< mean a row, the teacher's calls included
};

/// For a price on a bad answer that falls step by step, the thresholds that minimise mean cost + price x bad rate, found by
/// coordinate descent over the quantiles of each rung's confidence. A rung that does not pay for itself gets no threshold
/// (escalation on benefit). Of a single rung: its 64 quantiles. Rows where costs are unknown count a teacher call as 1 and a rung as 0.
/// @param rows         n rows @param probability by rung, n held-back probabilities each (NaN: not usable)
/// @param alpha        also search with a price on what is bad beyond this share of what is served: where a rung knows few grades (a peer
///                     that agrees or not), the first family alone jumps from serving next to nothing to breaking alpha, and a
///                     costlier signal that would keep it is never found. Candidates that are foreseen to break alpha and serve less
///                     than one that is not are left out. Nothing changes for a single rung. nullopt: the first family alone
/// @return by served rows, rising, each once; empty where nothing can serve. Cost O(96 rungs (64 + n rungs)), half without alpha.
/// Pure; uses no test row.
std::vector<ThresholdCandidate> threshold_path(std::span<const LabelledRow* const> rows, std::span<const std::vector<double>> probability,
                                               std::optional<double> alpha = {});

}  // namespace understudy::calibration
