#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace understudy::store {

/// Wakes one thread that also looks around by itself every so often. Thread-safe.
class Signal {
 public:
  void notify() {
    {
      const std::lock_guard lock(mutex_);
      set_ = true;
    }
    condition_.notify_one();
  }
  /// Returns when notified, or after `timeout_ms`; a notification from before the call counts.
  void wait_ms(std::int64_t timeout_ms) {
    std::unique_lock lock(mutex_);
    condition_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return set_; });
    set_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool set_ = false;
};

}  // namespace understudy::store
