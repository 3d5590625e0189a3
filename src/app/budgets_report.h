#pragma once
#include <string>
#include <vector>

#include "app/terminal.h"
#include "base/budget.h"
#include "base/json_writer.h"

namespace understudy::app {

/// Money under budgets.
struct BudgetFigures {
  std::vector<SpendSum> month;      ///< of the month (UTC), as the store has it; empty where no budget was in force in it
  std::vector<BudgetReport> live;   ///< what a running gateway keeps; empty where none was asked, or it has none
};

/// The member "budgets" of `understudy.status/1`.
void write_budgets(JsonWriter& w, const BudgetFigures& figures);

/// A table of the budgets, or of what was spent under them where no gateway was asked; "" where there are none.
std::string budgets_section(const BudgetFigures& figures, const TextStyle& style);

}  // namespace understudy::app
