#include "cascade/promise.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <future>

#include "base/log.h"
#include "cascade/internal/harmless.h"
#include "cascade/internal/learned.h"
#include "store/queries.h"

namespace understudy::cascade {

using calibration::KeeperEvent;
using calibration::KeeperEventKind;
using calibration::LabelledRow;
using calibration::PromiseKeeper;

namespace {

constexpr std::size_t kMostTasks = 1'000;

void reset(InputCounts& counts) {
  for (auto& n : counts.confidence) n.store(0, std::memory_order_relaxed);
  for (auto& n : counts.bytes) n.store(0, std::memory_order_relaxed);
  counts.requests.store(0, std::memory_order_relaxed);
  counts.unknown_prompts.store(0, std::memory_order_relaxed);
}

calibration::ShiftWindow window_of(const InputCounts& counts) {
  calibration::ShiftWindow window;
  for (std::size_t i = 0; i < calibration::kShiftBins; ++i) {
    window.confidence[i] = counts.confidence[i].load(std::memory_order_relaxed);
    window.bytes[i] = counts.bytes[i].load(std::memory_order_relaxed);
  }
  window.requests = counts.requests.load(std::memory_order_relaxed);
  window.unknown_prompts = counts.unknown_prompts.load(std::memory_order_relaxed);
  return window;
}

}  // namespace

std::string promise_key(std::string_view cascade, std::string_view task) { return fmt::format("{}/{}", cascade, task); }

namespace {
constexpr char kTenantMark = '\x1f';   // headers cannot hold it, and a task named with it is taken for none
}

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

/// A fit of the learned rungs under way.
struct PromiseService::Fitting {
  std::shared_ptr<Kept> kept;
  calibration::FitJob job;
  std::shared_ptr<const calibration::RungLearner> learner;
  std::promise<calibration::Fitted> promise;
  std::future<calibration::Fitted> fitted = promise.get_future();
  std::thread thread;
};

/// A task with its keeper. The keeper is touched under work_mutex_ only.
struct PromiseService::Kept {
  std::shared_ptr<TaskPromise> task;
  calibration::KeeperOptions options;
  std::string cascade;
  bool forgives = false;
  std::optional<calibration::ComparatorSpec> compare;
  FewShotTrial trial;                    ///< of examples
  std::optional<PromiseKeeper> keeper;   ///< nullopt: by hand, or not loaded yet
  std::shared_ptr<const calibration::RungLearner> learner;
  std::string trusted_judge;             ///< PromiseView

  void look_at_judge() {
    const calibration::JudgeCheck check = keeper->judge_check();
    trusted_judge = check.trusted() ? check.by : std::string();
  }
};

/// Events go to the journal before they take effect; people are told once they have.
class PromiseService::Log final : public calibration::KeeperLog {
 public:
  Log(PromiseService& service, const TaskPromise& task) : service_(service), task_(task) {}

  bool write(const KeeperEvent& event) override {
    store::Journal* journal = service_.options_.journal;
    if (journal != nullptr) {
      const std::string detail = calibration::keeper_event_json(event);
      store::PromiseEvent stored;
      stored.task = task_.key();
      stored.kind = calibration::keeper_event_name(event.kind);
      stored.version = event.policy ? std::string_view(event.policy->version) : std::string_view{};
      stored.detail = detail;
      if (!journal->append(stored)) {
        log::error("promise of {}: {} could not be written to the journal, so it does not happen", name(), stored.kind);
        return false;
      }
    }
    switch (event.kind) {
      case KeeperEventKind::kAlarm: {
        service_.alarms_.fetch_add(1, std::memory_order_relaxed);
        log::warn("ALARM {} of {}: {}; the teacher answers until a new version is proven", event.why, name(), event.message);
        if (journal != nullptr) {
          store::AlarmEvent alarm;
          alarm.name = event.why;
          alarm.subject = task_.key();
          alarm.message = event.message;
          journal->append(alarm);
        }
        break;
      }
      case KeeperEventKind::kSwitch: log::info("promise of {}: {} is in force", name(), event.message); break;
      case KeeperEventKind::kSuspect: log::info("promise of {}: {}", name(), event.message); break;
      case KeeperEventKind::kEpoch:
      case KeeperEventKind::kTest:
      case KeeperEventKind::kOutcome: log::debug("promise of {}: {}: {}", name(), calibration::keeper_event_name(event.kind), event.message); break;
    }
    return true;
  }

