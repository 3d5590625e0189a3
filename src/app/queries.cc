#include "app/queries.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/command_line.h"
#include "app/curve.h"
#include "app/curve_text.h"
#include "app/explain_report.h"
#include "app/lessons_report.h"
#include "app/requests_report.h"
#include "app/status_report.h"
#include "app/tasks_report.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/json_writer.h"
#include "base/nearest.h"
#include "store/spend.h"
#include "store/store.h"

namespace understudy::app {
namespace {

/// How many of the latest requests are looked through for an id like the one that was typed.
constexpr std::uint32_t kLookedThrough = 2000;

std::string listed(const std::vector<std::string_view>& names) { return names.empty() ? "none yet" : fmt::format("{}", fmt::join(names, ", ")); }

Result<bool> parse_yes(const std::string& text) {
  if (text == "yes" || text == "true") return true;
  if (text == "no" || text == "false") return false;
  return fail(ErrorKind::kUsage, fmt::format("--agrees \"{}\": it takes yes or no", printable(text.substr(0, 100))));
}

Result<store::RequestFilter> make_filter(const ListFilters& filters, WallTime now) {
  store::RequestFilter filter;
  filter.task = filters.task;
  filter.tenant = filters.tenant;
  filter.session = filters.session;
  filter.reason = filters.reason;
  filter.asked_rung = filters.rung;
  filter.limit = filters.limit;
  filter.cursor = filters.cursor;
  for (const auto& [text, stage] : {std::pair(&filters.served_by, &filter.served_by), std::pair(&filters.stage, &filter.asked_stage)}) {
    if (!*text) continue;
    const auto parsed = parse_stage(**text);
    if (!parsed) return fail(parsed.error());
    *stage = *parsed;
  }
  if (filters.agrees) {
    const auto agrees = parse_yes(*filters.agrees);
    if (!agrees) return fail(agrees.error());
    filter.agrees = *agrees;
  }
  if (filters.since) {
    const auto since = parse_since(*filters.since, now);
    if (!since) return fail(since.error());
    filter.since = *since;
  }
  if (filters.until) {
    const auto until = parse_since(*filters.until, now, "--until");
    if (!until) return fail(until.error());
    filter.until = *until;
  }
  if (filter.since && filter.until && *filter.until <= *filter.since) {
    return fail(ErrorKind::kUsage, fmt::format("--until {} is not after --since {}: nothing can lie between", *filters.until, *filters.since));
  }
  return filter;
}

/// An empty page for a name that was never recorded is most likely a slip: an error that names what there is. A store without
/// requests knows no names, which says nothing about the filter.
Result<void> check_names(store::StoreReader& reader, const ListFilters& filters) {
  using Column = store::StoreReader::NameColumn;
  struct Named {
    const char* noun;
    const std::optional<std::string>& name;
    Column column;
  };
  const Named all[] = {{"task", filters.task, Column::kTask}, {"tenant", filters.tenant, Column::kTenant}, {"reason", filters.reason, Column::kReason}, {"rung", filters.rung, Column::kRung}};
  for (const Named& named : all) {
    if (!named.name || named.name->empty()) continue;
    const auto known = reader.has_name(named.column, *named.name);
    if (!known) return fail(known.error());
    if (*known) continue;
    store::RequestFilter any;
    any.limit = 1;
    const auto first = reader.requests(any);
    if (!first) return fail(first.error());
    if (first->requests.empty()) return {};
    const auto recorded = reader.recent_names(named.column);
    if (!recorded) return fail(recorded.error());
    std::vector<std::string_view> names;
    for (const std::string& name : *recorded) {
      if (!name.empty()) names.push_back(name);
    }
    const std::string near = did_you_mean(*named.name, names);
    constexpr std::size_t kMostListed = 20;
    const bool more = names.size() > kMostListed;
    names.resize(std::min(names.size(), kMostListed));
    return fail(ErrorKind::kNotFound, printable(fmt::format("nothing is recorded of a {} \"{}\"{} ({}s: {}{})", named.noun, named.name->substr(0, 200), near, named.noun, listed(names), more ? ", ..." : "")));
  }
  return {};
}

Result<EscalationPage> read_texts(store::StoreReader& reader, store::RequestPage page) {
  auto details = reader.details(page.requests);
  if (!details) return fail(details.error());
  EscalationPage out;
  out.next = std::move(page.next);
  for (std::size_t i = 0; i < page.requests.size(); ++i) out.escalations.push_back({std::move(page.requests[i]), std::move((*details)[i])});
  return out;
}

/// kNotFound where `task` is not among `names`.
Result<void> check_task(const std::string& task, std::vector<std::string_view> names) {
  if (std::find(names.begin(), names.end(), task) != names.end()) return {};
  std::erase(names, std::string_view());  // requests without a name
  return fail(ErrorKind::kNotFound, fmt::format("no request of a task \"{}\" is recorded{} (tasks: {})", printable(task.substr(0, 200)), did_you_mean(task, names), listed(names)));
}

Result<Curve> read_curve(store::StoreReader& reader, const std::string& task, const CurveChoice& choice, WallTime now) {
  store::CurveQuery query;
  query.task = task;
  query.points = choice.points;
  query.by_requests = choice.by == "requests";
  if (!query.by_requests && choice.by != "time") {
    const std::string_view ways[] = {"time", "requests"};
    return fail(ErrorKind::kUsage, fmt::format("--by \"{}\": it takes time or requests{}", printable(choice.by.substr(0, 100)), did_you_mean(choice.by, ways)));
  }
  if (choice.points < 2 || choice.points > 1'000) return fail(ErrorKind::kUsage, fmt::format("--points {}: a curve has 2 to 1,000", choice.points));
  const auto since = parse_since(choice.since, now);
  if (!since) return fail(since.error());
  query.since = *since;
  if (choice.until) {
    const auto until = parse_since(*choice.until, now, "--until");
    if (!until) return fail(until.error());
    query.until = *until;
    if (*until <= *since) return fail(ErrorKind::kUsage, fmt::format("--until {} is not after --since {}: nothing can lie between", *choice.until, choice.since));
  }
  auto curves = read_curves(reader, query);
  if (!curves) return fail(curves.error());
  if (!curves->empty()) return std::move(curves->front());
  Curve none;
  none.task = task;
  none.by_requests = query.by_requests;
  return none;
}

/// A page of `requests` or `escalations`.
Result<store::RequestPage> read_page(store::StoreReader& reader, const ListFilters& filters, bool escalations, WallTime now) {
  auto filter = make_filter(filters, now);
  if (!filter) return fail(filter.error());
  if (escalations) filter->escalated = true;
  auto page = reader.requests(*filter);
  if (!page) return fail(page.error());
  if (page->requests.empty()) {
    if (auto checked = check_names(reader, filters); !checked) return fail(checked.error());
  }
  return page;
}

Error request_not_found(store::StoreReader& reader, const std::string& id, const std::string& data) {
  store::RequestFilter filter;
  filter.limit = kLookedThrough;
  std::string near;
  if (const auto page = reader.requests(filter)) {
    if (page->requests.empty()) return {ErrorKind::kNotFound, fmt::format("no request is recorded in {} yet", data)};
    std::vector<std::string_view> ids;
    for (const store::RequestRecord& request : page->requests) ids.push_back(request.request_id);
    near = did_you_mean(id, ids);
  }
  return {ErrorKind::kNotFound, fmt::format("no request \"{}\" is recorded in {}{} The reply's x-request-id header names it; "
                                            "`understudy requests --data {}` lists the latest.",
                                            printable(id), data, near.empty() ? "." : near, data)};
}

}  // namespace

Result<LessonFigures> read_lesson_figures(store::StoreReader& reader, const Source& source, WallTime now) {
  constexpr std::int64_t kDayUs = 86'400'000'000;
  auto lessons = reader.lesson_totals();
  if (!lessons) return fail(lessons.error());
  auto spent = reader.lesson_spend(WallTime{now.us / kDayUs * kDayUs});
  if (!spent) return fail(spent.error());
  return LessonFigures{*lessons, *spent, source.live != nullptr ? source.live->lessons : std::nullopt};
}

Result<std::string> answer_status(const Source& source, const std::optional<std::string>& task, const CurveChoice& curve, const Rendering& how) {
  auto reader = store::StoreReader::open(source.data);
  if (!reader) return fail(reader.error());
  auto status = reader->status();
  if (!status) return fail(status.error());
  StatusReport report{source.data, std::move(*status), task};
  auto lessons = read_lesson_figures(*reader, source, report.status.now);
  if (!lessons) return fail(lessons.error());
  report.lessons = std::move(*lessons);
  auto spent = store::read_spend(source.data, Calendar::utc().month_of(report.status.now).begin);
  if (!spent) return fail(spent.error());
  report.budgets.month = std::move(*spent);
  if (source.live != nullptr) report.budgets.live = source.live->budgets;
  if (task) {
    std::vector<std::string_view> names;
    for (const store::TaskTotals& seen : report.status.tasks) names.push_back(seen.task);
    if (auto known = check_task(*task, std::move(names)); !known) return fail(known.error());
    auto read = read_curve(*reader, *task, curve, report.status.now);
    if (!read) return fail(read.error());
    report.curve = std::move(*read);
  }
  return how.json ? status_json(report) : status_text(report, how.style);
}

Result<std::string> answer_curve(const Source& source, const std::string& task, const CurveChoice& choice, const Rendering& how) {
  auto reader = store::StoreReader::open(source.data);
  if (!reader) return fail(reader.error());
  const auto tasks = reader->tasks();
  if (!tasks) return fail(tasks.error());
  const auto curve = read_curve(*reader, task, choice, system_clock().wall());
  if (!curve) return fail(curve.error());
  if (curve->points.empty()) {
    std::vector<std::string_view> names(tasks->begin(), tasks->end());
    names.push_back("");
    if (auto known = check_task(task, std::move(names)); !known) return fail(known.error());
  }
  if (how.json) return curve_json(*curve) + "\n";
  return curve->points.empty() ? std::string("No requests in this period.\n") : curve_text(*curve, how.style);
}

Result<std::string> answer_requests(const Source& source, const ListFilters& filters, bool escalations, const std::string& more, const Rendering& how) {
  const WallTime now = system_clock().wall();
  auto reader = store::StoreReader::open(source.data);
  if (!reader) return fail(reader.error());
  auto page = read_page(*reader, filters, escalations, now);
  if (!page) return fail(page.error());
  const std::string next = page->next ? fmt::format("{} --after {}", more, *page->next) : std::string();
  if (!escalations) return how.json ? requests_json(*page) : requests_text(*page, now, next, how.style);
  const auto texts = read_texts(*reader, std::move(*page));
  if (!texts) return fail(texts.error());
  return how.json ? escalations_json(*texts) : escalations_text(*texts, now, next, how.style);
}

Result<std::string> answer_escalation_lines(const Source& source, const ListFilters& filters) {
  auto reader = store::StoreReader::open(source.data);
  if (!reader) return fail(reader.error());
  auto page = read_page(*reader, filters, true, system_clock().wall());
  if (!page) return fail(page.error());
  const auto texts = read_texts(*reader, std::move(*page));
  if (!texts) return fail(texts.error());
  std::string lines;
  for (const Escalation& escalation : texts->escalations) append_escalation_line(escalation, lines);
  return lines;
}

Result<std::string> answer_request(const Source& source, const std::string& id, bool full, const Rendering& how) {
  if (!is_acceptable_request_id(id)) {
    return fail(ErrorKind::kUsage, fmt::format("\"{}\" cannot be a request id: those are 1 to 128 visible ASCII characters, such as req_01K4...", printable(id)));
  }
  auto reader = store::StoreReader::open(source.data);
  if (!reader) return fail(reader.error());
  const auto detail = reader->request(id);
  if (!detail && detail.error().kind == ErrorKind::kNotFound) return fail(request_not_found(*reader, id, source.data));
  if (!detail) return fail(detail.error());
  auto promise = explained_promise(*reader, detail->request);
  if (!promise) return fail(promise.error());
  return how.json ? explain_json(*detail, *promise) : explain_text(*detail, system_clock().wall(), full, how.style, *promise);
}

Result<std::string> answer_tasks(const Source& source, const Rendering& how) {
  const auto report = collect_tasks(source.data, source.live);
  if (!report) return fail(report.error());
  return how.json ? tasks_json(*report) : tasks_text(*report, how.style);
}

Result<std::string> answer_task(const Source& source, const std::string& name, const Rendering& how) {
  const auto report = collect_tasks(source.data, source.live);
  if (!report) return fail(report.error());
  const auto task = find_task(*report, name);
  if (!task) return fail(task.error());
  return how.json ? task_json(*report, **task) : task_text(*report, **task, how.style);
}

Result<std::string> answer_alarms(const Source& source, const std::optional<std::string>& since, std::uint32_t limit) {
  auto reader = store::StoreReader::open(source.data);
  if (!reader) return fail(reader.error());
  std::optional<WallTime> from;
  if (since) {
    const auto parsed = parse_since(*since, system_clock().wall());
    if (!parsed) return fail(parsed.error());
    from = *parsed;
  }
  const auto alarms = reader->alarms(from, limit);
  if (!alarms) return fail(alarms.error());
  return alarms_json(*alarms);
}

Result<std::string> answer_lessons(const Source& source, const LessonFilters& filters, bool full, const std::string& more, const Rendering& how) {
  const WallTime now = system_clock().wall();
  store::LessonFilter filter;
  filter.task = filters.task;
  filter.tenant = filters.tenant;
  filter.limit = filters.limit;
  filter.after = filters.after;
  if (filters.state && !lessons::parse_state(*filters.state)) {
    return fail(ErrorKind::kUsage, fmt::format("\"{}\" is no state of a lesson: candidate, active or retired", printable(*filters.state)));
  }
  filter.state = filters.state;
  if (filters.since) {
    const auto since = parse_since(*filters.since, now);
    if (!since) return fail(since.error());
    filter.since = *since;
  }
  auto reader = store::StoreReader::open(source.data);
  if (!reader) return fail(reader.error());
  const auto page = reader->lessons(filter);
  if (!page) return fail(page.error());
  if (how.json) return lessons_json(*page, full);
  return lessons_text(*page, now, page->next ? fmt::format("{} --after {}", more, *page->next) : "", how.style);
}

Result<std::string> answer_lesson(const Source& source, const std::string& id, const Rendering& how) {
  auto reader = store::StoreReader::open(source.data);
  if (!reader) return fail(reader.error());
  const auto record = reader->lesson(id);
  if (!record) return fail(record.error());
  const auto lesson = read_lesson(*record);
  if (!lesson) return fail(lesson.error());
  return how.json ? lesson_line(*lesson) : lesson_text(*lesson, system_clock().wall(), how.style);
}

Result<std::string> answer_retire(const Source& source, const std::string& id, const std::string& why, const Rendering& how) {
  Result<void> done;
  if (source.live != nullptr && source.live->retire_lesson) {
    done = source.live->retire_lesson(id, std::nullopt, why);
  } else {
    auto store = store::Store::open(source.data);
    if (!store && store.error().kind == ErrorKind::kConflict) {
      return fail(ErrorKind::kConflict, fmt::format("a gateway uses {}: name it with --url, so that it stops using the lesson at once", source.data));
    }
    if (!store) return fail(store.error());
    done = lessons::retire_stored(**store, id, why);
  }
  if (!done) return fail(done.error());
  if (!how.json) return fmt::format("{}: retired, not shown to students any more.\n", printable(id));
  std::string out;
  JsonWriter(out).begin_object().field("schema", "understudy.retired/1").field("id", id).field("why", why).end_object();
  return out + "\n";
}

Result<std::string> answer_pin(const Source& source, const std::string& name, const std::string& to, const Rendering& how) {
  if (to != "teacher" && to != "auto") return fail(ErrorKind::kUsage, fmt::format("a task is pinned to \"teacher\" or \"auto\", not to \"{}\"", printable(to.substr(0, 100))));
  const bool to_teacher = to == "teacher";
  auto pins = cascade::read_pins(source.data);
  if (!pins) return fail(pins.error());
  std::string task = name == "-" ? std::string() : name;
  if (!pins->contains(task)) {
    const auto known = collect_tasks(source.data, source.live);
    if (!known) return fail(known.error());
    const auto found = find_task(*known, name);
    if (!found) return fail(found.error());
    task = (*found)->task;
  }
  auto done = source.live != nullptr && source.live->pin ? source.live->pin(task, to_teacher) : cascade::write_pin(source.data, task, to_teacher);
  if (!done) return fail(done.error());
  if (how.json) {
    std::string out;
    JsonWriter w(out);
    w.begin_object().field("schema", "understudy.pin/1").key("task");
    task.empty() ? w.null() : w.string(task);
    w.field("pinned_to", to).end_object();
    return out + "\n";
  }
  const std::string who = task.empty() ? "Requests without a task" : printable(task);
  return to_teacher ? fmt::format("{}: the teacher answers every request from now on (a running gateway sees it within a second). Back: understudy tasks pin {} auto\n", who, task.empty() ? "-" : printable(task))
                    : fmt::format("{}: not pinned; the promise (or the threshold by hand) decides. A pin = \"teacher\" in the configuration stays in force.\n", who);
}

}  // namespace understudy::app
