#include "app/label_needs.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>

#include "app/gateway_client.h"
#include "app/human.h"
#include "app/record_json.h"
#include "base/clock.h"
#include "cascade/ladder.h"
#include "cascade/promise.h"

namespace understudy::app {
namespace {

Result<LabelNeed> need_of(const Config& config, const cascade::CascadeConfig& cascade, const cascade::TaskConfig* task, const std::string& name) {
  const cascade::Policy& policy = *config.snapshot.policy;
  LabelNeed need{cascade.name, name, "by_hand", std::nullopt, std::nullopt, false, task != nullptr && task->alpha ? *task->alpha : cascade.alpha};
  if (cascade::Policy::by_hand(cascade, task)) return need;
  calibration::KeeperOptions options;
  options.promise = {need.alpha, task != nullptr && task->delta ? *task->delta : cascade.delta};
  options.spot_check = task != nullptr && task->spot_check ? *task->spot_check : cascade.spot_check;
  options.max_age_us = cascade.max_age_ms * 1'000;
  auto ladder = cascade::make_ladder(policy, cascade, task);
  auto decisions = cascade::read_few_shot_decisions(config.data);
  if (!decisions) return fail(std::move(decisions.error()));
  cascade::apply_decision(*decisions, cascade::promise_key(cascade.name, name), cascade::ladder_id(policy, cascade, task, ladder), ladder);
  const std::int64_t now_us = system_clock().wall().us;
  auto stored = cascade::load_promise(config.data, cascade::promise_key(cascade.name, name), now_us - options.max_age_us);
  if (!stored && stored.error().kind != ErrorKind::kNotFound) return fail(std::move(stored.error()));
  if (!stored) stored = cascade::StoredPromise{};
  calibration::PromiseKeeper keeper(options, cascade::rung_specs(ladder), cascade::ladder_id(policy, cascade, task, ladder), stored->events, std::move(stored->rows));
  keeper.look_ahead(now_us);
  const calibration::PromiseReport report = keeper.report(now_us);
  need.status = calibration::promise_state_name(report.state);
  need.labels = keeper.policy() ? std::optional<std::size_t>(0) : report.labels_needed;
  need.guessed = report.labels_guessed;
  if (need.labels && report.coin > 0) need.requests = static_cast<std::size_t>(std::ceil(static_cast<double>(*need.labels) / report.coin));
  return need;
}

std::string sentence(const LabelNeed& need) {
  if (need.status == "by_hand") return "the threshold is set by hand: cheap answers at once, outside the promise";
  if (need.status == "proven") return "a version is proven: cheap stages serve";
  if (!need.labels) return fmt::format("the student's confidence cannot show alpha = {:.3g}: a better student, a signal, or a larger alpha", need.alpha);
  std::string text = fmt::format("{}{} until the first cheap answer", need.guessed ? "about " : "", counted(static_cast<std::int64_t>(*need.labels), "more label"));
  if (need.requests) text += fmt::format(" ({})", counted(static_cast<std::int64_t>(*need.requests), "request"));
  if (need.guessed) text += fmt::format(", a guess from alpha = {:.3g} before anything is known of the student", need.alpha);
  return text;
}

}  // namespace

Result<std::vector<LabelNeed>> label_needs(const Config& config) {
  const cascade::Policy& policy = *config.snapshot.policy;
  std::vector<std::string> stored;
  if (auto reader = store::StoreReader::open(config.data)) {
    auto tasks = reader->promise_tasks();
    if (!tasks) return fail(std::move(tasks.error()));
    stored = std::move(*tasks);
  } else if (reader.error().kind != ErrorKind::kNotFound) {
    return fail(std::move(reader.error()));
  }
  std::vector<LabelNeed> needs;
  for (const cascade::CascadeConfig& cascade : policy.cascades) {
    if (!cascade.student) continue;
    std::vector<std::pair<std::string, const cascade::TaskConfig*>> tasks;
    for (const cascade::TaskConfig& task : policy.tasks) tasks.emplace_back(task.name, &task);
    const std::string prefix = cascade.name + "/";
    for (const std::string& key : stored) {
      if (!key.starts_with(prefix)) continue;
      const std::string name = key.substr(prefix.size());
      const bool listed = std::any_of(tasks.begin(), tasks.end(), [&](const auto& t) { return t.first == name; });
      if (!listed) tasks.emplace_back(name, nullptr);
    }
    if (tasks.empty()) tasks.emplace_back("", nullptr);
    for (const auto& [name, task] : tasks) {
      auto need = need_of(config, cascade, task, name);
      if (!need) return fail(std::move(need.error()));
      needs.push_back(std::move(*need));
    }
  }
  return needs;
}

Result<std::vector<LabelNeed>> label_needs_of_gateway(const StoreArguments& gateway) {
  auto json = ask_gateway(gateway, {"/admin/api/tasks", {}}, {.json = true, .style = {}});
  if (!json) return fail(std::move(json.error()));
  simdjson::dom::parser parser;
  simdjson::dom::array tasks;
  if (parser.parse(*json)["tasks"].get_array().get(tasks)) return fail(ErrorKind::kUsage, fmt::format("what answers at {} is no understudy gateway of this version", gateway.url));
  std::vector<LabelNeed> needs;
  for (const simdjson::dom::element task : tasks) {
    LabelNeed& need = needs.emplace_back();
    std::string_view text;
    if (!task["cascade"].get_string().get(text)) need.cascade = text;
    if (!task["task"].get_string().get(text)) need.task = text;
    if (!task["promise"]["status"].get_string().get(text)) need.status = text;
    [[maybe_unused]] auto none = task["promise"]["alpha"].get_double().get(need.alpha);
    std::uint64_t n = 0;
    if (!task["labels_needed"].get_uint64().get(n)) need.labels = n;
    if (!task["requests_needed"].get_uint64().get(n)) need.requests = n;
    none = task["labels_guessed"].get_bool().get(need.guessed);
  }
  return needs;
}

std::string label_needs_text(const std::vector<LabelNeed>& needs) {
  std::string out;
  for (const LabelNeed& need : needs) {
    const std::string name = need.task.empty() ? std::string("requests without a task") : "task " + printable(need.task);
    out += fmt::format("{:<5} {}{}: {}\n", "note", name, need.cascade == "default" ? "" : fmt::format(" (cascade {})", printable(need.cascade)), sentence(need));
  }
  return out;
}

void write_label_need(JsonWriter& w, const LabelNeed& need) {
  w.begin_object();
  write_text(w, "task", need.task);
  w.field("cascade", need.cascade).field("status", need.status);
  w.key("labels_needed");
  need.labels ? w.integer(static_cast<std::int64_t>(*need.labels)) : w.null();
  w.key("requests_needed");
  need.requests ? w.integer(static_cast<std::int64_t>(*need.requests)) : w.null();
  w.field("labels_guessed", need.guessed).field("note", sentence(need)).end_object();
}

}  // namespace understudy::app
