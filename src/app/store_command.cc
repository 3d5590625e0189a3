#include "app/store_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/command.h"
#include "app/command_line.h"
#include "app/output.h"
#include "app/store_report.h"
#include "base/time_format.h"

namespace understudy::app {
namespace {

Result<store::CheckReport> check(const StoreArguments& arguments) {
  auto reader = open_reader(arguments);
  if (!reader) return fail(reader.error());
  return reader->check();
}

Result<store::CompactReport> compact(const StoreArguments& arguments, const std::optional<std::string>& bodies) {
  store::StoreOptions options;
  options.bodies_max_age_ms = std::nullopt;  // how long texts are kept is the gateway's configuration, which is not read here
  if (bodies) {
    const auto age = parse_duration_ms(*bodies);
    if (!age) return fail(ErrorKind::kUsage, fmt::format("--bodies \"{}\" is not an age such as 30d or 12h", *bodies));
    options.bodies_max_age_ms = *age;
  }
  // Opening for writing would make a store where there is none; reading first refuses that.
  if (auto reader = open_reader(arguments); !reader) return fail(reader.error());
  auto opened = store::Store::open(arguments.data, options);
  if (!opened) return fail(opened.error());
  return (*opened)->compact();
}

}  // namespace

int run_store_check_command(int argc, char** argv) {
  CLI::App cli("Reads the whole data directory and verifies it. Exit status 1: errors were found.");
  StoreArguments arguments;
  add_store_arguments(cli, arguments);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto report = check(arguments);
  if (!report) return report_error(argv[0], report.error(), arguments.json);
  const std::string text =
      arguments.json ? check_json(*report, arguments.data) : check_text(*report, arguments.data, stdout_style());
  return print_output(text, report->ok ? kExitDone : kExitGateFailed);
}

int run_store_compact_command(int argc, char** argv) {
  CLI::App cli("Gives unused disk space back. Needs the directory for itself: stop the gateway first.");
  StoreArguments arguments;
  std::optional<std::string> bodies;
  add_store_arguments(cli, arguments);
  cli.add_option("--bodies", bodies, "Also remove texts older than this (30d); sums and records stay")->type_name("AGE");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto report = compact(arguments, bodies);
  if (!report) return report_error(argv[0], report.error(), arguments.json);
  return print_output(arguments.json ? compact_json(*report, arguments.data) : compact_text(*report, arguments.data));
}

}  // namespace understudy::app
