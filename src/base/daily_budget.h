#pragma once
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "base/money.h"

namespace understudy {

/// Money for one purpose per UTC day. Only a later day than the latest seen brings a new budget: a clock that jumps forward and back does
/// not. Thread-safe.
class DailyBudget {
 public:
  /// Sets `estimate` aside for one call. False: the day's budget would be passed, or nobody knows what the call costs: an unknown price
  /// is not zero.
  bool reserve(std::optional<Picousd> limit, std::optional<Picousd> estimate, WallTime now) {
    if (!estimate || !limit) return false;
    const std::lock_guard lock(mutex_);
    go_to_day_of(now);
    if (spent_.value + estimate->value > limit->value) return false;
    spent_ = spent_ + *estimate;
    return true;
  }

  /// Replaces the estimate by what the call cost.
  void settle(Picousd estimate, Picousd cost) {
    const std::lock_guard lock(mutex_);
    spent_ = spent_ - estimate + cost;
  }

  /// At start: what the store says was spent since midnight.
  void restore(Picousd spent, WallTime now) {
    const std::lock_guard lock(mutex_);
    go_to_day_of(now);
    spent_ = spent_ + spent;
  }

  Picousd spent_today(WallTime now) {
    const std::lock_guard lock(mutex_);
    go_to_day_of(now);
    return spent_;
  }

  /// On the latest day seen.
  Picousd spent() const {
    const std::lock_guard lock(mutex_);
    return spent_;
  }

 private:
  void go_to_day_of(WallTime now) {
    const std::int64_t day = now.us / 86'400'000'000;
    if (day <= day_) return;
    day_ = day;
    spent_ = {};
  }

  mutable std::mutex mutex_;
  std::int64_t day_ = 0;   ///< guarded
  Picousd spent_;          ///< guarded
};

}  // namespace understudy
