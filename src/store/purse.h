#pragma once
/// Pays for upstream calls: sets money aside in the budgets (base/budget.h) and in the journal before a call, and puts the real cost in its place
/// after it. So what was spent survives `kill -9`, and is never too little: a call whose end is not known stands in the store at its upper bound.
///
///   auto hold = purse.reserve(payer, most, now);
///   if (!hold) return fail(hold.error());      // kBudgetExceeded, or kOverloaded: it could not be written down
///   ... call ...
///   purse.settle(payer, *hold, cost);          // or not at all, where nobody knows what it cost
///
/// Without any budget nothing is counted and nothing is written.

#include "base/budget.h"
#include "store/journal.h"

namespace understudy::store {

/// For the thread that owns the journal.
class Purse {
 public:
  /// @param journal  null: nothing is kept (tests)
  Purse(BudgetLedger& ledger, Journal* journal) : ledger_(ledger), journal_(journal) {}

  bool on() const { return ledger_.any(); }

  /// @param most  what the call can cost at most; nullopt: not known, refused where a budget applies
  Result<BudgetHold> reserve(const SpendSubject& payer, std::optional<Picousd> most, WallTime now);
  void settle(const SpendSubject& payer, const BudgetHold& hold, Picousd cost);

 private:
  bool write(const SpendSubject& payer, Picousd amount, WallTime at);

  BudgetLedger& ledger_;
  Journal* journal_;
};

}  // namespace understudy::store
