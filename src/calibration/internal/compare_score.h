#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "calibration/compare.h"

namespace understudy::calibration::internal {

/// A score in any form that models answer in; yes, true and supported read as 1, no and false as 0. In this order: JSON (a number, true or
/// false, an object whose score, rating or the like, else whose only value that is one, counts), the whole text, yes or no at its beginning, the
/// number behind the last "score" or "rating" ("Score: 4/5" is 4), else as the comparator `number` reads.
std::optional<ReadNumber> read_score(std::string_view text);

/// Of a JSON array of numbers; nullopt for anything else, also an empty one.
std::optional<std::vector<double>> read_scores(std::string_view text);

/// nullopt where either is unreadable. Arrays agree where they are as long and each score agrees.
std::optional<bool> scores_agree(const ComparatorSpec& spec, std::string_view a, std::string_view b);

}  // namespace understudy::calibration::internal
