#pragma once
/// Configuration: one TOML file (docs/guide/configuration.md), flags over it, environment variables only for secrets.
/// Reading never guesses: an unknown key is an error with the nearest known one, a value of the wrong type says which was
/// wanted, and what the file may say but this version cannot do is refused or warned of by name.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "gateway/gateway.h"
#include "net/server.h"
#include "store/store.h"

namespace understudy::app {

/// What flags of `serve` say; empty: not given.
struct ServeFlags {
  std::string config;
  std::string listen;
  std::string data;
  std::string student;             ///< PROVIDER:MODEL or URL#MODEL
  std::string teacher;
  std::string student_key_env;
  std::string teacher_key_env;
  std::string student_price;       ///< IN,OUT in USD per 1M tokens
  std::string teacher_price;
  std::optional<unsigned> workers;
  bool shadow = false;
};

/// One effective setting and where it came from ("default", "file:12", "flag --listen", "book").
struct Origin {
  std::string key;
  std::string value;
  std::string origin;
};

struct Config {
  net::ServerOptions server;
  store::StoreOptions store;
  std::filesystem::path data = "understudy-data";
  std::size_t cache_bytes = std::size_t{64} << 20;
  std::size_t score_cache_bytes = std::size_t{64} << 20;
  std::string encoder = "auto";   ///< auto (where stages learn), on, off, or a model's folder
  std::int64_t drain_ms = 30'000;
  std::string timezone = "UTC";   ///< of budgets' days and months
  gateway::Snapshot snapshot;
  std::vector<std::string> warnings;   ///< sentences for the log: models without a price, keys without effect yet, ...
  std::vector<Origin> origins;         ///< for `config show --effective`
};

/// Where secrets and the like are read from; tests give their own.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

/// Reads file and flags into one configuration. kConfig (message with file and line, key, remedy) or kUsage for flags.
Result<Config> load_config(const ServeFlags& flags, const Environment& environment);

}  // namespace understudy::app
