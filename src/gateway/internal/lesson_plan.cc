#include "gateway/internal/lesson_plan.h"

namespace understudy::gateway::internal {

lessons::LessonPlan lesson_plan(std::shared_ptr<const cascade::Policy> policy) {
  lessons::LessonPlan plan;
  for (const cascade::CascadeConfig& cascade : policy->cascades) {
    lessons::CascadePlan& one = plan.cascades.emplace_back();
    one.name = cascade.name;
    one.teacher = policy->models[cascade.teacher].config;
    one.budget_per_day = cascade.lesson_budget_per_day;
    one.most = [policy, teacher = cascade.teacher](std::size_t bytes, WallTime at) {
      const cascade::PricedModel& model = policy->models[teacher];
      return model.most(*policy->prices, static_cast<std::int64_t>(bytes), model.max_output_tokens, at);
    };
    one.price = [policy, teacher = cascade.teacher](const Usage& usage, WallTime at) { return policy->models[teacher].cost(*policy->prices, usage, at); };
  }
  for (const cascade::TaskConfig& task : policy->tasks) {
    if (task.compare) plan.compare.emplace(task.name, *task.compare);
  }
  plan.redact = policy->redact;
  return plan;
}

}  // namespace understudy::gateway::internal
