#include "app/status_command.h"

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "app/command_line.h"
#include "app/gateway_client.h"
#include "app/output.h"
#include "app/queries.h"

namespace understudy::app {
namespace {

struct StatusArguments {
  StoreArguments store;
  std::optional<std::string> task;
  CurveChoice curve;
  bool only_curve = false;
};

Result<std::string> status(const StatusArguments& arguments, const Rendering& how) {
  if (!arguments.store.url.empty()) {
    GatewayQuestion question{arguments.only_curve ? "/admin/api/curve" : "/admin/api/status", {}};
    if (arguments.task) {
      question.query = {{"task", *arguments.task}, {"since", arguments.curve.since}, {"by", arguments.curve.by}, {"points", std::to_string(arguments.curve.points)}};
      if (arguments.curve.until) question.query.emplace_back("until", *arguments.curve.until);
    }
    return ask_gateway(arguments.store, std::move(question), how);
  }
  if (auto checked = check_store_arguments(arguments.store); !checked) return fail(checked.error());
  if (arguments.only_curve) return answer_curve({arguments.store.data}, *arguments.task, arguments.curve, how);
  return answer_status({arguments.store.data}, arguments.task, arguments.curve, how);
}

}  // namespace

int run_status_command(int argc, char** argv) {
  CLI::App cli("Who served, what it cost and what was saved: the last 24 hours and everything recorded. With a task also its curve: teacher calls, cost and agreement over time.");
  StatusArguments arguments;
  add_store_arguments(cli, arguments.store);
  add_gateway_arguments(cli, arguments.store);
  auto* task = cli.add_option("--task", arguments.task, "Only this task, with its curve");
  cli.add_option("--since", arguments.curve.since, "The curve's beginning: 30m, 12h, 7d ago, or a time (2026-05-11, 2026-05-11T08:00:00Z)")->capture_default_str()->needs(task);
  cli.add_option("--until", arguments.curve.until, "The curve's end: an age or a time, too")->needs(task);
  cli.add_option("--points", arguments.curve.points, "Most points of the curve, 2 to 1,000")->capture_default_str()->needs(task);
  cli.add_option("--by", arguments.curve.by, "Points of equal \"time\" or of equally many \"requests\"")->capture_default_str()->needs(task);
  cli.add_flag("--curve", arguments.only_curve, "The curve alone (--json: understudy.curve/1)")->needs(task);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto text = status(arguments, {arguments.store.json, stdout_style()});
  if (!text) return report_error(argv[0], text.error(), arguments.store.json);
  return print_output(*text);
}

}  // namespace understudy::app
