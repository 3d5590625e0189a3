#include "app/version.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/command_line.h"
#include "app/output.h"
#include "base/json_writer.h"

namespace understudy::app {
namespace {

std::string compiler() {
#ifdef __clang__
  return fmt::format("clang++ {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("g++ {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

std::string build() {
  const std::string_view sanitizers = UNDERSTUDY_SANITIZERS;
  return sanitizers.empty() ? UNDERSTUDY_BUILD_TYPE : fmt::format("{}, sanitizers {}", UNDERSTUDY_BUILD_TYPE, sanitizers);
}

}  // namespace

std::string_view version() { return UNDERSTUDY_VERSION; }

std::string version_line() { return fmt::format("{} ({}, {})", version(), compiler(), build()); }

int run_version_command(int argc, char** argv) {
  CLI::App cli("Says which understudy this is.");
  bool json = false;
  cli.add_flag("--json", json, "As one JSON object");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  if (!json) return print_output(fmt::format("understudy {}\n", version_line()));
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.field("schema", "understudy.version/1").field("version", version()).field("compiler", compiler()).field("build", build());
  w.end_object();
  return print_output(out + "\n");
}

}  // namespace understudy::app
