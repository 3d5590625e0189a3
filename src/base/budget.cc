#include "base/budget.h"

#include <fmt/format.h>

#include "base/time_format.h"

namespace understudy {
namespace {

/// "the key 'support-bot'", as a message names whose budget it is.
std::string owner_of(const Budget& budget) {
  if (budget.scope == BudgetScope::kAll) return "the gateway";
  return fmt::format("the {} '{}'", budget_scope_name(budget.scope), budget.name);
}

/// Without the zeros behind what matters: "0.5", "12".
std::string short_usd(Picousd amount) {
  std::string text = format_usd(amount, 12);
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text;
}

bool applies(const SpendSum& sum, const Budget& budget) {
  switch (budget.scope) {
    case BudgetScope::kAll: return true;
    case BudgetScope::kKey: return sum.key == budget.name;
    case BudgetScope::kTask: return sum.task == budget.name;
    case BudgetScope::kModel: return sum.model == budget.name;
  }
  return false;
}

}  // namespace

std::string_view budget_scope_name(BudgetScope scope) {
  switch (scope) {
    case BudgetScope::kAll: return "all";
    case BudgetScope::kKey: return "key";
    case BudgetScope::kTask: return "task";
    case BudgetScope::kModel: return "model";
  }
  return "all";
}

/// Only a later period brings new money: a clock that jumps forward and back does not.
void BudgetAccount::Window::go_to(WallTime now, Period (Calendar::*period_of)(WallTime) const, const Calendar& calendar) {
  if (now.us < period.end.us) return;
  period = (calendar.*period_of)(now);
  spent = {};
}

void BudgetLedger::go_to(BudgetAccount& account, WallTime now) const {
  account.day.go_to(now, &Calendar::day_of, calendar_);
  account.month.go_to(now, &Calendar::month_of, calendar_);
}

bool BudgetLedger::configure(std::vector<Budget> budgets, WallTime now) {
  const std::lock_guard lock(mutex_);
  for (auto& [key, entry] : entries_) entry.in_force = false;
  bool unknown = false;
  for (Budget& budget : budgets) {
    Entry& entry = entries_[Key(budget.scope, budget.name)];
    // One that was out of force has counted nothing meanwhile: its windows begin anew and are restored.
    entry.account.budget = std::move(budget);
    go_to(entry.account, now);
    entry.in_force = true;
  }
  for (auto& [key, entry] : entries_) {
    if (!entry.in_force) entry = Entry{};
    unknown |= entry.in_force && !entry.restored;
  }
  any_.store(!budgets.empty(), std::memory_order_relaxed);
  return unknown;
}

void BudgetLedger::restore_one(Entry& entry, const std::vector<SpendSum>& sums, BudgetAccount::Window BudgetAccount::*window) const {
  for (const SpendSum& sum : sums) {
    if (applies(sum, entry.account.budget)) (entry.account.*window).spent += sum.amount;
  }
}

void BudgetLedger::restore(const std::vector<SpendSum>& month, const std::vector<SpendSum>& day, WallTime now) {
  const std::lock_guard lock(mutex_);
  for (auto& [key, entry] : entries_) {
    if (!entry.in_force || entry.restored) continue;
    go_to(entry.account, now);
    restore_one(entry, month, &BudgetAccount::month);
    restore_one(entry, day, &BudgetAccount::day);
    entry.restored = true;
  }
}

Result<BudgetHold> BudgetLedger::reserve(const SpendSubject& subject, std::optional<Picousd> amount, WallTime now) {
  BudgetHold hold;
  hold.at = now;
  hold.amount = amount.value_or(Picousd{});
  const std::array<std::pair<BudgetScope, std::string_view>, 4> asked{{{BudgetScope::kAll, ""}, {BudgetScope::kKey, subject.key}, {BudgetScope::kTask, subject.task}, {BudgetScope::kModel, subject.model}}};
  const std::lock_guard lock(mutex_);
  for (const auto& one : asked) {
    if (one.first != BudgetScope::kAll && one.second.empty()) continue;
    const auto found = entries_.find(one);
    if (found == entries_.end() || !found->second.in_force) continue;
    BudgetAccount& account = found->second.account;
    go_to(account, now);
    const auto refuse = [&](std::string_view period, Picousd limit, WallTime renewed) {
      ++account.refused;
      return fail(ErrorKind::kBudgetExceeded,
                  fmt::format("The budget of {} for this {} ({} USD) has too little left for a call of model '{}', which may cost {}; a new {} begins at {}.", owner_of(account.budget), period,
                              short_usd(limit), subject.model, amount ? fmt::format("up to {} USD", short_usd(*amount)) : "nobody knows how much", period, format_rfc3339(renewed)));
    };
    const auto over = [&](const BudgetAccount::Window& window, const std::optional<Picousd>& limit) { return limit && (!amount || window.spent.value + amount->value > limit->value); };
    if (over(account.day, account.budget.per_day)) return refuse("day", *account.budget.per_day, account.day.period.end);
    if (over(account.month, account.budget.per_month)) return refuse("month", *account.budget.per_month, account.month.period.end);
    hold.parts[hold.count++] = {&account, account.day.period.begin.us, account.month.period.begin.us};
  }
  for (std::size_t i = 0; i < hold.count; ++i) {
    hold.parts[i].account->day.spent += hold.amount;
    hold.parts[i].account->month.spent += hold.amount;
  }
  return hold;
}

void BudgetLedger::settle(const BudgetHold& hold, Picousd cost) {
  const std::lock_guard lock(mutex_);
  const Picousd difference = cost - hold.amount;
  for (std::size_t i = 0; i < hold.count; ++i) {
    BudgetAccount& account = *hold.parts[i].account;
    if (account.day.period.begin.us == hold.parts[i].day) account.day.spent += difference;
    if (account.month.period.begin.us == hold.parts[i].month) account.month.spent += difference;
  }
}

std::vector<BudgetReport> BudgetLedger::report(WallTime now) const {
  std::vector<BudgetReport> reports;
  const std::lock_guard lock(mutex_);
  for (auto& [key, entry] : entries_) {
    if (!entry.in_force) continue;
    BudgetAccount& account = entry.account;
    go_to(account, now);
    reports.push_back({account.budget, account.day.spent, account.month.spent, account.day.period, account.month.period, account.refused});
  }
  return reports;
}

}  // namespace understudy
