#pragma once
/// Whether two answers agree may be for a judge to say (comparator `judge`), and a cheap one may have been distilled from it. The
/// cheap one's verdicts count as labels only as far as rows that both have judged allow, and its errors there correct what is told:
///
/// * test rows, and what watches over a version in force, are the judge's alone;
/// * of a random part of the fit rows the distilled judge's verdicts may stand alone, once `trusted`;
/// * the shares of disagreement shown are prediction-powered (weighting.h): the verdicts of all rows, moved by the errors on those that both judged.
///
/// Pure, thread-safe; O(rows x rungs).

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "calibration/promise/ladder.h"
#include "calibration/weighting.h"

namespace understudy::calibration {

inline constexpr std::size_t kJudgedByBoth = 50;   ///< pairs of answers, before verdicts may stand alone
inline constexpr double kLeastSame = 0.8;          ///< of them, share of which both say the same

struct JudgeCheck {
  /// Disagreement of one rung's answers with the teacher's, over rows that a coin chose.
  struct Share {
    std::string rung;
    PredictionPowered disagreement;
    std::size_t judged = 0;   ///< rows whose outcome is the judge's
    std::size_t alone = 0;    ///< rows whose outcome is the distilled judge's alone
  };

  std::string by;               ///< id of the distilled judge: that of the newest row; "": no row has one, and nothing below is meant
  std::size_t both = 0;         ///< pairs of answers of which both gave a verdict
  std::size_t same = 0;         ///< of them, those of which both said the same
  std::size_t alone = 0;        ///< rows whose labels are its verdicts
  std::vector<Share> shares;    ///< of rungs with an answer of their own that have at least two rows of either kind

  bool trusted() const { return both >= kJudgedByBoth && static_cast<double>(same) >= kLeastSame * static_cast<double>(both); }
};

/// @param rows  in any order; what another distilled judge was asked of, and escalations, are left out
JudgeCheck check_judge(std::span<const RungSpec> rungs, std::span<const LabelledRow* const> rows);

}  // namespace understudy::calibration
