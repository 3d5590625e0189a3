#pragma once
/// What rechecks (monitors/rechecker.h) need to know of a snapshot, and of the requests in the store.

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "gateway/gateway.h"
#include "monitors/rechecker.h"

namespace understudy::gateway::internal {

/// One for each of Snapshot::rechecks whose specialist is bound to a task.
std::vector<monitors::RecheckPlan> recheck_plans(const Snapshot& snapshot);

/// The requests of `plan.tasks` in the store at `data` whose text is kept, read by each task's template as the cascade would, or by its last user message.
/// `policy`: asked for each time, the one in force. Of more than a million in the period the newest million are looked at.
monitors::RequestSource stored_requests(std::filesystem::path data, std::function<std::shared_ptr<const cascade::Policy>()> policy, const Clock& clock);

}  // namespace understudy::gateway::internal
