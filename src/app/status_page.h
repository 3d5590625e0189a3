#pragma once
/// The read-only page at `/`: the bill with and without, each task's curve and promise, why, and what would lower it. Plain HTML made here, no
/// scripts, no outside resources; everything that comes from requests is escaped.

#include <string>
#include <string_view>
#include <vector>

#include "app/curve.h"
#include "app/queries.h"
#include "app/status_report.h"
#include "app/tasks_report.h"

namespace understudy::app {

/// Reads the store and writes the page.
Result<std::string> status_page(const Source& source);

struct LessonPageFigures {
  LessonFigures figures;
  std::vector<store::LessonRecord> newest;   ///< a few
};

/// The same from what was read: `curves` of the tasks, in any order. Pure.
std::string status_page_html(const store::Status& status, const TasksReport& tasks, const std::vector<Curve>& curves, const LessonPageFigures& lessons, bool running);

/// The Content-Security-Policy that lets exactly this page's style sheet in, and nothing else.
std::string_view status_page_policy();

}  // namespace understudy::app
