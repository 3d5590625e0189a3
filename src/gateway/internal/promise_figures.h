#pragma once
/// A copy of what the promises report, for /metrics: PromiseService::reports() may wait up to a second while a test runs, which a
/// reactor must not.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cascade/promise.h"

namespace understudy::gateway::internal {

class PromiseFigures {
 public:
  using Reports = std::vector<cascade::TaskReport>;

  /// Takes a first copy at once, then one every `period_ms` on a thread of its own. `service` must outlive it.
  explicit PromiseFigures(const cascade::PromiseService& service, std::int64_t period_ms = 1'000);
  ~PromiseFigures();

  std::shared_ptr<const Reports> reports() const;   ///< never null; never waits

 private:
  void run(std::int64_t period_ms);
  void refresh();

  const cascade::PromiseService& service_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Reports> reports_;   ///< guarded
  std::mutex wake_mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;                    ///< guarded by wake_mutex_
  std::thread thread_;
};

}  // namespace understudy::gateway::internal
