#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "base/money.h"

namespace understudy::cascade {

/// Money for labels (coins, warm-up) per UTC day, apart from what users' requests cost. Shared by all reactors.
/// Only a later day than the latest seen brings a new budget: a clock that jumps forward and back does not.
class LabelBudget {
 public:
  /// Sets `estimate` aside for one call. False: today's budget would be passed. An estimate that is unknown draws nothing
  /// (the call's model has no price; a warning at start says so).
  bool reserve(std::optional<Picousd> limit, std::optional<Picousd> estimate, WallTime now) {
    if (!limit || !estimate) return true;
    const std::lock_guard lock(mutex_);
    go_to_day_of(now);
    if (spent_.value + estimate->value > limit->value) return false;
    spent_ = spent_ + *estimate;
    return true;
  }

  /// Replaces the estimate by what the call really cost.
  void settle(std::optional<Picousd> estimate, std::optional<Picousd> cost) {
    if (!estimate) return;
    const std::lock_guard lock(mutex_);
    spent_ = spent_ - *estimate + cost.value_or(*estimate);
  }

  /// At start, before calls are made: what the store says was spent since midnight, so that a restart goes on with the day's budget.
  void restore(Picousd spent, WallTime now) {
    const std::lock_guard lock(mutex_);
    go_to_day_of(now);
    spent_ = spent_ + spent;
  }

  Picousd spent_today() const {
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
  std::int64_t day_ = 0;
  Picousd spent_;
};

}  // namespace understudy::cascade
