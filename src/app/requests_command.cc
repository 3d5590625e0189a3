#include "app/requests_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "app/command_line.h"
#include "app/nearest.h"
#include "app/output.h"
#include "app/requests_report.h"
#include "base/clock.h"

namespace understudy::app {
namespace {

/// The filters as they were typed.
struct ListArguments {
  StoreArguments store;
  std::optional<std::string> task, tenant, session, since, served_by, reason, cursor;
  std::uint32_t limit = 0;
};

void add_list_arguments(CLI::App& cli, ListArguments& arguments, std::uint32_t limit) {
  arguments.limit = limit;
  add_store_arguments(cli, arguments.store);
  cli.add_option("--task", arguments.task, "Only this task (\"\": requests without one)");
  cli.add_option("--tenant", arguments.tenant, "Only this tenant");
  cli.add_option("--session", arguments.session, "Only this session");
  cli.add_option("--since", arguments.since,
                 "Finished since then: 30m, 12h, 7d ago, or a time (2026-05-11, 2026-05-11T08:00:00Z)");
  cli.add_option("--served-by", arguments.served_by,
                 "Only those that this stage served: cache, knn, specialist, student, teacher");
  cli.add_option("--reason", arguments.reason, "Only with this reason (x-understudy-reason), such as below_threshold");
  cli.add_option("--limit", arguments.limit, "Most to show")->check(CLI::Range(1, 10'000))->capture_default_str();
  cli.add_option("--cursor", arguments.cursor, "Go on behind a page: its \"next\"");
}

Result<store::RequestFilter> make_filter(const ListArguments& arguments, WallTime now) {
  store::RequestFilter filter;
  filter.task = arguments.task;
  filter.tenant = arguments.tenant;
  filter.session = arguments.session;
  filter.reason = arguments.reason;
  filter.limit = arguments.limit;
  filter.cursor = arguments.cursor;
  if (arguments.served_by) {
    const auto stage = parse_stage(*arguments.served_by);
    if (!stage) return fail(stage.error());
    filter.served_by = *stage;
  }
  if (arguments.since) {
    const auto since = parse_since(*arguments.since, now);
    if (!since) return fail(since.error());
    filter.since = *since;
  }
  return filter;
}

/// The command line that shows the page after this one; "" where there is none.
std::string next_command(const char* name, const ListArguments& arguments, const std::optional<std::string>& next) {
  if (!next) return {};
  const auto quoted = [](const std::string& text) {
    const bool plain =
        !text.empty() &&
        text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:,=@%") == std::string::npos;
    if (plain) return text;
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
  };
  std::string line = fmt::format("{} --data {}", name, quoted(arguments.store.data));
  const auto add = [&](const char* flag, const std::optional<std::string>& value) {
    if (value) line += fmt::format(" {} {}", flag, quoted(*value));
  };
  add("--task", arguments.task);
  add("--tenant", arguments.tenant);
  add("--session", arguments.session);
  add("--since", arguments.since);
  add("--served-by", arguments.served_by);
  add("--reason", arguments.reason);
  return line + fmt::format(" --limit {} --cursor {}", arguments.limit, quoted(*next));
}

/// An empty page under a task's name that nobody has used is most likely a slip: says so beside the (right) empty result.
void hint_at_unknown_task(store::StoreReader& reader, const ListArguments& arguments, bool empty) {
  if (!empty || !arguments.task) return;
  const auto tasks = reader.tasks();
  if (!tasks || std::find(tasks->begin(), tasks->end(), *arguments.task) != tasks->end()) return;
  const std::vector<std::string_view> names(tasks->begin(), tasks->end());
  print_error(fmt::format("note: no request of a task \"{}\" is recorded{} (tasks: {})", *arguments.task,
                          did_you_mean(*arguments.task, names),
                          names.empty() ? "none yet" : fmt::format("{}", fmt::join(names, ", "))));
}

Result<store::RequestPage> read_page(store::StoreReader& reader, const ListArguments& arguments,
                                     const std::optional<bool>& escalated, WallTime now) {
  auto filter = make_filter(arguments, now);
  if (!filter) return fail(filter.error());
  filter->escalated = escalated;
  auto page = reader.requests(*filter);
  if (page) hint_at_unknown_task(reader, arguments, page->requests.empty());
  return page;
}

Result<EscalationPage> read_texts(store::StoreReader& reader, store::RequestPage page) {
  EscalationPage out;
  out.next = std::move(page.next);
  for (store::RequestRecord& request : page.requests) {
    auto detail = reader.request(request.request_id);
    if (!detail && detail.error().kind != ErrorKind::kNotFound) return fail(detail.error());
    Escalation escalation{std::move(request), std::nullopt};
    // Ids are the client's to choose: the newest request with this id need not be the one on this page.
    const bool same = detail && detail->request.finished_at == escalation.request.finished_at;
    if (same) escalation.detail = std::move(*detail);
    out.escalations.push_back(std::move(escalation));
  }
  return out;
}

}  // namespace

int run_requests_command(int argc, char** argv) {
  CLI::App cli("Finished requests, newest first.");
  ListArguments arguments;
  add_list_arguments(cli, arguments, 50);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const WallTime now = system_clock().wall();
  auto reader = open_reader(arguments.store);
  if (!reader) return report_error(argv[0], reader.error(), arguments.store.json);
  const auto page = read_page(*reader, arguments, std::nullopt, now);
  if (!page) return report_error(argv[0], page.error(), arguments.store.json);
  return print_output(arguments.store.json
                          ? requests_json(*page)
                          : requests_text(*page, now, next_command(argv[0], arguments, page->next), stdout_style()));
}

int run_escalations_command(int argc, char** argv) {
  CLI::App cli("Requests that went past the student to the teacher, newest first, with what both said.");
  ListArguments arguments;
  add_list_arguments(cli, arguments, 20);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const WallTime now = system_clock().wall();
  auto reader = open_reader(arguments.store);
  if (!reader) return report_error(argv[0], reader.error(), arguments.store.json);
  auto records = read_page(*reader, arguments, true, now);
  if (!records) return report_error(argv[0], records.error(), arguments.store.json);
  const auto page = read_texts(*reader, std::move(*records));
  if (!page) return report_error(argv[0], page.error(), arguments.store.json);
  return print_output(arguments.store.json
                          ? escalations_json(*page)
                          : escalations_text(*page, now, next_command(argv[0], arguments, page->next), stdout_style()));
}

}  // namespace understudy::app
