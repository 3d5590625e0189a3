#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "app/budgets_report.h"
#include "app/curve.h"
#include "app/terminal.h"
#include "lessons/service.h"
#include "store/queries.h"

namespace understudy::app {

/// Lessons as the store counts them, and what a running gateway knows beside it.
struct LessonFigures {
  store::LessonTotals totals;
  PicousdSum spent_today;                        ///< since midnight UTC
  std::optional<lessons::LessonReport> live;     ///< nullopt: no gateway was asked
};

/// What `understudy status` shows.
struct StatusReport {
  std::string data;  ///< the directory, as given
  store::Status status;
  std::optional<std::string> task;  ///< only this one, which must be among status.tasks
  LessonFigures lessons = {};
  BudgetFigures budgets = {};
  std::optional<Curve> curve = {};  ///< of that task, over a period of its own
};

/// For people: sums of the last 24 hours and of all time, then by task and model, then what needs attention.
std::string status_text(const StatusReport& report, const TextStyle& style);

/// One sentence on lessons; "" where there are none.
std::string lessons_summary(const LessonFigures& figures);

/// `understudy.status/1`, one line with the new line.
std::string status_json(const StatusReport& report);

}  // namespace understudy::app
