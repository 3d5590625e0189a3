#pragma once
/// Hard limits of what may be spent. Money is set aside before each call, at an upper bound of what the call can cost, against every budget that
/// applies to it or against none, and replaced by the real cost after it:
///
///   auto hold = ledger.reserve(subject, upper_bound, now);   // kBudgetExceeded: do not call
///   ... call ...
///   ledger.settle(*hold, cost);                              // without this the upper bound stays spent
///
/// So many calls at once cannot pass a budget together: what they could cost at most is counted before they are made. The spent amount passes a
/// budget only where a call costs more than its own upper bound. This is the arithmetic; what makes it survive a crash is store/purse.h.

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/calendar.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/money.h"

namespace understudy {

enum class BudgetScope : std::uint8_t { kAll, kKey, kTask, kModel };
std::string_view budget_scope_name(BudgetScope scope);   ///< "all", "key", "task", "model"

/// What may be spent for one key, task or model, or by the whole gateway.
struct Budget {
  BudgetScope scope = BudgetScope::kAll;
  std::string name;                                ///< "" for kAll
  std::optional<Picousd> per_day, per_month;       ///< at least one
};

/// For whom a call is paid. "" : nobody in particular.
struct SpendSubject {
  std::string_view key, task, model;
};

/// Money spent for a subject, as the store keeps it.
struct SpendSum {
  std::string key, task, model;
  PicousdSum amount;
};

/// One budget as it stands.
struct BudgetReport {
  Budget budget;
  PicousdSum spent_day, spent_month;               ///< spent or set aside
  Period day, month;                               ///< that these are of
  std::uint64_t refused = 0;                       ///< calls, since the start
};

struct BudgetAccount;

/// Money set aside. Copyable as a note; settle it once.
struct BudgetHold {
  struct Part {
    BudgetAccount* account = nullptr;
    std::int64_t day = 0, month = 0;               ///< beginnings of the periods it was taken in, us
  };
  std::array<Part, 4> parts;
  std::size_t count = 0;                           ///< of parts: budgets that apply
  Picousd amount;
  WallTime at;
};

/// What was spent in the day and month of one budget.
struct BudgetAccount {
  Budget budget;
  struct Window {
    Period period;
    PicousdSum spent;
    void go_to(WallTime now, Period (Calendar::*period_of)(WallTime) const, const Calendar& calendar);
  };
  Window day, month;
  std::uint64_t refused = 0;
};

/// Thread-safe; a lock is held for a few look-ups.
class BudgetLedger {
 public:
  explicit BudgetLedger(Calendar calendar = Calendar::utc()) : calendar_(calendar) {}

  /// Puts these budgets in force in the place of the ones before; what was spent under a name stays spent. True where there is one that was not
  /// known before, so that its past has to be restored.
  bool configure(std::vector<Budget> budgets, WallTime now);
  /// What was spent in the month and day of `now` before budgets were first configured or the process was started. Adds to those that `configure`
  /// has found new since the last call, and to no others: to call it late may count something twice, never not at all.
  void restore(const std::vector<SpendSum>& month, const std::vector<SpendSum>& day, WallTime now);

  /// False: there are no budgets at all.
  bool any() const { return any_.load(std::memory_order_relaxed); }
  Period day_of(WallTime t) const { return calendar_.day_of(t); }
  Period month_of(WallTime t) const { return calendar_.month_of(t); }

  /// Sets `amount` aside, for all budgets that apply to `subject` or for none. kBudgetExceeded, with the budget's name and when it begins anew. An
  /// amount that is not known (nullopt) is refused where any budget applies.
  Result<BudgetHold> reserve(const SpendSubject& subject, std::optional<Picousd> amount, WallTime now);
  /// Replaces what was set aside by what was spent. A day or month that has ended meanwhile is left as it is.
  void settle(const BudgetHold& hold, Picousd cost);

  std::vector<BudgetReport> report(WallTime now) const;

 private:
  using Key = std::pair<BudgetScope, std::string>;
  struct Less {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return a.first != b.first ? a.first < b.first : std::string_view(a.second) < std::string_view(b.second);
    }
  };
  struct Entry {
    BudgetAccount account;
    bool in_force = false;
    bool restored = false;
  };
  void go_to(BudgetAccount& account, WallTime now) const;
  void restore_one(Entry& entry, const std::vector<SpendSum>& sums, BudgetAccount::Window BudgetAccount::*window) const;

  const Calendar calendar_;
  std::atomic<bool> any_{false};
  mutable std::mutex mutex_;
  mutable std::map<Key, Entry, Less> entries_;   ///< guarded; none is ever removed, so that holds can point to them
};

}  // namespace understudy
