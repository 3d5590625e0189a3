#pragma once
/// Which cheap answers did no harm, now that the right answer is known.

#include <optional>
#include <string>
#include <vector>

#include "calibration/compare.h"
#include "cascade/ladder.h"
#include "store/queries.h"

namespace understudy::cascade::internal {

/// By rung: its stored answer agrees with `truth`, or the teacher's does not. False where texts are missing: not known is not harmless.
/// @param compare of the task; nullopt: by the truth's shape
std::vector<bool> harmless_rungs(const store::RequestDetail& detail, const std::vector<Rung>& ladder, std::string_view truth,
                                 const std::optional<calibration::ComparatorSpec>& compare);

}  // namespace understudy::cascade::internal
