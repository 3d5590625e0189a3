#include "app/tasks_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/human.h"
#include "base/clock.h"
#include "base/nearest.h"

namespace understudy::app {
namespace {

constexpr std::int64_t kDayUs = 86'400'000'000;

/// The newest finished request of a task: without a running gateway nobody else says whether its threshold is by hand.
Result<std::optional<store::RequestRecord>> latest_request(store::StoreReader& reader, const std::string& task) {
  store::RequestFilter filter;
  filter.task = task;
  filter.limit = 1;
  auto page = reader.requests(filter);
  if (!page) return fail(std::move(page.error()));
  if (page->requests.empty()) return std::optional<store::RequestRecord>();
  return std::optional(std::move(page->requests.front()));
}

TaskView& view_of(std::vector<TaskView>& tasks, const std::string& cascade, const std::string& task) {
  for (TaskView& view : tasks) {
    if (view.task == task && (view.cascade == cascade || view.cascade.empty())) {
      view.cascade = cascade;
      return view;
    }
  }
  TaskView& made = tasks.emplace_back();
  made.cascade = cascade;
  made.task = task;
  return made;
}

void add_live_facts(TaskView& view, const cascade::Policy& policy) {
  for (const cascade::CascadeConfig& cascade : policy.cascades) {
    if (cascade.name != view.cascade) continue;
    view.shadow = cascade.mode == cascade::Mode::kShadow;
    view.label_budget = cascade.label_budget_per_day;
  }
  for (const cascade::TaskConfig& task : policy.tasks) {
    if (task.name == view.task && task.pin_teacher) view.pinned = true;
  }
}

Result<void> add_stored_facts(TaskView& view, store::StoreReader& reader) {
  auto latest = latest_request(reader, view.task);
  if (!latest) return fail(std::move(latest.error()));
  if (!*latest) return {};
  const store::RequestRecord& r = **latest;
  if (view.cascade.empty()) view.cascade = r.cascade;
  view.shadow = r.mode == cascade::mode_name(cascade::Mode::kShadow);
  if (r.threshold_by_hand && r.threshold) view.by_hand = r.threshold;
  return {};
}

}  // namespace

std::string_view TaskView::status() const {
  if (by_hand) return "by_hand";
  return calibration::promise_state_name(report ? report->promise.state : calibration::PromiseState::kWarming);
}

std::optional<double> TaskView::alpha() const { return report && !by_hand ? std::optional(report->options.promise.alpha) : std::nullopt; }
std::optional<double> TaskView::delta() const { return report && !by_hand ? std::optional(report->options.promise.delta) : std::nullopt; }

std::optional<double> TaskView::coin() const {
  if (!report) return std::nullopt;
  return by_hand ? report->options.spot_check : report->promise.coin;
}

std::size_t TaskView::rows() const {
  if (policy() != nullptr) return policy()->rows;
  return report && !by_hand ? report->promise.test_rows : 0;
}

std::optional<std::size_t> TaskView::labels_needed() const {
  if (!report || by_hand) return std::nullopt;
  return policy() != nullptr ? std::optional<std::size_t>(0) : report->promise.labels_needed;
}

std::optional<std::size_t> TaskView::requests_needed() const {
  const auto labels = labels_needed();
  if (!labels || !coin() || *coin() <= 0) return std::nullopt;
  return static_cast<std::size_t>(std::ceil(static_cast<double>(*labels) / *coin()));
}

std::optional<double> TaskView::cheap_share() const {
  if (all.requests == 0) return std::nullopt;
  std::int64_t cheap = 0;
  for (std::size_t i = 0; i < kStageCount; ++i) {
    if (i != static_cast<std::size_t>(Stage::kTeacher)) cheap += all.served_by[i];
  }
  return static_cast<double>(cheap) / static_cast<double>(all.requests);
}

std::optional<ShareInterval> measured_agreement(const TaskView& task) {
  const std::int64_t n = task.all.agreement_n();
  const auto share = task.all.agreement();
  if (!share || n == 0) return std::nullopt;
  return share_interval(std::llround(*share * static_cast<double>(n)), n);
}

std::optional<ShareInterval> noise_floor(const TaskView& task) { return share_interval(task.noise.disagreed, task.noise.asked); }

Result<TasksReport> collect_tasks(const std::filesystem::path& data, const gateway::LiveGateway* live) {
  auto reader = store::StoreReader::open(data);
  if (!reader) return fail(std::move(reader.error()));
  auto status = reader->status();
  if (!status) return fail(std::move(status.error()));
  auto reports = live != nullptr ? Result<std::vector<cascade::TaskReport>>(live->tasks) : cascade::stored_reports(data, status->now.us);
  if (!reports) return fail(std::move(reports.error()));
  auto pins = cascade::read_pins(data);
  if (!pins) return fail(std::move(pins.error()));
  auto alarms = reader->alarms(std::nullopt, 1'000);
  if (!alarms) return fail(std::move(alarms.error()));

  TasksReport report{data.string(), status->now, {}};
  for (cascade::TaskReport& r : *reports) {
    TaskView& view = view_of(report.tasks, r.cascade, r.task);
    view.by_hand = r.by_hand;
    view.pinned = r.pinned;
    view.report = std::move(r);
  }
  for (const store::TaskTotals& totals : status->tasks) {
    if (std::none_of(report.tasks.begin(), report.tasks.end(), [&](const TaskView& v) { return v.task == totals.task; })) view_of(report.tasks, "", totals.task);
  }
  std::optional<Picousd> spent;
  if (live != nullptr) {
    spent = live->label_spent_today;
  } else if (const auto sum = reader->label_spend(WallTime{status->now.us / kDayUs * kDayUs})) {
    spent = Picousd{static_cast<std::int64_t>(std::min<Int128>(sum->value, INT64_MAX))};
  }
  for (TaskView& view : report.tasks) {
    for (const store::TaskTotals& totals : status->tasks) {
      if (totals.task != view.task) continue;
      view.all = totals.all;
      view.last_24h = totals.last_24h;
    }
    if (const auto pin = pins->find(view.task); pin != pins->end()) view.pinned = view.pinned || pin->second;
    auto noise = reader->teacher_noise(view.task);
    if (!noise) return fail(std::move(noise.error()));
    view.noise = *noise;
    view.label_spent_today = spent;
    if (live != nullptr && live->policy) {
      add_live_facts(view, *live->policy);
    } else if (auto added = add_stored_facts(view, *reader); !added) {
      return fail(std::move(added.error()));
    }
    const std::string key = cascade::promise_key(view.cascade, view.task);
    for (const store::AlarmRecord& alarm : *alarms) {
      if (alarm.subject == key) view.alarms.push_back(alarm);
    }
    for (const TaskView& other : report.tasks) {
      if (&other != &view && other.task == view.task) view.also.push_back(other.cascade);
    }
  }
  std::stable_sort(report.tasks.begin(), report.tasks.end(), [](const TaskView& a, const TaskView& b) { return a.all.requests > b.all.requests; });
  return report;
}

Result<const TaskView*> find_task(const TasksReport& report, std::string_view name) {
  const std::string_view wanted = name == "-" ? std::string_view{} : name;
  const TaskView* found = nullptr;
  for (const TaskView& task : report.tasks) {
    if (cascade::promise_key(task.cascade, task.task) == name) return &task;
    if (task.task == wanted && (found == nullptr || task.cascade == "default")) found = &task;
  }
  if (found != nullptr) return found;
  std::vector<std::string_view> names;
  for (const TaskView& task : report.tasks) names.push_back(task.task.empty() ? std::string_view("-") : std::string_view(task.task));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  const std::string listed = names.empty() ? "none yet" : fmt::format("{}", fmt::join(std::vector(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(names.size(), 20))), ", "));
  return fail(ErrorKind::kNotFound, fmt::format("no task \"{}\" is known{} (tasks: {}{})", printable(name.substr(0, 200)), did_you_mean(name, names), listed, names.size() > 20 ? ", ..." : ""));
}

std::string task_label(const TaskView& task) { return task.task.empty() ? "(none)" : task.task; }

std::string threshold_list(const TaskView& task, std::string_view separator) {
  if (task.by_hand) return *task.by_hand > 1 ? std::string("by a band") : fmt::format("student {}", *task.by_hand);
  if (!task.report) return "-";
  std::string out;
  const calibration::LadderPolicy* policy = task.policy();
  for (std::size_t i = 0; i < task.report->rungs.size(); ++i) {
    const bool serves = policy != nullptr && i < policy->rungs.size() && policy->rungs[i].threshold;
    out += fmt::format("{}{} {}", out.empty() ? "" : separator, task.report->rungs[i].name, serves ? human_confidence(*policy->rungs[i].threshold) : "never");
  }
  return out.empty() ? "-" : out;
}

}  // namespace understudy::app
