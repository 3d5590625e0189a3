#include "cascade/promise.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "cascade/internal/learned.h"
#include "cascade/internal/promise_parts.h"
#include "store/queries.h"

namespace understudy::cascade {

using calibration::LabelledRow;

namespace {

constexpr std::size_t kMostTasks = 1'000;
constexpr char kTenantMark = '\x1f';   // headers cannot hold it, and a task named with it is taken for none

}  // namespace

std::string promise_key(std::string_view cascade, std::string_view task) { return fmt::format("{}/{}", cascade, task); }

std::string tenant_task(std::string_view task, std::string_view tenant) {
  if (task.find(kTenantMark) != std::string_view::npos) task = {};
  return tenant.empty() ? std::string(task) : fmt::format("{}{}{}", task, kTenantMark, tenant);
}

std::string_view task_of(std::string_view tenant_task) { return tenant_task.substr(0, tenant_task.find(kTenantMark)); }

std::string shown_task(std::string_view tenant_task) {
  std::string shown(tenant_task);
  std::replace(shown.begin(), shown.end(), kTenantMark, '@');
  return shown;
}

// ------------------------------------------------------------------------------------------------ task

TaskPromise::TaskPromise(std::string key, std::string task, std::vector<Rung> ladder, std::string ladder_id, std::optional<double> by_hand)
    : key_(std::move(key)), task_(std::move(task)), ladder_(std::move(ladder)), ladder_id_(std::move(ladder_id)), by_hand_(by_hand),
      view_(std::make_shared<PromiseView>()) {}

std::shared_ptr<const PromiseView> TaskPromise::view() const {
  const std::lock_guard lock(mutex_);
  return view_;
}

bool TaskPromise::offer(std::string request_id, LabelledRow row, int examples) {
  const std::lock_guard lock(mutex_);
  if (closed_.load(std::memory_order_relaxed) || queue_.size() >= kMostQueued) {
    lost_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  queue_.push_back({std::move(request_id), std::move(row), examples});
  if (wake_ == nullptr || queue_.size() > 1) return true;  // told already
  const std::lock_guard wake(wake_->mutex);
  wake_->pending = true;
  wake_->condition.notify_one();
  return true;
}

// ------------------------------------------------------------------------------------------------ service

PromiseService::PromiseService(PromiseServiceOptions options)
    : options_(std::move(options)), clock_(options_.clock != nullptr ? *options_.clock : system_clock()) {
  read_pins();
  if (!options_.data.empty()) {
    if (auto decisions = read_few_shot_decisions(options_.data)) {
      few_shots_ = std::move(*decisions);
    } else {
      log::error("{}", decisions.error().message);
    }
  }
  thread_ = std::thread([this] { run(); });
}

PromiseService::~PromiseService() {
  {
    const std::lock_guard lock(wake_->mutex);
    wake_->stopping = true;
  }
  wake_->condition.notify_all();
  thread_.join();
  if (fitting_) fitting_->thread.join();
}

calibration::KeeperOptions PromiseService::options_for(const CascadeConfig& cascade, const TaskConfig* task) const {
  calibration::KeeperOptions options;
  options.promise.alpha = task != nullptr && task->alpha ? *task->alpha : cascade.alpha;
  options.promise.delta = task != nullptr && task->delta ? *task->delta : cascade.delta;
  options.spot_check = task != nullptr && task->spot_check ? *task->spot_check : cascade.spot_check;
  options.max_age_us = cascade.max_age_ms * 1'000;
  options.seed = options_.seed;
  return options;
}

std::shared_ptr<TaskPromise> PromiseService::task(const Policy& policy, const CascadeConfig& cascade, const TaskConfig* config, std::string_view task) {
  auto ladder = make_ladder(policy, cascade, config);
  std::string id = cascade::ladder_id(policy, cascade, config, ladder);
  const auto by_hand = Policy::by_hand(cascade, config);
  std::unique_lock lock(tasks_mutex_);
  if (apply_decision(few_shots_, promise_key(cascade.name, task), id, ladder)) id = cascade::ladder_id(policy, cascade, config, ladder);
  std::string key = promise_key(cascade.name, task);
  auto found = kept_.find(key);
  if (found == kept_.end() && kept_.size() >= kMostTasks && !task.empty() && config == nullptr && task_of(task).size() == task.size()) {
    task = {};
    key = promise_key(cascade.name, task);
    found = kept_.find(key);
  }
  // Tenants that learn apart share nothing, not even for want of room: beyond it the teacher serves.
  const bool no_room = found == kept_.end() && kept_.size() >= kMostTasks && task_of(task).size() != task.size();
  if (found != kept_.end() && found->second->task->ladder_id() == id && found->second->task->by_hand() == by_hand) return found->second->task;
  auto made = std::make_shared<TaskPromise>(key, std::string(task), std::move(ladder), std::move(id), by_hand);
  if (const auto pin = pins_.find(task_of(made->task())); pin != pins_.end()) made->pinned_.store(pin->second, std::memory_order_relaxed);
  if (no_room || policy_ == nullptr || &policy != policy_.get()) {
    made->closed_.store(true, std::memory_order_relaxed);  // a request that a reload has overtaken
    return made;
  }
  made->wake_ = wake_;
  auto kept = std::make_shared<Kept>();
  kept->task = made;
  kept->options = options_for(cascade, config);
  kept->cascade = cascade.name;
  kept->forgives = config != nullptr && config->forgive_harmless ? *config->forgive_harmless : cascade.forgive_harmless;
  if (config != nullptr) kept->compare = config->compare;
  if (found != kept_.end()) found->second->task->closed_.store(true, std::memory_order_relaxed);
  kept_.insert_or_assign(key, std::move(kept));
  lock.unlock();
  {
    const std::lock_guard wake(wake_->mutex);
    wake_->pending = true;
  }
  wake_->condition.notify_one();
  return made;
}

void PromiseService::configure(std::shared_ptr<const Policy> policy) {
  // One at a time with the thread's work, and with another reload.
  const std::lock_guard work(work_mutex_);
  std::vector<std::string> keys;
  if (!options_.data.empty()) {
    auto reader = store::StoreReader::open(options_.data);
    auto stored = reader ? reader->promise_tasks() : Result<std::vector<std::string>>(fail(std::move(reader.error())));
    if (stored) {
      keys = std::move(*stored);
    } else if (stored.error().kind != ErrorKind::kNotFound) {
      log::error("the evidence of promises could not be read, so the teacher answers until new is collected: {}", stored.error().message);
    }
  }
  const Policy& now = *policy;
  {
    const std::lock_guard lock(tasks_mutex_);
    policy_ = policy;
    for (const auto& [key, kept] : kept_) keys.push_back(key);
  }
  for (const TaskConfig& task : now.tasks) {
    for (const CascadeConfig& cascade : now.cascades) keys.push_back(promise_key(cascade.name, task.name));
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  for (const std::string& key : keys) {
    const std::size_t slash = key.find('/');
    if (slash == std::string::npos) continue;
    const std::string_view cascade_name = std::string_view(key).substr(0, slash), task_name = std::string_view(key).substr(slash + 1);
    const auto cascade = std::find_if(now.cascades.begin(), now.cascades.end(), [&](const CascadeConfig& c) { return c.name == cascade_name; });
    if (cascade == now.cascades.end()) {
      const std::lock_guard lock(tasks_mutex_);
      if (const auto gone = kept_.find(key); gone != kept_.end()) {
        gone->second->task->closed_.store(true, std::memory_order_relaxed);
        kept_.erase(gone);
      }
      continue;
    }
    const TaskConfig* config = nullptr;
    for (const TaskConfig& t : now.tasks) {
      if (t.name == task_of(task_name)) config = &t;
    }
    const auto promise = task(now, *cascade, config, task_name);
    std::shared_ptr<Kept> kept;
    {
      const std::lock_guard lock(tasks_mutex_);
      const auto at = kept_.find(key);
      if (at == kept_.end() || at->second->task != promise) continue;
      kept = at->second;
    }
    const auto options = options_for(*cascade, config);
    const auto same = [](const calibration::KeeperOptions& a, const calibration::KeeperOptions& b) {
      return a.promise.alpha == b.promise.alpha && a.promise.delta == b.promise.delta && a.spot_check == b.spot_check && a.max_age_us == b.max_age_us;
    };
    if (kept->keeper && same(kept->options, options)) continue;
    kept->options = options;
    kept->keeper.reset();
    load_keeper(*kept);
    publish(*kept);
  }
}

void PromiseService::load_keeper(Kept& kept) {
  if (kept.task->by_hand()) return;
  StoredPromise stored;
  if (!options_.data.empty()) {
    auto loaded = load_promise(options_.data, kept.task->key(), clock_.wall().us - kept.options.max_age_us);
    if (loaded) {
      stored = std::move(*loaded);
      if (stored.unreadable > 0) log::warn("promise of {}: {} stored records could not be read and are left out", kept.task->key(), stored.unreadable);
    } else if (loaded.error().kind != ErrorKind::kNotFound) {
      log::error("promise of {}: its evidence could not be read, so it starts anew: {}", kept.task->key(), loaded.error().message);
    }
  }
  kept.learner = internal::make_learner(kept.task->ladder(), kept.compare, options_.data, kept.task->key());
  kept.keeper.emplace(kept.options, rung_specs(kept.task->ladder()), kept.task->ladder_id(), stored.events, std::move(stored.rows), kept.learner);
  Log log(*this, *kept.task);
  [[maybe_unused]] const bool opened = stored.epoch_in_doubt ? kept.keeper->distrust("an event in the store cannot be read", clock_.wall().us, log)
                                                             : kept.keeper->open(clock_.wall().us, log);  // refused: `advance` tries again
  kept.look_at_judge();
}

void PromiseService::publish(Kept& kept) {
  if (!kept.keeper) return;
  const auto before = kept.task->view();
  auto view = std::make_shared<PromiseView>();
  view->state = kept.keeper->state();
  view->coin = kept.keeper->coin();
  view->test_share = kept.keeper->test_share();
  view->trusted_judge = kept.trusted_judge;
  view->policy = kept.keeper->policy();
  view->fit = std::static_pointer_cast<const specialists::TextFit>(kept.keeper->fit());
  view->baseline = kept.keeper->baseline();
  if (view->baseline) view->counts = view->baseline == before->baseline ? before->counts : std::make_shared<InputCounts>();
  const std::lock_guard lock(kept.task->mutex_);
  kept.task->view_ = std::move(view);
}

void PromiseService::feedback(std::string request_id, std::string tenant, std::string truth) {
  constexpr std::size_t kMost = 10'000;
  {
    const std::lock_guard lock(feedback_mutex_);
    if (feedback_.size() >= kMost) return;  // it is in the store all the same; only its correction is lost
    feedback_.push_back({std::move(request_id), std::move(tenant), std::move(truth)});
  }
  const std::lock_guard wake(wake_->mutex);
  wake_->pending = true;
  wake_->condition.notify_one();
}

std::vector<TaskReport> PromiseService::reports() const {
  const std::lock_guard work(work_mutex_);
  const std::lock_guard lock(tasks_mutex_);
  std::vector<TaskReport> reports;
  for (const auto& [key, kept] : kept_) {
    TaskReport& r = reports.emplace_back();
    r.key = key;
    r.cascade = kept->cascade;
    r.task = shown_task(kept->task->task());
    r.by_hand = kept->task->by_hand();
    r.pinned = kept->task->pinned();
    r.options = kept->options;
    r.rungs = rung_specs(kept->task->ladder());
    r.rows_lost = kept->task->lost_.load(std::memory_order_relaxed);
    r.uplift = kept->trial.uplift();
    if (const auto decision = few_shots_.find(key); decision != few_shots_.end()) r.few_shots = decision->second.why;
    if (!kept->keeper) continue;
    r.promise = kept->keeper->report(clock_.wall().us);
    r.policy = kept->keeper->policy();
  }
  return reports;
}

Result<void> PromiseService::pin(const std::string& task, bool to_teacher) {
  if (options_.data.empty()) return fail(ErrorKind::kUnsupported, "This gateway keeps no data, so no pins.");
  if (auto written = write_pin(options_.data, task, to_teacher); !written) return written;
  read_pins();
  return {};
}

void PromiseService::read_pins() {
  if (options_.data.empty()) return;
  auto pins = cascade::read_pins(options_.data);
  const std::lock_guard lock(tasks_mutex_);
  if (!pins) {
    if (pins_text_ != pins.error().message) log::error("{}; the pins that were read before stay in force", pins.error().message);
    pins_text_ = pins.error().message;
    return;
  }
  pins_text_.clear();
  if (*pins == pins_) return;
  pins_ = std::move(*pins);
  for (const auto& [key, kept] : kept_) {
    const auto pin = pins_.find(task_of(kept->task->task()));
    kept->task->pinned_.store(pin != pins_.end() && pin->second, std::memory_order_relaxed);
  }
}

}  // namespace understudy::cascade
