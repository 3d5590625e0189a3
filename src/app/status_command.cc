#include "app/status_command.h"

#include <CLI/CLI.hpp>

#include "app/command_line.h"
#include "app/gateway_client.h"
#include "app/output.h"
#include "app/queries.h"

namespace understudy::app {
namespace {

Result<std::string> status(const StoreArguments& arguments, const std::optional<std::string>& task, const Rendering& how) {
  if (!arguments.url.empty()) {
    GatewayQuestion question{"/admin/api/status", {}};
    if (task) question.query.emplace_back("task", *task);
    return ask_gateway(arguments, std::move(question), how);
  }
  if (auto checked = check_store_arguments(arguments); !checked) return fail(checked.error());
  return answer_status({arguments.data}, task, how);
}

}  // namespace

int run_status_command(int argc, char** argv) {
  CLI::App cli("Who served, what it cost and what was saved: the last 24 hours and everything recorded.");
  StoreArguments arguments;
  std::optional<std::string> task;
  add_store_arguments(cli, arguments);
  add_gateway_arguments(cli, arguments);
  cli.add_option("--task", task, "Only this task");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto text = status(arguments, task, {arguments.json, stdout_style()});
  if (!text) return report_error(argv[0], text.error(), arguments.json);
  return print_output(*text);
}

}  // namespace understudy::app
