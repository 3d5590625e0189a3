// What the promise's thread does: rows in, keepers fed, fits begun, versions put in force.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "cascade/internal/harmless.h"
#include "cascade/internal/learned.h"
#include "cascade/internal/promise_parts.h"
#include "store/queries.h"

namespace understudy::cascade {

using calibration::KeeperEvent;
using calibration::KeeperEventKind;
using calibration::PromiseKeeper;

namespace {

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

bool PromiseService::Log::write(const KeeperEvent& event) {
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

void PromiseService::count_windows(Kept& kept) {
  const auto view = kept.task->view();
  if (!view->counts || view->counts->requests.load(std::memory_order_relaxed) < calibration::kShiftWindow) return;
  const calibration::ShiftWindow window = window_of(*view->counts);
  reset(*view->counts);
  Log log(*this, *kept.task);
  kept.keeper->observe(window, clock_.wall().us, log);
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

}  // namespace understudy::cascade
