#include "app/requests_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/command_line.h"
#include "app/gateway_client.h"
#include "app/output.h"
#include "app/queries.h"

namespace understudy::app {
namespace {

/// The filters as they were typed.
struct ListArguments : ListFilters {
  StoreArguments store;
};

void add_list_arguments(CLI::App& cli, ListArguments& arguments, std::uint32_t limit) {
  arguments.limit = limit;
  add_store_arguments(cli, arguments.store);
  add_gateway_arguments(cli, arguments.store);
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

/// The command line that shows the page after this one, up to its --cursor.
std::string next_command(const char* name, const ListArguments& arguments) {
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
  return line + fmt::format(" --limit {}", arguments.limit);
}

Result<ListAnswer> list(const char* name, const ListArguments& arguments, bool escalations, const Rendering& how) {
  if (arguments.store.url.empty()) {
    if (auto checked = check_store_arguments(arguments.store); !checked) return fail(checked.error());
    return answer_requests({arguments.store.data}, arguments, escalations, next_command(name, arguments), how);
  }
  GatewayQuestion question{escalations ? "/admin/api/escalations" : "/admin/api/requests", {}};
  const auto add = [&](const char* key, const std::optional<std::string>& value) {
    if (value) question.query.emplace_back(key, *value);
  };
  add("task", arguments.task);
  add("tenant", arguments.tenant);
  add("session", arguments.session);
  add("since", arguments.since);
  add("served_by", arguments.served_by);
  add("reason", arguments.reason);
  add("cursor", arguments.cursor);
  question.query.emplace_back("limit", std::to_string(arguments.limit));
  auto text = ask_gateway(arguments.store, std::move(question), how);
  if (!text) return fail(std::move(text.error()));
  return ListAnswer{std::move(*text), {}};
}

int run_list(CLI::App& cli, std::uint32_t limit, bool escalations, int argc, char** argv) {
  ListArguments arguments;
  add_list_arguments(cli, arguments, limit);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto answer = list(argv[0], arguments, escalations, {arguments.store.json, stdout_style()});
  if (!answer) return report_error(argv[0], answer.error(), arguments.store.json);
  if (!answer->note.empty()) print_error(answer->note);
  return print_output(answer->text);
}

}  // namespace

int run_requests_command(int argc, char** argv) {
  CLI::App cli("Finished requests, newest first.");
  return run_list(cli, 50, false, argc, argv);
}

int run_escalations_command(int argc, char** argv) {
  CLI::App cli("Requests that went past the student to the teacher, newest first, with what both said.");
  return run_list(cli, 20, true, argc, argv);
}

}  // namespace understudy::app
