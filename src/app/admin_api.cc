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
  constexpr std::string_view kRendering[] = {"format", "columns", "color"};
  constexpr std::string_view kList[] = {"task", "tenant", "session", "since", "served_by", "reason", "limit", "cursor"};
  constexpr std::string_view kStatus[] = {"task"}, kRequest[] = {"full"}, kAlarms[] = {"since", "limit"};
  constexpr std::string_view kLessons[] = {"task", "tenant", "state", "since", "limit", "after", "full"};
  std::span<const std::string_view> own;
  if (question.route == AdminRoute::kRequests || question.route == AdminRoute::kEscalations) own = kList;
  if (question.route == AdminRoute::kLessons) own = kLessons;
  if (question.route == AdminRoute::kStatus) own = kStatus;
  if (question.route == AdminRoute::kRequest) own = kRequest;
  if (question.route == AdminRoute::kAlarms) own = kAlarms;
  const auto holds = [](std::span<const std::string_view> names, std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  for (const auto& [name, value] : question.query) {
    if (holds(own, name) || (question.route != AdminRoute::kAlarms && holds(kRendering, name))) continue;
    return fail(ErrorKind::kInvalidRequest, fmt::format("There is no query parameter '{}' here; /admin/api/openapi.json lists them.", name.substr(0, 50)), name.substr(0, 50));
  }
  return {};
}

Result<Rendering> rendering(const AdminQuestion& question) {
  const std::string format = question.parameter("format").value_or("json");
  if (format != "json" && format != "text") return fail(ErrorKind::kInvalidRequest, "format must be json or text.", "format");
  auto columns = number(question, "columns", 0, 1'000, 0);
  if (!columns) return fail(std::move(columns.error()));
  Rendering how;
  how.json = format == "json";
  how.style.width = *columns;
  how.style.color = question.parameter("color").value_or("0") == "1";
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
  filters.served_by = question.parameter("served_by");
  filters.reason = question.parameter("reason");
  filters.cursor = question.parameter("cursor");
  const bool escalations = question.route == AdminRoute::kEscalations;
  auto limit = number(question, "limit", 1, 10'000, escalations ? 20 : 50);
  if (!limit) return fail(std::move(limit.error()));
  filters.limit = *limit;
  auto answer = answer_requests(source, filters, escalations, "the same with", how);
  if (!answer) return fail(std::move(answer.error()));
  return std::move(answer->text);
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
    case AdminRoute::kStatus: return answer_status(source, question.parameter("task"), how);
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
    return AdminAnswer{how->json ? "application/json" : "text/plain; charset=utf-8", {}, std::move(*text)};
  };
}

}  // namespace understudy::app
