#include "app/tasks_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/command_line.h"
#include "app/gateway_client.h"
#include "app/output.h"
#include "app/queries.h"
#include "base/json_writer.h"
#include "net/percent.h"

namespace understudy::app {
namespace {

/// "" cannot stand in a path; "-" means the same.
std::string path_of(const std::string& task) { return "/admin/api/tasks/" + (task.empty() ? std::string("-") : net::percent_encoded(task)); }

Result<std::string> tasks(const StoreArguments& arguments, const Rendering& how) {
  if (!arguments.url.empty()) return ask_gateway(arguments, {"/admin/api/tasks", {}}, how);
  if (auto checked = check_store_arguments(arguments); !checked) return fail(checked.error());
  return answer_tasks({arguments.data}, how);
}

Result<std::string> show(const StoreArguments& arguments, const std::string& task, const Rendering& how) {
  if (!arguments.url.empty()) return ask_gateway(arguments, {path_of(task), {}}, how);
  if (auto checked = check_store_arguments(arguments); !checked) return fail(checked.error());
  return answer_task({arguments.data}, task.empty() ? "-" : task, how);
}

Result<std::string> pin(const StoreArguments& arguments, const std::string& task, const std::string& to, const Rendering& how) {
  if (!arguments.url.empty()) {
    GatewayQuestion question{path_of(task) + "/pin", {}, "POST", {}};
    JsonWriter(question.body).begin_object().field("to", to).end_object();
    return ask_gateway(arguments, std::move(question), how);
  }
  if (auto checked = check_store_arguments(arguments); !checked) return fail(checked.error());
  return answer_pin({arguments.data}, task.empty() ? "-" : task, to, how);
}

int finish(const char* name, const StoreArguments& arguments, const Result<std::string>& text) {
  return text ? print_output(*text) : report_error(name, text.error(), arguments.json);
}

constexpr const char* kTaskHelp = "The task's name, or CASCADE/NAME; - for requests without one";

}  // namespace

int run_tasks_command(int argc, char** argv) {
  CLI::App cli("The promise of each task: what is proven, what cheap stages serve, what is still needed.");
  cli.footer("One task whole: understudy tasks show TASK.  Off the cheap stages: understudy tasks pin TASK teacher.");
  StoreArguments arguments;
  add_store_arguments(cli, arguments);
  add_gateway_arguments(cli, arguments);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  return finish(argv[0], arguments, tasks(arguments, {arguments.json, stdout_style()}));
}

int run_tasks_show_command(int argc, char** argv) {
  CLI::App cli("One task: its promise and proof, why the bill is what it is, and what would lower it.");
  StoreArguments arguments;
  std::string task;
  cli.add_option("TASK", task, kTaskHelp)->required();
  add_store_arguments(cli, arguments);
  add_gateway_arguments(cli, arguments);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  return finish(argv[0], arguments, show(arguments, task, {arguments.json, stdout_style()}));
}

int run_tasks_pin_command(int argc, char** argv) {
  CLI::App cli("Takes a task off the cheap stages at once (teacher), or lets the promise decide again (auto). Kept over restarts.");
  StoreArguments arguments;
  std::string task, to;
  cli.add_option("TASK", task, kTaskHelp)->required();
  cli.add_option("TO", to, "teacher or auto")->required();
  add_store_arguments(cli, arguments);
  add_gateway_arguments(cli, arguments);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  return finish(argv[0], arguments, pin(arguments, task, to, {arguments.json, stdout_style()}));
}

}  // namespace understudy::app
