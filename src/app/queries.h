#pragma once
/// The questions that commands ask of a data directory and the admin API answers for a running gateway: one code for both, as text
/// for people or as JSON.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/status_report.h"
#include "app/terminal.h"
#include "base/error.h"
#include "gateway/admin.h"

namespace understudy::app {

/// How an answer is written.
struct Rendering {
  bool json = false;
  TextStyle style;
};

/// Where answers come from.
struct Source {
  std::string data;
  const gateway::LiveGateway* live = nullptr;   ///< a running gateway, whose promises are in memory
};

/// Filters of `requests` and `escalations` as they were typed.
struct ListFilters {
  std::optional<std::string> task, tenant, session, since, until, served_by, reason, cursor;
  std::optional<std::string> stage, rung, agrees;   ///< of escalations only
  std::uint32_t limit = 50;   ///< 1..10,000
};

/// Which curve, as it was typed.
struct CurveChoice {
  std::string since = "7d";
  std::optional<std::string> until;
  std::string by = "time";     ///< or "requests"
  std::uint32_t points = 40;   ///< 2..1,000: most of them
};

/// What the store counts of lessons, and the running gateway knows beside it.
Result<LessonFigures> read_lesson_figures(store::StoreReader& reader, const Source& source, WallTime now);

/// With a task also its curve.
Result<std::string> answer_status(const Source& source, const std::optional<std::string>& task, const CurveChoice& curve, const Rendering& how);
/// `understudy.curve/1`, or the curve alone as `status --task` draws it. kNotFound, with the nearest, for an unknown task.
Result<std::string> answer_curve(const Source& source, const std::string& task, const CurveChoice& curve, const Rendering& how);
/// `more`: the command line, without --after, that shows the next page. kNotFound, with the nearest names, where nothing is found
/// because a filter names what was never recorded.
Result<std::string> answer_requests(const Source& source, const ListFilters& filters, bool escalations, const std::string& more, const Rendering& how);
/// A page of escalations as `understudy.escalation/1` lines; "" at the end.
Result<std::string> answer_escalation_lines(const Source& source, const ListFilters& filters);
Result<std::string> answer_request(const Source& source, const std::string& id, bool full, const Rendering& how);
Result<std::string> answer_tasks(const Source& source, const Rendering& how);
Result<std::string> answer_task(const Source& source, const std::string& name, const Rendering& how);
Result<std::string> answer_alarms(const Source& source, const std::optional<std::string>& since, std::uint32_t limit);
struct LessonFilters {
  std::optional<std::string> task, tenant, state, since, after;
  std::uint32_t limit = 50;
};
/// `more` as above, without --after. `full` as in lessons_report.h.
Result<std::string> answer_lessons(const Source& source, const LessonFilters& filters, bool full, const std::string& more, const Rendering& how);
Result<std::string> answer_lesson(const Source& source, const std::string& id, const Rendering& how);
/// Through the running gateway where there is one, else by opening the store (kConflict where a gateway has it). `understudy.retired/1`.
Result<std::string> answer_retire(const Source& source, const std::string& id, const std::string& why, const Rendering& how);

/// Pins, or takes the pin off; the task must be known, or pinned already. `understudy.pin/1`, or a sentence.
Result<std::string> answer_pin(const Source& source, const std::string& name, const std::string& to, const Rendering& how);

}  // namespace understudy::app
