#pragma once
/// What the commands share: reading arguments with CLI11, and the arguments of those that read a data directory.

#include <filesystem>
#include <optional>
#include <string>

#include "base/error.h"
#include "store/queries.h"

namespace CLI {
class App;
}

namespace understudy::app {

/// Reads the arguments into what `cli`'s options are bound to. nullopt: go on. Otherwise the exit status: 0 after `--help` was
/// answered; 2 after wrong arguments were told, an unknown flag with the nearest known one.
std::optional<int> parse_arguments(CLI::App& cli, int argc, char** argv);

/// --data, --url, --key-env and --json of commands that read the store.
struct StoreArguments {
  std::string data;
  std::string url;                                ///< a running gateway's; "": the directory is read
  std::string key_env = "UNDERSTUDY_ADMIN_KEY";   ///< environment variable that holds its admin key
  bool json = false;
};

/// Declares --data (default: UNDERSTUDY_DATA, else ./understudy-data) and --json.
void add_store_arguments(CLI::App& cli, StoreArguments& arguments);
/// And --url and --key-env, for commands that can ask a running gateway.
void add_gateway_arguments(CLI::App& cli, StoreArguments& arguments);

/// kNotFound with how to start a gateway where there is no such directory.
Result<void> check_store_arguments(const StoreArguments& arguments);

/// Opens the directory for reading, also beside a running gateway. Errors as check_store_arguments and StoreReader::open.
Result<store::StoreReader> open_reader(const StoreArguments& arguments);

/// The time that `text` means as the beginning (or, for another `flag`, the end) of a period: "1d", "12h" before `now`, or an
/// RFC 3339 time or date. kUsage, naming the flag, where it is neither.
Result<WallTime> parse_since(const std::string& text, WallTime now, std::string_view flag = "--since");

/// kUsage, with all names and the nearest, where `text` is no stage.
Result<Stage> parse_stage(const std::string& text);

}  // namespace understudy::app
