#include "app/budgets_report.h"

#include <fmt/format.h>

#include "app/human.h"
#include "app/record_json.h"
#include "app/table.h"
#include "base/time_format.h"

namespace understudy::app {
namespace {

void write_period(JsonWriter& w, std::string_view key, const std::optional<Picousd>& limit, PicousdSum spent, const Period& period) {
  w.key(key);
  if (!limit) {
    w.null();
    return;
  }
  w.begin_object().field("limit_usd", exact_usd(limit->value)).field("spent_usd", exact_usd(spent.value)).field("ends", format_rfc3339(period.end)).end_object();
}

std::string of_text(const std::optional<Picousd>& limit, PicousdSum spent) { return limit ? fmt::format("{} of {}", human_usd(spent.value), human_usd(limit->value)) : "-"; }

std::string owner(const Budget& budget) {
  return budget.scope == BudgetScope::kAll ? std::string("everything") : fmt::format("{} {}", budget_scope_name(budget.scope), printable(budget.name));
}

}  // namespace

void write_budgets(JsonWriter& w, const BudgetFigures& figures) {
  w.key("budgets").begin_object().key("spent_this_month").begin_array();
  for (const SpendSum& sum : figures.month) {
    w.begin_object();
    write_text(w, "key", sum.key);
    write_text(w, "task", sum.task);
    w.field("model", sum.model).field("spent_usd", exact_usd(sum.amount.value)).end_object();
  }
  w.end_array().key("live").begin_array();
  for (const BudgetReport& report : figures.live) {
    w.begin_object().field("scope", budget_scope_name(report.budget.scope));
    write_text(w, "name", report.budget.name);
    write_period(w, "day", report.budget.per_day, report.spent_day, report.day);
    write_period(w, "month", report.budget.per_month, report.spent_month, report.month);
    w.field("refused", static_cast<std::int64_t>(report.refused)).end_object();
  }
  w.end_array().end_object();
}

std::string budgets_section(const BudgetFigures& figures, const TextStyle& style) {
  if (!figures.live.empty()) {
    Table table({{"BUDGET OF", Table::Align::kLeft, true}, {"TODAY"}, {"THIS MONTH"}, {"REFUSED"}});
    for (const BudgetReport& r : figures.live) {
      table.add({owner(r.budget), of_text(r.budget.per_day, r.spent_day), of_text(r.budget.per_month, r.spent_month), human_count(static_cast<std::int64_t>(r.refused))});
    }
    return "\n" + table.render(style);
  }
  if (figures.month.empty()) return {};
  PicousdSum all;
  for (const SpendSum& sum : figures.month) all += sum.amount;
  return "\n" + wrap(fmt::format("Under budgets: {} spent or set aside this month (UTC); a running gateway tells what is left (--url).", human_usd(all.value)), style.width) + "\n";
}

}  // namespace understudy::app
