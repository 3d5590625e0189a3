#include "app/config_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>

#include "app/command.h"
#include "app/command_line.h"
#include "app/config.h"
#include "app/config_sections.h"
#include "app/human.h"
#include "app/output.h"
#include "base/json_writer.h"

namespace understudy::app {
namespace {

int check(const ServeFlags& flags, bool json) {
  auto config = load_config(flags, process_environment());
  if (!config) return report_error("understudy config check", config.error(), json);
  std::string out;
  if (json) {
    JsonWriter w(out);
    w.begin_object().field("schema", "understudy.config_check/1").field("ok", true).field("policy_version", config->snapshot.policy->version).key("warnings").begin_array();
    for (const std::string& warning : config->warnings) w.string(warning);
    w.end_array().end_object();
    out += '\n';
  } else {
    for (const std::string& warning : config->warnings) out += fmt::format("warning: {}\n", warning);
    out += fmt::format("{} is good: {}, {}, {} (policy {})\n", flags.config.empty() ? "What the flags say" : flags.config,
                       counted(static_cast<std::int64_t>(config->snapshot.policy->models.size()), "model"),
                       counted(static_cast<std::int64_t>(config->snapshot.policy->cascades.size()), "cascade"),
                       counted(static_cast<std::int64_t>(config->snapshot.policy->tasks.size()), "task"), config->snapshot.policy->version);
  }
  return print_output(out);
}

/// As the file would say it: "30d", "1500ms".
std::string duration(std::int64_t ms) {
  for (const auto& [unit, name] : {std::pair{86'400'000, "d"}, {3'600'000, "h"}, {60'000, "m"}, {1'000, "s"}}) {
    if (ms > 0 && ms % unit == 0) return fmt::format("{}{}", ms / unit, name);
  }
  return fmt::format("{}ms", ms);
}

/// Settings that have a default, with the value in force, for those that neither file nor flag named.
void add_defaults(const Config& config, std::vector<Origin>& origins) {
  const auto add = [&](const std::string& key, std::string value) {
    for (const Origin& origin : origins) {
      if (origin.key == key) return;
    }
    origins.push_back({key, std::move(value), "default"});
  };
  const cascade::Policy& policy = *config.snapshot.policy;
  add("server.listen", config.server.listen);
  add("server.workers", std::to_string(config.server.workers));
  add("server.heartbeat_s", fmt::format("{}", static_cast<double>(policy.heartbeat_ms) / 1000));
  add("server.cache_bytes", std::to_string(config.cache_bytes));
  add("server.score_cache_bytes", std::to_string(config.score_cache_bytes));
  add("server.encoder", config.encoder);
  add("server.drain", duration(config.drain_ms));
  add("server.top_logprobs", std::to_string(policy.top_logprobs));
  add("server.unknown_model", policy.unknown_model == cascade::UnknownModel::kAuto ? "auto" : policy.unknown_model == cascade::UnknownModel::kTeacher ? "teacher" : "error");
  add("store.path", config.data.string());
  add("store.durability", config.store.durability == store::Durability::kGroup ? "group" : "process");
  add("store.bodies", config.store.keep_bodies ? duration(config.store.bodies_max_age_ms.value_or(0)) : "none");
  add("limits.max_body_bytes", std::to_string(config.server.limits.body_bytes));
  add("limits.max_header_bytes", std::to_string(config.server.limits.head.bytes));
  add("limits.max_connections", std::to_string(config.server.limits.connections));
  add("limits.max_concurrent_requests", std::to_string(config.server.limits.requests));
  add("limits.header_timeout", duration(config.server.limits.head_ms));
  add("limits.body_timeout", duration(config.server.limits.body_ms));
  add("limits.idle_timeout", duration(config.server.limits.idle_ms));
  add("limits.write_timeout", duration(config.server.limits.write_stall_ms));
  for (const auto& cascade : policy.cascades) {
    const std::string path = "cascade." + cascade.name;
    add(path + ".teacher", policy.models[cascade.teacher].config.name);
    add(path + ".student", cascade.student ? policy.models[*cascade.student].config.name : "none");
    add(path + ".mode", std::string(cascade::mode_name(cascade.mode)));
    add(path + ".escalate_below", cascade.escalate_below ? fmt::format("{}", *cascade.escalate_below) : "none: the promise decides");
    add(path + ".alpha", fmt::format("{}", cascade.alpha));
    add(path + ".delta", fmt::format("{}", cascade.delta));
    add(path + ".max_age", duration(cascade.max_age_ms));
    add(path + ".spot_check", fmt::format("{}", cascade.spot_check));
    add(path + ".label_budget_usd_per_day", cascade.label_budget_per_day ? format_usd(*cascade.label_budget_per_day, 2) : "none");
    add(path + ".few_shots", few_shots_text(cascade.few_shots));
    add(path + ".few_shots_stable", fmt::format("{}", cascade.few_shots.stable));
    add(path + ".few_shot_tokens", fmt::format("{}", cascade.few_shots.tokens));
    add(path + ".lesson_budget_usd_per_day", cascade.lesson_budget_per_day ? format_usd(*cascade.lesson_budget_per_day, 2) : "none");
    std::vector<std::string> signals;
    for (const cascade::SignalSpec& signal : cascade.signals) signals.push_back(signal_text(signal, policy));
    add(path + ".signals", signals.empty() ? "none" : fmt::format("{}", fmt::join(signals, ", ")));
    add(path + ".cache_max_age", duration(cascade.cache_max_age_ms));
    add(path + ".early_reject", cascade.early_reject ? "true" : "false");
    add(path + ".hedge_above", cascade.hedge_above ? fmt::format("{}", *cascade.hedge_above) : "never");
    add(path + ".on_teacher_failure", cascade.on_teacher_failure == cascade::OnTeacherFailure::kStudent ? "student" : "error");
  }
}

int show(const ServeFlags& flags, bool effective, bool json) {
  auto config = load_config(flags, process_environment());
  if (!config) return report_error("understudy config show", config.error(), json);
  std::vector<Origin> origins = config->origins;
  if (effective) add_defaults(*config, origins);
  std::sort(origins.begin(), origins.end(), [](const Origin& a, const Origin& b) { return a.key < b.key; });
  std::string out;
  if (json) {
    JsonWriter w(out);
    w.begin_object().field("schema", "understudy.config/1").key("settings").begin_array();
    for (const Origin& origin : origins) w.begin_object().field("key", origin.key).field("value", origin.value).field("origin", origin.origin).end_object();
    w.end_array().end_object();
    out += '\n';
  } else {
    for (const Origin& origin : origins) out += fmt::format("{:<44} {:<40} {}\n", origin.key, origin.value, origin.origin);
  }
  return print_output(out);
}

}  // namespace

int run_config_command(int argc, char** argv) {
  ServeFlags flags;
  bool json = false;
  bool effective = false;
  CLI::App cli{"Checks a configuration file, or shows what it says."};
  cli.footer("Examples:\n  understudy config check understudy.toml\n  understudy config show understudy.toml --effective");
  cli.require_subcommand(1);
  const auto common = [&](CLI::App* command) {
    command->add_option("FILE,-c,--config", flags.config, "Configuration file (TOML)");
    command->add_option("--student", flags.student, "As for serve");
    command->add_option("--teacher", flags.teacher, "As for serve");
    command->add_flag("--json", json, "JSON instead of text");
    return command;
  };
  const CLI::App* check_command = common(cli.add_subcommand("check", "Reads the file as serve would and says what is wrong (exit 2) or to be known"));
  CLI::App* show_command = common(cli.add_subcommand("show", "Each setting and where it comes from"));
  show_command->add_flag("--effective", effective, "With defaults");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  if (flags.config.empty() && flags.student.empty()) {
    print_error("understudy config: there is nothing to read: name a file (understudy config check understudy.toml), or give --student and --teacher as for serve");
    return kExitBadInput;
  }
  return *check_command ? check(flags, json) : show(flags, effective, json);
}

}  // namespace understudy::app
