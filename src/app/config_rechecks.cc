#include "app/config_rechecks.h"

#include <algorithm>

#include "base/time_format.h"
#include "cascade/bound_specialist.h"
#include "monitors/recheck.h"
#include "specialists/registry.h"

namespace understudy::app {
namespace {

constexpr std::int64_t kMinuteMs = 60'000, kDayMs = 86'400'000;
constexpr Picousd kUsualBudget{kPicousdPerUsd};

struct RecheckKeys {
  std::optional<std::int64_t> every_ms;   ///< 0: off
  std::optional<std::size_t> sample;
  std::optional<Picousd> budget;
  std::optional<std::string> teacher;
  std::optional<double> at_least;
};

Result<RecheckKeys> read_keys(TableReader& table) {
  RecheckKeys keys;
  APP_TRY(every, table.string("recheck"));
  if (every) {
    const auto ms = *every == "off" ? Result<std::int64_t>(0) : parse_duration_ms(*every);
    if (!ms || (*ms != 0 && (*ms < kMinuteMs || *ms > 366 * kDayMs))) return table.wrong("recheck", "must be a duration from \"1m\" to \"366d\", such as \"7d\", or \"off\"");
    keys.every_ms = *ms;
  }
  APP_TRY(sample, table.integer("recheck_sample", static_cast<std::int64_t>(monitors::kFewestRechecked), 10'000));
  if (sample) keys.sample = static_cast<std::size_t>(*sample);
  APP_TRY(budget, read_usd(table, "recheck_budget_usd"));
  keys.budget = budget;
  APP_TRY(teacher, table.string("recheck_teacher"));
  keys.teacher = std::move(teacher);
  APP_TRY(at_least, table.number("recheck_at_least", 0, 1));
  keys.at_least = at_least;
  return keys;
}

/// The specialist's own, and for what it does not say those of all.
RecheckKeys merged(const RecheckKeys& all, const RecheckKeys& own) {
  RecheckKeys out = own;
  if (!out.every_ms) out.every_ms = all.every_ms;
  if (!out.sample) out.sample = all.sample;
  if (!out.budget) out.budget = all.budget;
  if (!out.teacher) out.teacher = all.teacher;
  if (!out.at_least) out.at_least = all.at_least;
  return out;
}

/// Why nothing of it can be rechecked; "": it can.
std::string why_not(const cascade::Policy& policy, const specialists::NamedSpecialist& specialist) {
  if (const auto task = monitors::task_of(specialist); !task) return task.error().message;
  const bool bound = std::any_of(policy.tasks.begin(), policy.tasks.end(), [&](const cascade::TaskConfig& t) { return t.bound && t.bound->specialist->name == specialist.name; });
  return bound ? "" : fmt::format("no task is bound to '{}', and only requests of tasks are recorded: `understudy specialists recheck` compares it on rows of a file", specialist.name);
}

/// Index in policy.models. @param table  whose recheck it is
Result<std::size_t> teacher_of(const cascade::Policy& policy, const RecheckKeys& keys, const TableReader& table) {
  std::size_t place = policy.cascades.front().teacher;
  if (keys.teacher) {
    const auto found = std::find_if(policy.models.begin(), policy.models.end(), [&](const cascade::PricedModel& m) { return m.config.name == *keys.teacher; });
    if (found == policy.models.end()) return table.wrong("recheck_teacher", fmt::format("names '{0}', and there is no [models.{0}]", *keys.teacher));
    place = static_cast<std::size_t>(found - policy.models.begin());
  }
  const cascade::PricedModel& model = policy.models[place];
  const std::string& name = model.config.name;
  if (model.config.key_from_client) return table.wrong("recheck", fmt::format("would ask model '{}', which is called with the caller's own key, and here no client calls: name another by recheck_teacher, or give it a key_env", name));
  if (model.config.api == providers::Api::kRecorded) return table.wrong("recheck", fmt::format("would ask model '{}', a recording, which answers nothing new: name another by recheck_teacher", name));
  if (model.unpriced) {
    return table.wrong("recheck", fmt::format("needs the price of model '{0}', for recheck_budget_usd could not be kept: add to [models.{0}] the line price = {{ input = \"0.10\", output = \"0.40\" }} "
                                              "(USD per 1M tokens; \"0\" where it costs nothing)", name));
  }
  return place;
}

}  // namespace

Result<void> read_rechecks(TableReader table, SectionContext& context) {
  const cascade::Policy& policy = context.policy;
  const specialists::Registry& registry = policy.registry();
  for (const std::string& name : table.names()) {
    if (table.table(name) != nullptr && !registry.find(name)) return table.wrong(name, fmt::format("has no folder, and there is no specialist of this name{}", registry.hint(name)));
  }
  APP_TRY(all, read_keys(table));
  for (const specialists::SpecialistPtr& specialist : registry.all()) {
    TableReader below = table.below(table.table(specialist->name), specialist->name);
    APP_TRY(own, read_keys(below));
    const RecheckKeys keys = merged(all, own);
    if (keys.every_ms.value_or(0) == 0) continue;
    const TableReader& here = own.every_ms ? below : table;
    if (const std::string why = why_not(policy, *specialist); !why.empty()) {
      if (own.every_ms) return here.wrong("recheck", "is not possible: " + why);
      context.config.warnings.push_back(fmt::format("[specialists] recheck: {}", why));
      continue;
    }
    if (!policy.keep_bodies) return here.wrong("recheck", "is not possible: [store] bodies = \"none\" keeps no texts to ask a teacher about");
    APP_TRY(teacher, teacher_of(policy, keys, here));
    gateway::RecheckConfig one;
    one.specialist = specialist->name;
    one.every_ms = *keys.every_ms;
    one.sample = keys.sample.value_or(one.sample);
    one.budget = keys.budget.value_or(kUsualBudget);
    one.teacher = teacher;
    one.at_least = keys.at_least;
    context.config.snapshot.rechecks.push_back(std::move(one));
  }
  return {};
}

}  // namespace understudy::app
