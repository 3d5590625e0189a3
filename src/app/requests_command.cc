#include "app/requests_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/gateway_client.h"
#include "app/list_arguments.h"
#include "app/output.h"
#include "app/queries.h"

namespace understudy::app {
namespace {

Result<std::string> list(const char* name, const ListArguments& arguments, bool escalations, const Rendering& how) {
  if (arguments.store.url.empty()) {
    if (auto checked = check_store_arguments(arguments.store); !checked) return fail(checked.error());
    const std::string more = fmt::format("{} --limit {}", filter_command(name, arguments), arguments.limit);
    return answer_requests({arguments.store.data}, arguments, escalations, more, how);
  }
  GatewayQuestion question{escalations ? "/admin/api/escalations" : "/admin/api/requests", filter_parameters(arguments)};
  if (arguments.cursor) question.query.emplace_back("after", *arguments.cursor);
  question.query.emplace_back("limit", std::to_string(arguments.limit));
  return ask_gateway(arguments.store, std::move(question), how);
}

int run_list(CLI::App& cli, std::uint32_t limit, bool escalations, int argc, char** argv) {
  ListArguments arguments;
  arguments.limit = limit;
  add_list_arguments(cli, arguments, escalations);
  cli.add_option("--limit", arguments.limit, "Most to show")->check(CLI::Range(1, 10'000))->capture_default_str();
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto answer = list(argv[0], arguments, escalations, {arguments.store.json, stdout_style()});
  if (!answer) return report_error(argv[0], answer.error(), arguments.store.json);
  return print_output(*answer);
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
