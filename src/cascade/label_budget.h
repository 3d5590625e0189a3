#pragma once
#include <optional>

#include "base/clock.h"
#include "base/daily_budget.h"
#include "base/money.h"

namespace understudy::cascade {

/// Money for labels (coins, warm-up) per UTC day, apart from what users' requests cost. Shared by all reactors.
class LabelBudget {
 public:
  /// Sets `estimate` aside for one call. False: today's budget would be passed. An estimate that is unknown draws nothing
  /// (the call's model has no price; a warning at start says so).
  bool reserve(std::optional<Picousd> limit, std::optional<Picousd> estimate, WallTime now) { return !limit || !estimate || money_.reserve(limit, estimate, now); }

  /// Replaces the estimate by what the call really cost.
  void settle(std::optional<Picousd> estimate, std::optional<Picousd> cost) {
    if (estimate) money_.settle(*estimate, cost.value_or(*estimate));
  }

  /// At start, before calls are made: what the store says was spent since midnight, so that a restart goes on with the day's budget.
  void restore(Picousd spent, WallTime now) { money_.restore(spent, now); }

  Picousd spent_today() const { return money_.spent(); }

 private:
  DailyBudget money_;
};

}  // namespace understudy::cascade
