#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/compare.h"

namespace understudy::calibration::internal {

/// Items of a ranking, best first: elements of a JSON array, also the only one in an object; where they are objects with an id and a score, the
/// ids by score. Else the only run of bracketed ids joined by '>' ("Ranking: [3] > [1]"), else what stands between '>', ',', line breaks, with
/// brackets, list numbers ("1." at a line's start) and white space dropped. Empty where nothing is listed.
std::vector<std::string> read_ranking(std::string_view text);

/// nullopt where either is not a ranking (empty, or names an item twice).
std::optional<bool> rankings_agree(const ComparatorSpec& spec, std::string_view a, std::string_view b);

/// Kendall's tau-a of two orders of the same n distinct items; 1 for n < 2. O(n^2).
double kendall_tau(const std::vector<std::string>& a, const std::vector<std::string>& b);

}  // namespace understudy::calibration::internal
