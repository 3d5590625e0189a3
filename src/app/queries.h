#pragma once
/// The questions that commands ask of a data directory and the admin API answers for a running gateway: one code for both, as text
/// for people or as JSON.

#include <optional>
#include <string>
#include <utility>
#include <vector>

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
  std::optional<std::string> task, tenant, session, since, served_by, reason, cursor;
  std::uint32_t limit = 50;   ///< 1..10,000
};

/// A page, and the note that an empty one for an unknown task deserves ("" otherwise).
struct ListAnswer {
  std::string text;
  std::string note;
};

Result<std::string> answer_status(const Source& source, const std::optional<std::string>& task, const Rendering& how);
/// `more`: the command line, without --cursor, that shows the next page.
Result<ListAnswer> answer_requests(const Source& source, const ListFilters& filters, bool escalations, const std::string& more, const Rendering& how);
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
