#pragma once
/// How likely two rankings of the same documents agree, from the scores of one: a raw confidence for those that no teacher has ranked yet.

#include <cstddef>
#include <span>

#include "calibration/compare.h"

namespace understudy::calibration {

struct RankingAgreement {
  double chance = 0;    ///< share of drawn rankings that agree, in (0, 1)
  double overlap = 0;   ///< mean share of the first documents that both have, in [0, 1]
  double margin = 0;    ///< probability of the last document that is named less that of the first that is not, in [0, 1]; 1 where all are named
};

/// The other ranking is drawn from the scores' own Plackett-Luce model: log-odds plus Gumbel noise, sorted (Plackett 1975; Yellott 1977), as if it
/// came from one who sees the same evidence and is as unsure of it. Whether two agree is said by `spec`: rankings as compare.h has it; under any other comparator they
/// must be equal. Far from calibrated where a teacher is surer or less sure than that: a fit or a threshold by hand puts that right.
///
/// @param probability  one a document, n >= 1, of relevance
/// @param named        how many an answer names, best first; 0: all
/// Deterministic. 200 rankings, fewer where there are so many documents that they would take more than some ten milliseconds. Pure, thread-safe.
RankingAgreement ranking_agreement(std::span<const double> probability, std::size_t named, const ComparatorSpec& spec);

}  // namespace understudy::calibration
