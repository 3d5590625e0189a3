#include "app/explain_command.h"

#include <CLI/CLI.hpp>

#include "app/command_line.h"
#include "app/gateway_client.h"
#include "app/output.h"
#include "app/queries.h"
#include "net/percent.h"

namespace understudy::app {
namespace {

Result<std::string> explain(const StoreArguments& arguments, const std::string& id, bool full, const Rendering& how) {
  if (!arguments.url.empty()) {
    GatewayQuestion question{"/admin/api/requests/" + net::percent_encoded(id), {}};
    if (full) question.query.emplace_back("full", "1");
    return ask_gateway(arguments, std::move(question), how);
  }
  if (auto checked = check_store_arguments(arguments); !checked) return fail(checked.error());
  return answer_request({arguments.data}, id, full, how);
}

}  // namespace

int run_explain_command(int argc, char** argv) {
  CLI::App cli("Why one request was served as it was: decision, promise, attempts with their features, costs, labels, texts.");
  StoreArguments arguments;
  std::string id;
  bool full = false;
  cli.add_option("REQUEST_ID", id, "The reply's x-request-id")->required();
  add_store_arguments(cli, arguments);
  add_gateway_arguments(cli, arguments);
  cli.add_flag("--full", full, "Whole texts instead of one line of each");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto text = explain(arguments, id, full, {arguments.json, stdout_style()});
  if (!text) return report_error(argv[0], text.error(), arguments.json);
  return print_output(*text);
}

}  // namespace understudy::app
