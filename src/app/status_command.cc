#include "app/status_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "app/command_line.h"
#include "app/nearest.h"
#include "app/output.h"
#include "app/status_report.h"

namespace understudy::app {
namespace {

Result<StatusReport> read_status(const StoreArguments& arguments, const std::optional<std::string>& task) {
  auto reader = open_reader(arguments);
  if (!reader) return fail(reader.error());
  auto status = reader->status();
  if (!status) return fail(status.error());
  StatusReport report{arguments.data, std::move(*status), task};
  if (!task) return report;
  std::vector<std::string_view> names;
  for (const store::TaskTotals& seen : report.status.tasks) names.push_back(seen.task);
  if (std::find(names.begin(), names.end(), *task) != names.end()) return report;
  std::erase(names, std::string_view());  // requests without a name
  return fail(ErrorKind::kNotFound,
              fmt::format("no request of a task \"{}\" is recorded{} (tasks: {})", *task, did_you_mean(*task, names),
                          names.empty() ? "none yet" : fmt::format("{}", fmt::join(names, ", "))));
}

}  // namespace

int run_status_command(int argc, char** argv) {
  CLI::App cli("Who served, what it cost and what was saved: the last 24 hours and everything recorded.");
  StoreArguments arguments;
  std::optional<std::string> task;
  add_store_arguments(cli, arguments);
  cli.add_option("--task", task, "Only this task");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto report = read_status(arguments, task);
  if (!report) return report_error(argv[0], report.error(), arguments.json);
  return print_output(arguments.json ? status_json(*report) : status_text(*report, stdout_style()));
}

}  // namespace understudy::app
