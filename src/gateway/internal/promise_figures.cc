#include "gateway/internal/promise_figures.h"

#include <chrono>

namespace understudy::gateway::internal {

PromiseFigures::PromiseFigures(const cascade::PromiseService& service, std::int64_t period_ms) : service_(service) {
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
  const std::lock_guard lock(mutex_);
  reports_ = std::move(fresh);
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
