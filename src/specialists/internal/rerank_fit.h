#pragma once
/// What scores mean: from what the rungs, or a document's place, say to log-odds, fitted to rows that nothing was trained on.

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "specialists/internal/held_rows.h"

namespace understudy::specialists::internal {

using RerankStepFit = RerankCalibration::Step;

/// raw, as RerankCalibration says.
inline double raw_of(const RerankStepFit& s, double log_odds, double cross) { return s.intercept + s.rung * log_odds + s.cross * cross; }
/// Of every row, by the step it ends at.
std::vector<double> raws(const HeldRows& held, const RerankPath& path, const std::array<RerankStepFit, kRerankRungs>& steps);

/// Fitted to some rows.
struct RerankFit {
  std::array<RerankStepFit, kRerankRungs> steps{};
  std::optional<RerankOrder::Line> line;  ///< in place of the steps
  std::vector<double> offsets;            ///< by kind of query
  std::vector<double> raw;                ///< that it says of every row, also of those that it was not fitted to
};

/// One step. @param log_odds, cross  by row, or null: not read. @param rows  those to fit to
Result<RerankStepFit> fit_step(const HeldRows& held, const std::vector<double>* log_odds, const std::vector<double>* cross, const std::vector<std::uint32_t>& rows);

/// For each rung from the rows that end there; where those are too few of a label, from all rows, moved by what the few say.
/// @param with_rung  the cross-encoder's score is weighed with the rung before
Result<RerankFit> fit_ladder(const HeldRows& held, const RerankPath& path, bool with_rung, const std::vector<std::uint32_t>& rows);

/// The order that came.
Result<RerankFit> fit_order(const HeldRows& held, const std::vector<std::uint32_t>& rows);

}  // namespace understudy::specialists::internal
