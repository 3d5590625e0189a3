#include "app/lessons_command.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <CLI/CLI.hpp>

#include "app/child_process.h"
#include "app/command_line.h"
#include "app/gateway_client.h"
#include "app/output.h"
#include "app/queries.h"
#include "net/percent.h"

namespace understudy::app {
namespace {

struct ListArguments : LessonFilters {
  StoreArguments store;
};

void add_filters(CLI::App& cli, ListArguments& arguments) {
  add_store_arguments(cli, arguments.store);
  add_gateway_arguments(cli, arguments.store);
  cli.add_option("--task", arguments.task, "Only this task (\"\": requests without one)");
  cli.add_option("--tenant", arguments.tenant, "Only this tenant");
  cli.add_option("--state", arguments.state, "candidate, active or retired");
  cli.add_option("--since", arguments.since, "Made since then: 30m, 12h, 7d ago, or a time (2026-05-11, 2026-05-11T08:00:00Z)");
}

Result<std::string> list(const ListArguments& arguments, bool full, const std::string& more, const Rendering& how) {
  if (arguments.store.url.empty()) {
    if (auto checked = check_store_arguments(arguments.store); !checked) return fail(checked.error());
    return answer_lessons({arguments.store.data}, arguments, full, more, how);
  }
  GatewayQuestion question{"/admin/api/lessons", {}};
  const auto add = [&](const char* key, const std::optional<std::string>& value) {
    if (value) question.query.emplace_back(key, *value);
  };
  add("task", arguments.task);
  add("tenant", arguments.tenant);
  add("state", arguments.state);
  add("since", arguments.since);
  add("after", arguments.after);
  question.query.emplace_back("limit", std::to_string(arguments.limit));
  if (full) question.query.emplace_back("full", "1");
  return ask_gateway(arguments.store, std::move(question), how);
}

int finish(const char* name, const StoreArguments& arguments, const Result<std::string>& text) {
  return text ? print_output(*text) : report_error(name, text.error(), arguments.json);
}

std::string path_of(const std::string& id) { return "/admin/api/lessons/" + net::percent_encoded(id); }

Result<std::string> show(const StoreArguments& arguments, const std::string& id, const Rendering& how) {
  if (!arguments.url.empty()) return ask_gateway(arguments, {path_of(id), {}}, how);
  if (auto checked = check_store_arguments(arguments); !checked) return fail(checked.error());
  return answer_lesson({arguments.data}, id, how);
}

Result<std::string> retire(const StoreArguments& arguments, const std::string& id, const Rendering& how) {
  if (!arguments.url.empty()) return ask_gateway(arguments, {path_of(id) + "/retire", {}, "POST", {}}, how);
  if (auto checked = check_store_arguments(arguments); !checked) return fail(checked.error());
  return answer_retire({arguments.data}, id, "by hand", how);
}

/// All lessons of the filters, a line each, newest first.
Result<std::string> all_lines(ListArguments arguments, std::size_t& count) {
  std::string lines;
  arguments.limit = 1'000;
  for (;;) {
    auto page = list(arguments, true, "", {true, {}});
    if (!page) return fail(std::move(page.error()));
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    simdjson::dom::array found;
    if (parser.parse(*page).get(root) || root["lessons"].get_array().get(found)) {
      return fail(ErrorKind::kUpstreamProtocol, "the answer is not what a gateway of this version says; is the --url right?");
    }
    for (const simdjson::dom::element lesson : found) {
      lines += simdjson::minify(lesson) + "\n";
      ++count;
    }
    std::string_view next;
    if (root["next"].get_string().get(next)) return lines;
    arguments.after = std::string(next);
  }
}

}  // namespace

int run_lessons_list_command(int argc, char** argv) {
  CLI::App cli("Lessons, newest first: what the teacher taught where the student was unsure or wrong.");
  cli.footer("One lesson whole: understudy lessons show ID.");
  ListArguments arguments;
  add_filters(cli, arguments);
  cli.add_option("--limit", arguments.limit, "Most to show")->check(CLI::Range(1, 10'000))->capture_default_str();
  cli.add_option("--after", arguments.after, "Go on behind a page: its \"next\"");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  return finish(argv[0], arguments.store, list(arguments, false, "the same with", {arguments.store.json, stdout_style()}));
}

int run_lessons_show_command(int argc, char** argv) {
  CLI::App cli("One lesson: input, answers, reasoning, examples, and what came of showing it.");
  StoreArguments arguments;
  std::string id;
  cli.add_option("ID", id, "The lesson's id (understudy lessons list)")->required();
  add_store_arguments(cli, arguments);
  add_gateway_arguments(cli, arguments);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  return finish(argv[0], arguments, show(arguments, id, {arguments.json, stdout_style()}));
}

int run_lessons_retire_command(int argc, char** argv) {
  CLI::App cli("Takes a lesson out of use for good; its record stays. Beside a running gateway, with --url.");
  StoreArguments arguments;
  std::string id;
  cli.add_option("ID", id, "The lesson's id (understudy lessons list)")->required();
  add_store_arguments(cli, arguments);
  add_gateway_arguments(cli, arguments);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  return finish(argv[0], arguments, retire(arguments, id, {arguments.json, stdout_style()}));
}

int run_lessons_export_command(int argc, char** argv) {
  CLI::App cli("Lessons as JSON Lines (docs/formats/lesson.md), newest first, reasoning included.");
  ListArguments arguments;
  std::string out;
  add_filters(cli, arguments);
  cli.add_option("--out", out, "Write to this file instead of standard output");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  std::size_t count = 0;
  const auto lines = all_lines(arguments, count);
  if (!lines) return report_error(argv[0], lines.error(), arguments.store.json);
  if (out.empty()) return print_output(*lines);
  if (auto written = write_file_atomically(out, *lines); !written) return report_error(argv[0], written.error(), arguments.store.json);
  if (arguments.store.json) return print_output(fmt::format("{{\"schema\":\"understudy.lessons_export/1\",\"lessons\":{}}}\n", count));
  return print_output(fmt::format("{} lesson{} written to {}\n", count, count == 1 ? "" : "s", printable(out)));
}

}  // namespace understudy::app
