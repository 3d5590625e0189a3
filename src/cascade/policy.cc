#include "cascade/policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "specialists/registry.h"

namespace understudy::cascade {

std::string_view mode_name(Mode mode) {
  switch (mode) {
    case Mode::kLive: return "live";
    case Mode::kShadow: return "shadow";
    case Mode::kStudent: return "student";
    case Mode::kTeacher: return "teacher";
    case Mode::kOff: return "off";
  }
  return "live";
}

std::optional<Mode> parse_mode(std::string_view name) {
  for (const Mode mode : {Mode::kLive, Mode::kShadow, Mode::kStudent, Mode::kTeacher, Mode::kOff}) {
    if (name == mode_name(mode)) return mode;
  }
  return std::nullopt;
}

std::optional<Picousd> PricedModel::cost(const PriceBook& book, const Usage& usage, WallTime at) const {
  if (override_prices) return override_prices->cost(usage);
  if (fixed_prices) return fixed_prices->cost(usage);
  if (unpriced) return std::nullopt;
  PriceQuery query;
  query.provider = config.provider;
  query.model = config.upstream_model;
  query.at = at;
  return book.cost(usage, query);
}

bool learns(const CascadeConfig& cascade, const TaskConfig* task) { return cascade.knn || (cascade.specialist && (task == nullptr || !task->bound)); }

std::optional<Picousd> PricedModel::most(const PriceBook& book, std::int64_t input, std::int64_t output, WallTime at) const {
  Usage usage;
  usage.input = input;
  usage.output = output;
  const auto plain = cost(book, usage, at);
  usage.cache_write_1h = input;
  usage.reasoning = output;
  const auto dear = cost(book, usage, at);
  return plain && dear ? std::optional(std::max(*plain, *dear)) : std::nullopt;
}

FewShotConfig few_shots_of(const CascadeConfig& cascade, const TaskConfig* task) {
  FewShotConfig few_shots = cascade.few_shots;
  if (task == nullptr) return few_shots;
  few_shots.k = task->few_shots.value_or(few_shots.k);
  few_shots.stable = task->few_shots_stable.value_or(few_shots.stable);
  if (few_shots.k >= 0) few_shots.stable = std::min(few_shots.stable, few_shots.k);
  few_shots.tokens = task->few_shot_tokens.value_or(few_shots.tokens);
  return few_shots;
}

const specialists::Registry& Policy::registry() const {
  static const specialists::Registry none;
  return specialists ? *specialists : none;
}

const TaskConfig* Policy::find_task(std::string_view named, std::string_view requested_model) const {
  for (const TaskConfig& task : tasks) {
    if (!named.empty() && (named == task.name || (!task.match_header.empty() && named == task.match_header))) return &task;
  }
  if (!named.empty()) return nullptr;
  for (const TaskConfig& task : tasks) {
    if (!task.match_model.empty() && requested_model == task.match_model) return &task;
  }
  return nullptr;
}

Result<Route> resolve_model(const Policy& policy, std::string_view requested) {
  Route route;
  route.cascade = &policy.cascades.front();
  route.mode = route.cascade->mode;
  if (requested.empty() || requested == "understudy/auto" || requested == "auto") return route;
  if (requested == "understudy/student") {
    route.mode = Mode::kStudent;
    route.reason = "mode";
    return route;
  }
  if (requested == "understudy/teacher") {
    route.mode = Mode::kTeacher;
    route.reason = "mode";
    return route;
  }
  for (const CascadeConfig& cascade : policy.cascades) {
    if (requested == cascade.name) {
      route.cascade = &cascade;
      route.mode = cascade.mode;
      return route;
    }
  }
  for (std::size_t i = 0; i < policy.models.size(); ++i) {
    if (requested == policy.models[i].config.name) {
      route.direct_model = i;
      return route;
    }
  }
  switch (policy.unknown_model) {
    case UnknownModel::kAuto: return route;
    case UnknownModel::kTeacher:
      route.mode = Mode::kTeacher;
      route.reason = "mode";
      return route;
    case UnknownModel::kError: break;
  }
  std::string known = "understudy/auto, understudy/student, understudy/teacher";
  for (const CascadeConfig& cascade : policy.cascades) known += ", " + cascade.name;
  for (const PricedModel& model : policy.models) known += ", " + model.config.name;
  return fail(ErrorKind::kModelNotFound, fmt::format("There is no model '{}'. Known are: {}.", requested, known), "model");
}

}  // namespace understudy::cascade
