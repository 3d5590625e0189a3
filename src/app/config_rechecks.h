#pragma once
/// Rechecks of specialists: what [specialists] and [specialists.NAME] say of them.

#include <array>
#include <string_view>

#include "app/config_sections.h"

namespace understudy::app {

inline constexpr std::array<std::string_view, 5> kRecheckKeys = {"recheck", "recheck_sample", "recheck_budget_usd", "recheck_teacher", "recheck_at_least"};

/// Snapshot::rechecks, once tasks are bound and prices known. kConfig: a specialist or teacher that is not there; one that cannot be rechecked though its own table
/// wants it; a teacher that cannot be asked, or at no known price; texts that are not kept. What [specialists] wants of all and one cannot have is warned of.
Result<void> read_rechecks(TableReader table, SectionContext& context);

}  // namespace understudy::app
