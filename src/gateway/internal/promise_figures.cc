#include "gateway/internal/promise_figures.h"

#include <algorithm>
#include <chrono>

#include "store/queries.h"

namespace understudy::gateway::internal {

PromiseFigures::PromiseFigures(const cascade::PromiseService& service, std::filesystem::path data, WallTime started, std::int64_t period_ms)
    : service_(service), data_(std::move(data)), started_(started), alarms_{{"promise", 0}, {"input_shift", 0}, {"stale", 0}} {
  refresh();
  thread_ = std::thread([this, period_ms] { run(period_ms); });
}

PromiseFigures::~PromiseFigures() {
  {
    const std::lock_guard lock(wake_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

std::shared_ptr<const PromiseFigures::Reports> PromiseFigures::reports() const {
  const std::lock_guard lock(mutex_);
  return reports_;
}

void PromiseFigures::refresh() {
  auto fresh = std::make_shared<const Reports>(service_.reports());
  {
    const std::lock_guard lock(mutex_);
    reports_ = std::move(fresh);
  }
  if (!data_.empty() && service_.alarms() != counted_) count_alarms();
}

void PromiseFigures::count_alarms() {
  const std::uint64_t raised = service_.alarms();
  auto reader = store::StoreReader::open(data_);
  if (!reader) return;  // tried again in the next round
  const auto all = reader->alarms(started_, 10'000);
  if (!all) return;
  std::map<std::string, std::uint64_t> by_name;
  for (const store::AlarmRecord& alarm : *all) ++by_name[alarm.name];
  const std::lock_guard lock(mutex_);
  for (auto& [name, n] : alarms_) n = std::max(n, by_name[name]);  // a counter never falls, whatever the clock does
  counted_ = raised;
}

std::map<std::string, std::uint64_t> PromiseFigures::alarms() const {
  const std::lock_guard lock(mutex_);
  return alarms_;
}

void PromiseFigures::run(std::int64_t period_ms) {
  std::unique_lock lock(wake_mutex_);
  while (!wake_.wait_for(lock, std::chrono::milliseconds(period_ms), [this] { return stopping_; })) {
    lock.unlock();
    refresh();
    lock.lock();
  }
}

}  // namespace understudy::gateway::internal
