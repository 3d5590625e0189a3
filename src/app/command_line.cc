#include "app/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "app/command.h"
#include "app/output.h"
#include "base/nearest.h"
#include "base/time_format.h"

namespace understudy::app {
namespace {

constexpr const char* kDefaultData = "understudy-data";

/// Sentence about an argument that no option took.
std::string unexpected_argument(const CLI::App& cli, std::string_view argument) {
  const std::string word(argument.substr(0, argument.find('=')));
  if (!word.starts_with('-')) return fmt::format("unexpected argument \"{}\"", argument);
  std::vector<std::string> flags;
  for (const CLI::Option* option : cli.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  const std::vector<std::string_view> names(flags.begin(), flags.end());
  return fmt::format("unknown flag \"{}\"{}", word, did_you_mean(word, names));
}

std::string explain(const CLI::App& cli, const CLI::ParseError& error) {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const auto left = cli.remaining();
    const auto flag = std::find_if(left.begin(), left.end(), [](const std::string& word) { return word.starts_with('-'); });
    if (!left.empty()) return unexpected_argument(cli, flag != left.end() ? *flag : left.front());
  }
  return error.what();
}

}  // namespace

std::optional<int> parse_arguments(CLI::App& cli, int argc, char** argv) {
  try {
    cli.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    return print_output(cli.help());
  } catch (const CLI::ParseError& error) {
    const bool json = std::any_of(argv + 1, argv + argc, [](const char* word) { return std::string_view(word) == "--json"; });
    const std::string message = fmt::format("{} (all flags: {} --help)", explain(cli, error), argv[0]);
    return report_error(argv[0], Error(ErrorKind::kUsage, message), json);
  }
}

void add_store_arguments(CLI::App& cli, StoreArguments& arguments) {
  const char* from_environment = std::getenv("UNDERSTUDY_DATA");
  arguments.data = from_environment != nullptr && *from_environment != '\0' ? from_environment : kDefaultData;
  cli.add_option("--data", arguments.data,
                 fmt::format("Data directory, also of a running gateway (now: {}; default: UNDERSTUDY_DATA, else ./{})",
                             arguments.data, kDefaultData))
      ->type_name("DIR");
  cli.add_flag("--json", arguments.json, "As one JSON object (docs/formats/cli-json.md)");
}

void add_gateway_arguments(CLI::App& cli, StoreArguments& arguments) {
  cli.add_option("--url", arguments.url, "Ask the gateway at this address (http://host:port) instead of a directory")->type_name("URL");
  cli.add_option("--key-env", arguments.key_env, "With --url: the environment variable that holds an admin key")->type_name("NAME")->capture_default_str();
}

Result<void> check_store_arguments(const StoreArguments& arguments) {
  std::error_code code;
  if (std::filesystem::is_directory(arguments.data, code)) return {};
  if (std::filesystem::exists(arguments.data, code)) {
    return fail(ErrorKind::kNotFound,
                fmt::format("{} is not a directory; name the gateway's data directory with --data DIR", arguments.data));
  }
  if (code) return fail(ErrorKind::kIo, fmt::format("{}: {}", arguments.data, code.message()));
  return fail(ErrorKind::kNotFound, fmt::format("there is no data directory {}; name another with --data DIR (or "
                                                "UNDERSTUDY_DATA), or start a gateway, which makes one: "
                                                "understudy serve --student M --teacher M --data {}",
                                                arguments.data, arguments.data));
}

Result<store::StoreReader> open_reader(const StoreArguments& arguments) {
  if (auto checked = check_store_arguments(arguments); !checked) return fail(checked.error());
  return store::StoreReader::open(arguments.data);
}

Result<WallTime> parse_since(const std::string& text, WallTime now, std::string_view flag) {
  if (const auto ms = parse_duration_ms(text)) return WallTime{now.us - std::min(*ms, now.us / 1000) * 1000};
  if (const auto time = parse_rfc3339(text)) return *time;
  return fail(ErrorKind::kUsage,
              fmt::format("{} \"{}\" is neither an age (30m, 12h, 7d) nor a time (2026-05-11, 2026-05-11T08:00:00Z)", flag, text));
}

Result<Stage> parse_stage(const std::string& text) {
  const auto found = std::find(kStageNames.begin(), kStageNames.end(), text);
  if (found != kStageNames.end()) return static_cast<Stage>(found - kStageNames.begin());
  return fail(ErrorKind::kUsage, fmt::format("there is no stage \"{}\"{} (stages: {})", text, did_you_mean(text, kStageNames),
                                             fmt::join(kStageNames, ", ")));
}

}  // namespace understudy::app
