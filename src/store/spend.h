#pragma once
#include <filesystem>
#include <vector>

#include "base/budget.h"
#include "base/clock.h"
#include "base/error.h"

namespace understudy::store {

/// What was spent or set aside under budgets (purse.h) from the quarter of an hour on that holds `since`, by key, task and model ("": none). Like
/// StoreReader it sees every event that was appended before the call, beside a running writer and without one, and has its errors.
Result<std::vector<SpendSum>> read_spend(const std::filesystem::path& data, WallTime since, const Clock* clock = nullptr);

}  // namespace understudy::store
