#include "app/admin_api.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "app/queries.h"
#include "app/status_page.h"
#include "base/json_writer.h"

namespace understudy::app {
namespace {

using gateway::AdminAnswer;
using gateway::AdminQuestion;
using gateway::AdminRoute;

Result<std::uint32_t> number(const AdminQuestion& question, std::string_view key, std::uint32_t least, std::uint32_t most, std::uint32_t otherwise) {
  const auto text = question.parameter(key);
  if (!text) return otherwise;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < least || value > most) {
    return fail(ErrorKind::kInvalidRequest, fmt::format("{} is '{}': it must be a number from {} to {}.", key, text->substr(0, 50), least, most), std::string(key));
  }
  return value;
}

/// A misspelt filter must not quietly answer something else.
Result<void> check_parameters(const AdminQuestion& question) {
  constexpr std::string_view kRendering[] = {"format", "columns", "color", "ascii"};
  constexpr std::string_view kList[] = {"task", "tenant", "session", "since", "until", "served_by", "reason", "limit", "after", "cursor", "stage", "rung", "agrees"};
  constexpr std::string_view kCurve[] = {"task", "since", "until", "points", "by"}, kRequest[] = {"full"}, kAlarms[] = {"since", "limit"};
  constexpr std::string_view kLessons[] = {"task", "tenant", "state", "since", "limit", "after", "full"};
  std::span<const std::string_view> own;
  constexpr std::size_t kOfEscalations = 3;  // the last ones
  if (question.route == AdminRoute::kRequests) own = std::span(kList).first(std::size(kList) - kOfEscalations);
  if (question.route == AdminRoute::kEscalations) own = kList;
  if (question.route == AdminRoute::kStatus || question.route == AdminRoute::kCurve) own = kCurve;
  if (question.route == AdminRoute::kLessons) own = kLessons;
  if (question.route == AdminRoute::kRequest) own = kRequest;
  if (question.route == AdminRoute::kAlarms) own = kAlarms;
  const auto holds = [](std::span<const std::string_view> names, std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  for (const auto& [name, value] : question.query) {
    if (holds(own, name) || (question.route != AdminRoute::kAlarms && holds(kRendering, name))) continue;
    return fail(ErrorKind::kInvalidRequest, fmt::format("There is no query parameter '{}' here; /admin/api/openapi.json lists them.", name.substr(0, 50)), name.substr(0, 50));
  }
  return {};
}

bool wants_lines(const AdminQuestion& question) { return question.route == AdminRoute::kEscalations && question.parameter("format") == "jsonl"; }

Result<Rendering> rendering(const AdminQuestion& question) {
  const std::string format = question.parameter("format").value_or("json");
  if (format != "json" && format != "text" && !wants_lines(question)) {
    return fail(ErrorKind::kInvalidRequest, question.route == AdminRoute::kEscalations ? "format must be json, jsonl or text." : "format must be json or text.", "format");
  }
  auto columns = number(question, "columns", 0, 1'000, 0);
  if (!columns) return fail(std::move(columns.error()));
  Rendering how;
  how.json = format != "text";
  how.style.width = *columns;
  how.style.color = question.parameter("color").value_or("0") == "1";
  how.style.utf8 = question.parameter("ascii").value_or("0") != "1";
  return how;
}

Result<std::string> pinned(const Source& source, const AdminQuestion& question, const Rendering& how) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  std::string_view to;
  if (parser.parse(question.body).get_object().get(object) || object["to"].get_string().get(to)) {
    return fail(ErrorKind::kInvalidRequest, R"(The body must be {"to": "teacher"} or {"to": "auto"}.)", "to");
  }
  return answer_pin(source, question.name, std::string(to), how);
}

Result<std::string> listed_lessons(const Source& source, const AdminQuestion& question, const Rendering& how) {
  LessonFilters filters;
  filters.task = question.parameter("task");
  filters.tenant = question.parameter("tenant");
  filters.state = question.parameter("state");
  filters.since = question.parameter("since");
  filters.after = question.parameter("after");
  auto limit = number(question, "limit", 1, 10'000, 50);
  if (!limit) return fail(std::move(limit.error()));
  filters.limit = *limit;
  return answer_lessons(source, filters, question.parameter("full").value_or("0") == "1", "the same with", how);
}

Result<std::string> listed(const Source& source, const AdminQuestion& question, const Rendering& how) {
  ListFilters filters;
  filters.task = question.parameter("task");
  filters.tenant = question.parameter("tenant");
  filters.session = question.parameter("session");
  filters.since = question.parameter("since");
  filters.until = question.parameter("until");
  filters.served_by = question.parameter("served_by");
  filters.reason = question.parameter("reason");
  filters.stage = question.parameter("stage");
  filters.rung = question.parameter("rung");
  filters.agrees = question.parameter("agrees");
  filters.cursor = question.parameter("after");
  if (!filters.cursor) filters.cursor = question.parameter("cursor");
  const bool escalations = question.route == AdminRoute::kEscalations;
  auto limit = number(question, "limit", 1, 10'000, escalations ? 20 : 50);
  if (!limit) return fail(std::move(limit.error()));
  filters.limit = *limit;
  if (wants_lines(question)) return answer_escalation_lines(source, filters);
  return answer_requests(source, filters, escalations, "the same with", how);
}

Result<std::string> curve_or_status(const Source& source, const AdminQuestion& question, const Rendering& how) {
  const auto task = question.parameter("task");
  CurveChoice choice;
  if (const auto since = question.parameter("since")) choice.since = *since;
  if (const auto by = question.parameter("by")) choice.by = *by;
  choice.until = question.parameter("until");
  auto points = number(question, "points", 2, 1'000, choice.points);
  if (!points) return fail(std::move(points.error()));
  choice.points = *points;
  if (question.route == AdminRoute::kStatus) return answer_status(source, task, choice, how);
  if (!task) return fail(ErrorKind::kInvalidRequest, "Say which task's curve: task=NAME (empty: requests without a task).", "task");
  return answer_curve(source, *task, choice, how);
}

Result<std::string> reloaded(const ReloadHook& reload, const Rendering& how) {
  if (!reload) return fail(ErrorKind::kUnsupported, "This gateway cannot reload over HTTP: send its process SIGHUP.");
  auto message = reload();
  if (!message) return fail(std::move(message.error()));
  if (!how.json) return *message + "\n";
  std::string out;
  JsonWriter(out).begin_object().field("schema", "understudy.reload/1").field("message", *message).end_object();
  return out + "\n";
}

Result<std::string> answered(const Source& source, const AdminQuestion& question, const ReloadHook& reload, const Rendering& how) {
  switch (question.route) {
    case AdminRoute::kStatus:
    case AdminRoute::kCurve: return curve_or_status(source, question, how);
    case AdminRoute::kTasks: return answer_tasks(source, how);
    case AdminRoute::kTask: return answer_task(source, question.name, how);
    case AdminRoute::kPin: return pinned(source, question, how);
    case AdminRoute::kAlarms: {
      auto limit = number(question, "limit", 1, 10'000, 100);
      if (!limit) return fail(std::move(limit.error()));
      return answer_alarms(source, question.parameter("since"), *limit);
    }
    case AdminRoute::kRequests:
    case AdminRoute::kEscalations: return listed(source, question, how);
    case AdminRoute::kRequest: return answer_request(source, question.name, question.parameter("full").value_or("0") == "1", how);
    case AdminRoute::kLessons: return listed_lessons(source, question, how);
    case AdminRoute::kLesson: return answer_lesson(source, question.name, how);
    case AdminRoute::kRetireLesson: return answer_retire(source, question.name, "by hand", how);
    case AdminRoute::kReload: return reloaded(reload, how);
    case AdminRoute::kPage:
    case AdminRoute::kOpenapi:
    case AdminRoute::kCalls: break;  // answered elsewhere
  }
  return fail(ErrorKind::kNotFound, "There is no such admin route.");
}

}  // namespace

gateway::AdminHandler make_admin_handler(std::filesystem::path data, ReloadHook reload) {
  return [data = data.string(), reload = std::move(reload)](const AdminQuestion& question) -> Result<AdminAnswer> {
    const Source source{data, &question.live};
    if (question.route == AdminRoute::kPage) {
      auto page = status_page(source);
      if (!page) return fail(std::move(page.error()));
      return AdminAnswer{"text/html; charset=utf-8", std::string(status_page_policy()), std::move(*page)};
    }
    if (auto checked = check_parameters(question); !checked) return fail(std::move(checked.error()));
    const auto how = rendering(question);
    if (!how) return fail(how.error());
    auto text = answered(source, question, reload, *how);
    if (!text) return fail(std::move(text.error()));
    const char* type = wants_lines(question) ? "application/x-ndjson" : how->json ? "application/json" : "text/plain; charset=utf-8";
    return AdminAnswer{type, {}, std::move(*text)};
  };
}

}  // namespace understudy::app
