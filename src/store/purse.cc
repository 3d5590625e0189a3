#include "store/purse.h"

namespace understudy::store {

bool Purse::write(const SpendSubject& payer, Picousd amount, WallTime at) {
  if (journal_ == nullptr || amount.value == 0) return true;
  SpendEvent event;
  event.key = payer.key;
  event.task = payer.task;
  event.model = payer.model;
  event.at_us = at.us;
  event.amount = amount;
  return journal_->append(event);
}

Result<BudgetHold> Purse::reserve(const SpendSubject& payer, std::optional<Picousd> most, WallTime now) {
  auto hold = ledger_.reserve(payer, most, now);
  if (!hold || write(payer, hold->amount, now)) return hold;
  ledger_.settle(*hold, Picousd{});
  return fail(ErrorKind::kOverloaded, "The journal has no room, so what a call costs could not be written down before it, and under a budget nothing is paid that is not: see `understudy status`.");
}

void Purse::settle(const SpendSubject& payer, const BudgetHold& hold, Picousd cost) {
  ledger_.settle(hold, cost);
  // Where this is lost the store goes on with the upper bound.
  [[maybe_unused]] const bool written = write(payer, cost - hold.amount, hold.at);
}

}  // namespace understudy::store
