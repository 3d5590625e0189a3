// Budgets: max_usd_per_day and max_usd_per_month, of the gateway, of keys, tasks and models.
#include <cmath>

#include "app/config_sections.h"

namespace understudy::app {

Result<std::optional<Picousd>> read_usd(TableReader& table, std::string_view key) {
  APP_TRY(usd, table.number(key, 0, 1e6));
  if (!usd) return std::optional<Picousd>();
  return std::optional(Picousd{std::llround(*usd * static_cast<double>(kPicousdPerUsd))});
}

Result<void> read_budget(TableReader& table, Budget budget, std::vector<Budget>& budgets) {
  APP_TRY(day, read_usd(table, "max_usd_per_day"));
  APP_TRY(month, read_usd(table, "max_usd_per_month"));
  budget.per_day = day;
  budget.per_month = month;
  if (day || month) budgets.push_back(std::move(budget));
  return {};
}

Result<void> check_budgets(const cascade::Policy& policy, const std::string& file) {
  for (const Budget& budget : policy.budgets) {
    for (const cascade::PricedModel& model : policy.models) {
      const bool covered = budget.scope != BudgetScope::kModel || budget.name == model.config.name;
      if (!covered || !model.unpriced) continue;
      const std::string where = budget.scope == BudgetScope::kAll ? "[limits]" : budget.scope == BudgetScope::kKey ? fmt::format("the key '{}'", budget.name) : fmt::format("[{}s.{}]", budget_scope_name(budget.scope), budget.name);
      return fail(ErrorKind::kConfig, fmt::format("{}{} has {}, but the price of model '{}' ({}) is not known, so it could not be kept: add to [models.{}] the line price = {{ input = \"0.10\", output = \"0.40\" }} "
                                                  "(USD per 1M tokens; \"0\" where it costs nothing)",
                                                  file.empty() ? "" : file + ": ", where, budget.per_day ? "max_usd_per_day" : "max_usd_per_month", model.config.name, model.config.upstream_model, model.config.name));
    }
  }
  return {};
}

}  // namespace understudy::app
