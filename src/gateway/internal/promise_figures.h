#pragma once
/// A copy of what the promises report, for /metrics: PromiseService::reports() may wait up to a second while a test runs, which a
/// reactor must not.

#include <condition_variable>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cascade/promise.h"

namespace understudy::gateway::internal {

class PromiseFigures {
 public:
  using Reports = std::vector<cascade::TaskReport>;

  /// Takes a first copy at once, then one every `period_ms` on a thread of its own. `service` must outlive it. Alarms since `started`
  /// are counted in the store at `data` ("": none are).
  PromiseFigures(const cascade::PromiseService& service, std::filesystem::path data, WallTime started, std::int64_t period_ms = 1'000);
  ~PromiseFigures();

  // Never wait.
  std::shared_ptr<const Reports> reports() const;   ///< never null
  std::map<std::string, std::uint64_t> alarms() const;   ///< by name, all names that there are

 private:
  void run(std::int64_t period_ms);
  void refresh();
  void count_alarms();

  const cascade::PromiseService& service_;
  const std::filesystem::path data_;
  const WallTime started_;
  std::uint64_t counted_ = 0;                ///< of the thread: alarms in `alarms_`
  mutable std::mutex mutex_;
  std::shared_ptr<const Reports> reports_;   ///< guarded
  std::map<std::string, std::uint64_t> alarms_;   ///< guarded
  std::mutex wake_mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;                    ///< guarded by wake_mutex_
  std::thread thread_;
};

}  // namespace understudy::gateway::internal
