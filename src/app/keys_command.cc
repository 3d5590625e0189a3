#include "app/keys_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <span>

#include "app/command.h"
#include "app/command_line.h"
#include "app/config_file.h"
#include "app/config_sections.h"
#include "app/human.h"
#include "app/key_text.h"
#include "app/keys_report.h"
#include "app/output.h"
#include "base/nearest.h"
#include "base/random.h"
#include "base/time_format.h"

namespace understudy::app {
namespace {

struct KeyArguments {
  std::string config;
  std::string name;
  bool json = false;
};

void add_common(CLI::App& cli, KeyArguments& arguments, bool with_name) {
  if (with_name) cli.add_option("NAME,--name", arguments.name, "The key's name")->required();
  cli.add_option("-c,--config", arguments.config, "Configuration file (TOML) that holds the keys")->required();
  cli.add_flag("--json", arguments.json, "JSON instead of text");
}

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string out;
  for (const std::uint8_t byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

/// 256 bits from the kernel. The prefix lets scanners for leaked secrets find it.
std::string new_secret() {
  std::string out = "usk_";
  for (int i = 0; i < 4; ++i) out += fmt::format("{:016x}", entropy64());
  return out;
}

std::string hash_of(const std::string& secret) { return hex(gateway::hash_key(secret)); }

Result<std::vector<gateway::ApiKey>> keys_in(const std::string& text, const std::string& file) {
  toml::table document;
  try {
    document = toml::parse(text, file);
  } catch (const toml::parse_error& e) {
    return fail(ErrorKind::kConfig, fmt::format("{}:{}: {}", file, e.source().begin.line, e.description()));
  }
  std::vector<Origin> origins;
  TableReader root(&document, "", file, origins);
  if (root.has("keys") && !document.get("keys")->is_array()) return root.wrong("keys", "must be a list of tables: [[keys]]");
  return read_keys(root, file, origins);
}

const gateway::ApiKey* find(const std::vector<gateway::ApiKey>& keys, const std::string& name) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const auto& key) { return key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

Unexpected no_such_key(const std::vector<gateway::ApiKey>& keys, const KeyArguments& arguments) {
  std::vector<std::string_view> names;
  for (const auto& key : keys) names.push_back(key.name);
  return fail(ErrorKind::kNotFound, fmt::format("there is no key '{}' in {}{}; {}", printable(arguments.name), arguments.config, did_you_mean(arguments.name, names),
                                                names.empty() ? "it has no keys" : fmt::format("it has {}", fmt::join(names, ", "))));
}

Result<void> check_name(const std::string& name) {
  const bool plain = std::none_of(name.begin(), name.end(), [](unsigned char c) { return std::iscntrl(c) != 0; });
  if (name.empty() || name.size() > 100 || !plain) return fail(ErrorKind::kUsage, "a key's name must have 1 to 100 bytes and no control characters");
  return {};
}

/// An edited file as it would be read. What a key says is told from here, not from the arguments.
Result<gateway::ApiKey> save(ConfigFile& file, const KeyArguments& arguments, Result<std::string> edited) {
  if (!edited) {
    edited.error().message = fmt::format("{}: {}", arguments.config, edited.error().message);
    return fail(std::move(edited.error()));
  }
  auto keys = keys_in(*edited, arguments.config);
  if (!keys) return fail(std::move(keys.error()));
  const gateway::ApiKey* key = find(*keys, arguments.name);
  if (key == nullptr) return fail(ErrorKind::kInternal, fmt::format("the edited file would lack the key '{}'; it was not written", arguments.name));
  if (auto written = file.replace(*edited); !written) return fail(std::move(written.error()));
  return *key;
}

Result<void> check_scopes(const std::vector<std::string>& scopes) {
  static constexpr std::array<std::string_view, 3> kScopes{"inference", "admin", "audit"};
  for (const std::string& scope : scopes) {
    if (std::find(kScopes.begin(), kScopes.end(), scope) != kScopes.end()) continue;
    return fail(ErrorKind::kUsage, fmt::format("there is no scope '{}'{}; scopes are {}", printable(scope), did_you_mean(scope, kScopes), fmt::join(kScopes, ", ")));
  }
  return {};
}

/// @param draft  all but its name and hash
Result<MadeKey> create(const KeyArguments& arguments, KeyDraft draft) {
  if (auto good = check_name(arguments.name); !good) return fail(std::move(good.error()));
  if (auto good = check_scopes(draft.scopes); !good) return fail(std::move(good.error()));
  APP_TRY(file, ConfigFile::open(arguments.config));
  APP_TRY(before, keys_in(file.text(), arguments.config));
  if (find(before, arguments.name) != nullptr) {
    return fail(ErrorKind::kConflict, fmt::format("{} has a key '{}' already: choose another name, or give it a new secret by `understudy keys rotate`", arguments.config, printable(arguments.name)));
  }
  MadeKey made;
  made.secret = new_secret();
  draft.name = arguments.name;
  draft.hash = hash_of(made.secret);
  APP_TRY(key, save(file, arguments, add_key(file.text(), draft)));
  made.key = key;
  made.first = before.empty();
  made.nobody_is_admin = !key.admin && std::none_of(before.begin(), before.end(), [](const auto& other) { return other.admin; });
  return made;
}

Result<MadeKey> rotate(const KeyArguments& arguments, const std::string& grace) {
  std::optional<WallTime> until;
  if (!grace.empty()) {
    const auto ms = parse_duration_ms(grace);
    if (!ms || *ms <= 0 || *ms > 366LL * 86'400'000) return fail(ErrorKind::kUsage, fmt::format("--grace \"{}\" is not a time such as 24h or 7d, at most a year", printable(grace)));
    until = WallTime{(system_clock().wall().us / 1'000'000 + (*ms + 999) / 1'000) * 1'000'000};
  }
  APP_TRY(file, ConfigFile::open(arguments.config));
  APP_TRY(before, keys_in(file.text(), arguments.config));
  if (find(before, arguments.name) == nullptr) return no_such_key(before, arguments);
  MadeKey made;
  made.secret = new_secret();
  APP_TRY(key, save(file, arguments, rotate_key(file.text(), arguments.name, hash_of(made.secret), until)));
  made.key = key;
  made.rotated = true;
  return made;
}

/// How many keys are left.
Result<std::size_t> revoke(const KeyArguments& arguments, bool last) {
  APP_TRY(file, ConfigFile::open(arguments.config));
  APP_TRY(before, keys_in(file.text(), arguments.config));
  if (find(before, arguments.name) == nullptr) return no_such_key(before, arguments);
  if (before.size() == 1 && !last) {
    return fail(ErrorKind::kConflict,
                fmt::format("'{}' is the last key: without keys everyone on the gateway's machine may call, and a gateway that listens on another address refuses the "
                            "configuration and so keeps this key in force. Create another key first, or say --last",
                            printable(arguments.name)));
  }
  auto edited = remove_key(file.text(), arguments.name);
  if (!edited) return fail(edited.error().kind, fmt::format("{}: {}", arguments.config, edited.error().message));
  if (auto written = file.replace(*edited); !written) return fail(std::move(written.error()));
  return before.size() - 1;
}

int finish(const char* name, const KeyArguments& arguments, const Result<MadeKey>& made) {
  if (!made) return report_error(name, made.error(), arguments.json);
  if (arguments.json) return print_output(made_key_json(*made, arguments.config));
  print_error(made_key_notes(*made, arguments.config));
  return print_output(made->secret + "\n");
}

}  // namespace

int run_keys_create_command(int argc, char** argv) {
  CLI::App cli("Makes a key: its SHA-256 goes into the configuration file, the key itself is printed once, to standard output.");
  cli.footer(
      "Examples:\n"
      "  understudy keys create support-bot --requests-per-minute 600 --config understudy.toml\n"
      "  understudy keys create intern --max-usd-per-day 5 --max-usd-per-month 50 --config understudy.toml\n"
      "  understudy keys create ops --scope admin --config understudy.toml\n"
      "  KEY=$(understudy keys create proxy --trusted --config understudy.toml)\n"
      "A running gateway takes it over on SIGHUP or POST /admin/api/reload.");
  KeyArguments arguments;
  KeyDraft draft;
  add_common(cli, arguments, true);
  cli.add_option("--scope,--scopes", draft.scopes, "inference (default): the API; admin: /admin/api/... and the status page; audit: the log of calls and /metrics. Several: a,b")->delimiter(',');
  cli.add_option("--tenant", draft.tenant, "Whose requests these are (default: the name)");
  cli.add_flag("--trusted", draft.trusted, "May name another tenant in x-understudy-tenant");
  CLI::Option* second = cli.add_option("--requests-per-second", draft.requests_per_second, "Most chat completions it may ask for, refilled evenly; beyond it 429")->check(CLI::Range(1, 1'000'000));
  cli.add_option("--requests-per-minute", draft.requests_per_minute, "The same by the minute")->check(CLI::Range(1, 1'000'000))->excludes(second);
  cli.add_option("--tokens-per-minute", draft.tokens_per_minute, "Most tokens of these, in and out; beyond it 429")->check(CLI::Range(1, 1'000'000'000));
  cli.add_option("--max-usd-per-day", draft.max_usd_per_day, "Most that may be spent for it, a hard limit; beyond it 402")->check(CLI::Range(0.0, 1e6));
  cli.add_option("--max-usd-per-month", draft.max_usd_per_month, "The same by the month")->check(CLI::Range(0.0, 1e6));
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  return finish(argv[0], arguments, create(arguments, std::move(draft)));
}

int run_keys_list_command(int argc, char** argv) {
  CLI::App cli("The keys of a configuration file. Secrets are nowhere: a key is known by the first digits of its SHA-256.");
  cli.footer("Example:\n  understudy keys list --config understudy.toml");
  KeyArguments arguments;
  add_common(cli, arguments, false);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto list = [&]() -> Result<std::vector<gateway::ApiKey>> {
    APP_TRY(file, ConfigFile::open(arguments.config));
    return keys_in(file.text(), arguments.config);
  };
  const auto keys = list();
  if (!keys) return report_error(argv[0], keys.error(), arguments.json);
  const WallTime now = system_clock().wall();
  return print_output(arguments.json ? keys_json(*keys, arguments.config, now) : keys_text(*keys, arguments.config, now, stdout_style()));
}

int run_keys_rotate_command(int argc, char** argv) {
  CLI::App cli("Gives a key a new secret, printed once, to standard output.");
  cli.footer(
      "Examples:\n"
      "  understudy keys rotate support-bot --grace 24h --config understudy.toml   # the old secret stays good for a day\n"
      "  understudy keys rotate support-bot --config understudy.toml               # it ends with the next reload: a leak\n"
      "A running gateway takes it over on SIGHUP or POST /admin/api/reload.");
  KeyArguments arguments;
  std::string grace;
  add_common(cli, arguments, true);
  cli.add_option("--grace", grace, "How long the old secret stays good beside the new one: 1h, 7d (default: not at all)")->type_name("TIME");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  return finish(argv[0], arguments, rotate(arguments, grace));
}

int run_keys_revoke_command(int argc, char** argv) {
  CLI::App cli("Takes a key out of the configuration file.");
  cli.footer("Example:\n  understudy keys revoke support-bot --config understudy.toml\nA running gateway refuses it after SIGHUP or POST /admin/api/reload; requests in flight end.");
  KeyArguments arguments;
  bool last = false;
  add_common(cli, arguments, true);
  cli.add_flag("--last", last, "Also where it is the only key, so that the gateway is open to everyone on its machine");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto left = revoke(arguments, last);
  if (!left) return report_error(argv[0], left.error(), arguments.json);
  return print_output(arguments.json ? revoked_json(arguments.name, *left, arguments.config) : revoked_text(arguments.name, *left, arguments.config));
}

}  // namespace understudy::app