 private:
  std::string name() const { return task_.task().empty() ? "requests without a task" : fmt::format("task '{}'", task_.task()); }

  PromiseService& service_;
  const TaskPromise& task_;
};

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

void PromiseService::run() {
  MonoTime pins_read = clock_.mono();
  std::unique_lock lock(wake_->mutex);
  while (!wake_->stopping) {
    wake_->condition.wait_for(lock, std::chrono::milliseconds(options_.tick_ms), [&] { return wake_->pending || wake_->stopping; });
    wake_->pending = false;
    lock.unlock();
    if (const MonoTime now = clock_.mono(); now >= pins_read.plus_ms(options_.tick_ms)) {
      read_pins();
      if (options_.few_shots != nullptr) options_.few_shots->refresh();
      pins_read = now;
    }
    work();
    lock.lock();
  }
  lock.unlock();
  work();
}

void PromiseService::settle() {
  work();
  while (true) {
    {
      const std::lock_guard work(work_mutex_);
      if (!fitting_) return;
      fitting_->fitted.wait();
    }
    work();
  }
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

void PromiseService::count_windows(Kept& kept) {
  const auto view = kept.task->view();
  if (!view->counts || view->counts->requests.load(std::memory_order_relaxed) < calibration::kShiftWindow) return;
  const calibration::ShiftWindow window = window_of(*view->counts);
  reset(*view->counts);
  Log log(*this, *kept.task);
  kept.keeper->observe(window, clock_.wall().us, log);
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

void PromiseService::take_feedback() {
  std::vector<Told> all;
  {
    const std::lock_guard lock(feedback_mutex_);
    all.swap(feedback_);
  }
  if (all.empty() || options_.data.empty()) return;
  auto reader = store::StoreReader::open(options_.data);
  if (!reader) return;
  for (const auto& [request_id, tenant, truth] : all) {
    const auto detail = reader->request(request_id);
    if (!detail || detail->request.tenant != tenant) continue;
    std::shared_ptr<Kept> kept;
    {
      const std::lock_guard lock(tasks_mutex_);
      auto at = kept_.find(promise_key(detail->request.cascade, tenant_task(detail->request.task, tenant)));
      if (at == kept_.end()) at = kept_.find(promise_key(detail->request.cascade, detail->request.task));
      if (at != kept_.end()) kept = at->second;
    }
    if (!kept || !kept->keeper || !kept->forgives) continue;
    const auto harmless = internal::harmless_rungs(*detail, kept->task->ladder(), truth, kept->compare);
    const auto row = kept->keeper->forgive(request_id, harmless);
    if (!row || options_.journal == nullptr) continue;
    const std::string json = calibration::row_json(*row);
    store::PromiseRowEvent stored;
    stored.request_id = request_id;
    stored.task = kept->task->key();
    stored.test = row->use == calibration::RowUse::kTest;
    stored.row = json;
    options_.journal->append(stored);  // where it is lost, a restart finds the stricter row
  }
}

void PromiseService::work() {
  const std::lock_guard work(work_mutex_);
  take_feedback();
  std::vector<std::shared_ptr<Kept>> all;
  {
    const std::lock_guard lock(tasks_mutex_);
    for (const auto& [key, kept] : kept_) all.push_back(kept);
  }
  fit_next(all);
  for (const auto& kept : all) {
    TaskPromise& task = *kept->task;
    if (task.by_hand()) continue;
    const bool fresh = !kept->keeper;
    if (fresh) load_keeper(*kept);
    std::vector<TaskPromise::Queued> queue;
    {
      const std::lock_guard lock(task.mutex_);
      queue.swap(task.queue_);
    }
    PromiseKeeper& keeper = *kept->keeper;
    Log log(*this, task);
    bool judged = false;
    for (TaskPromise::Queued& queued : queue) {
      if (queued.row.rungs.size() != keeper.rungs().size()) continue;
      queued.row.at_us = clock_.wall().us;
      queued.row.request_id = queued.request_id;
      // Escalations are written down where rungs learn from them: the fit after a restart is to know what the one before knew.
      const bool written = queued.row.source != calibration::LabelSource::kEscalation || (!queued.row.terms.empty() && keeper.has_room());
      if (options_.journal != nullptr && written) {
        const std::string json = calibration::row_json(queued.row);
        store::PromiseRowEvent stored;
        stored.request_id = queued.request_id;
        stored.task = task.key();
        stored.test = queued.row.use == calibration::RowUse::kTest;
        stored.row = json;
        // A row that is not kept is not counted either: after a restart the keeper must find what it decided by.
        if (!options_.journal->append(stored)) {
          task.lost_.fetch_add(1, std::memory_order_relaxed);
          continue;
        }
      }
      if (!queued.row.estimated) count_row(task.ladder(), queued.row, queued.examples, kept->trial);
      judged = judged || !queued.row.verdicts_by.empty();
      keeper.add(std::move(queued.row), clock_.wall().us, log);
    }
    if (judged) kept->look_at_judge();
    look_at_examples(*kept);
    count_windows(*kept);
    const bool advanced = keeper.wants_advance(clock_.wall().us);
    if (advanced) keeper.advance(clock_.wall().us, log);
    const auto view = task.view();
    if (fresh || advanced || view->policy != keeper.policy() || view->state != keeper.state() || view->coin != keeper.coin() || view->test_share != keeper.test_share() ||
        view->trusted_judge != kept->trusted_judge) {
      publish(*kept);
    }
  }
}

void PromiseService::fit_next(const std::vector<std::shared_ptr<Kept>>& all) {
  if (fitting_) {
    if (fitting_->fitted.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return;
    fitting_->thread.join();
    Kept& kept = *fitting_->kept;
    if (kept.keeper) {
      calibration::Fitted fitted = fitting_->fitted.get();
      log::debug("promise of {}: {} rows learnt", kept.task->key(), fitting_->job.rows.size());
      kept.keeper->adopt(fitting_->job, std::move(fitted));
      internal::prune_fits(options_.data, kept.task->key(), kept.keeper->fits_used());
    }
    fitting_.reset();
  }
  for (const auto& kept : all) {
    if (!kept->keeper || !kept->learner) continue;
    auto job = kept->keeper->fit_job();
    if (!job) continue;
    fitting_ = std::make_unique<Fitting>();
    fitting_->kept = kept;
    fitting_->job = std::move(*job);
    fitting_->learner = kept->learner;
    fitting_->thread = std::thread([fitting = fitting_.get(), wake = wake_] {
      ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 10);
      fitting->promise.set_value(fitting->learner->fit(fitting->job.rows, fitting->job.seed));
      const std::lock_guard lock(wake->mutex);
      wake->pending = true;
      wake->condition.notify_one();
    });
    return;
  }
}

void PromiseService::look_at_examples(Kept& kept) {
  TaskPromise& task = *kept.task;
  const auto pair = paired_rungs(task.ladder());
  if (!pair || task.replaced()) return;
  const FewShotUplift all = kept.trial.uplift();
  FewShotDecision decision;
  decision.ladder = task.ladder_id();
  if (kept.trial.useless()) {
    decision.why = fmt::format("no examples are shown any more: on {} labelled requests they made {} answers right and {} wrong", all.rows, all.better, all.worse);
  } else if (const auto k = task.ladder()[pair->with].trial ? kept.trial.decided() : std::nullopt) {
    const FewShotUplift best = kept.trial.uplift(*k);
    decision.k = *k;
    decision.why = fmt::format("{} examples are shown from now on: uplift {:+.3f} ({:+.3f} to {:+.3f}) on {} of {} labelled requests", *k, best.mean, best.low, best.high, best.rows, all.rows);
  } else {
    return;
  }
  FewShotDecisions decisions;
  {
    const std::lock_guard lock(tasks_mutex_);
    decisions = few_shots_;
  }
  decisions[task.key()] = decision;
  if (!options_.data.empty()) {
    if (auto written = write_few_shot_decisions(options_.data, decisions); !written) {
      if (kept.trial.uplift().rows % 50 == 0) log::error("examples of {}: {}", task.key(), written.error().message);
      return;   // decided again with the next row
    }
  }
  log::info("examples of {}: {}; the promise is proven anew", task.key(), decision.why);
  if (options_.journal != nullptr) {
    store::AlarmEvent event;
    event.name = "few_shots";
    event.subject = task.key();
    event.message = decision.why;
    options_.journal->append(event);
  }
  const std::lock_guard lock(tasks_mutex_);
  few_shots_ = std::move(decisions);
  task.closed_.store(true, std::memory_order_relaxed);   // the next request gets the new ladder
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
