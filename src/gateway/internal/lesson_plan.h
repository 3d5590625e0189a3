#pragma once
#include <memory>

#include "cascade/policy.h"
#include "lessons/service.h"

namespace understudy::gateway::internal {

/// What the lessons need to know of a policy.
lessons::LessonPlan lesson_plan(std::shared_ptr<const cascade::Policy> policy);

}  // namespace understudy::gateway::internal
