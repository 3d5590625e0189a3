#include "app/keys_report.h"

#include <fmt/format.h>

#include "app/human.h"
#include "app/record_json.h"
#include "app/table.h"
#include "base/json_writer.h"
#include "base/time_format.h"

namespace understudy::app {
namespace {

constexpr std::string_view kTakeOver =
    "A running gateway takes this over when it reloads: kill -HUP its process (systemctl reload understudy), or POST /admin/api/reload with an admin key.";

std::string hex(const std::array<std::uint8_t, 32>& hash) {
  std::string out;
  for (const std::uint8_t byte : hash) out += fmt::format("{:02x}", byte);
  return out;
}

std::vector<std::string_view> scopes(const gateway::ApiKey& key) {
  std::vector<std::string_view> out;
  if (key.inference) out.emplace_back("inference");
  if (key.admin) out.emplace_back("admin");
  if (key.audit) out.emplace_back("audit");
  return out;
}

void write_key(JsonWriter& w, const gateway::ApiKey& key) {
  w.field("name", key.name).field("tenant", key.tenant).key("scopes").begin_array();
  for (const std::string_view scope : scopes(key)) w.string(scope);
  w.end_array().field("trusted", key.trusted).field("hash", hex(key.hash)).key("previous_until");
  if (key.previous) {
    w.string(format_rfc3339(key.previous->until));
  } else {
    w.null();
  }
  const auto limit = [&](std::string_view name, std::int64_t window_ms) {
    w.key(name);
    if (key.requests && key.requests->limit().window_ms == window_ms) {
      w.integer(key.requests->limit().count);
    } else {
      w.null();
    }
  };
  limit("requests_per_second", 1'000);
  limit("requests_per_minute", 60'000);
  w.key("tokens_per_minute");
  if (key.tokens) {
    w.integer(key.tokens->limit().count);
  } else {
    w.null();
  }
  const auto budget = [&](std::string_view name, const std::optional<Picousd>& usd) {
    w.key(name);
    usd ? w.string(exact_usd(usd->value)) : w.null();
  };
  budget("max_usd_per_day", key.max_per_day);
  budget("max_usd_per_month", key.max_per_month);
}

std::string limit_text(const gateway::ApiKey& key) {
  std::string out;
  if (key.requests) {
    const gateway::RateLimit limit = key.requests->limit();
    out = fmt::format("{}/{}", human_count(limit.count), limit.window_ms == 1'000 ? "s" : "min");
  }
  if (key.tokens) out += fmt::format("{}{} tokens/min", out.empty() ? "" : ", ", human_count(key.tokens->limit().count));
  return out.empty() ? "-" : out;
}

std::string budget_text(const gateway::ApiKey& key) {
  std::string out;
  if (key.max_per_day) out += human_usd(key.max_per_day->value) + "/day";
  if (key.max_per_month) out += (out.empty() ? "" : ", ") + human_usd(key.max_per_month->value) + "/month";
  return out.empty() ? "-" : out;
}

}  // namespace

std::string made_key_json(const MadeKey& made, const std::string& config) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.key/1").field("config", config).field("key", made.secret);
  write_key(w, made.key);
  w.end_object();
  return out + "\n";
}

std::string made_key_notes(const MadeKey& made, const std::string& config) {
  std::string out = made.rotated ? fmt::format("Key '{}' has a new secret; its hash is in {}.", printable(made.key.name), printable(config))
                                 : fmt::format("Key '{}' (tenant '{}', {}) is in {}.", printable(made.key.name), printable(made.key.tenant), fmt::join(scopes(made.key), ", "), printable(config));
  if (made.rotated) {
    out += made.key.previous ? fmt::format(" The old secret stays good until {}.", format_rfc3339(made.key.previous->until)) : " The old secret ends with the reload.";
  }
  out += fmt::format("\n{}\n", kTakeOver);
  if (made.first) out += "It is the first key: from then on every request needs one.\n";
  if (made.nobody_is_admin) out += "No key has the scope admin: /admin/api/... and the status page will answer nobody (SIGHUP still reloads).\n";
  return out + "The key, shown only this once, is sent as `Authorization: Bearer KEY` or `x-api-key: KEY`:\n";
}

std::string keys_json(const std::vector<gateway::ApiKey>& keys, const std::string& config, WallTime now) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.keys/1").field("config", config).field("at", format_rfc3339(now)).key("keys").begin_array();
  for (const gateway::ApiKey& key : keys) {
    w.begin_object();
    write_key(w, key);
    w.end_object();
  }
  w.end_array().end_object();
  return out + "\n";
}

std::string keys_text(const std::vector<gateway::ApiKey>& keys, const std::string& config, WallTime now, const TextStyle& style) {
  if (keys.empty()) {
    return fmt::format("{} has no keys: everyone on the gateway's machine may call, nobody else. `understudy keys create NAME --config {}` makes one.\n", printable(config), printable(config));
  }
  Table table({{"NAME", Table::Align::kLeft, true}, {"TENANT", Table::Align::kLeft, true}, {"SCOPES"}, {"TRUSTED"}, {"LIMIT"}, {"BUDGET"}, {"SHA-256"}, {"OLD SECRET"}});
  for (const gateway::ApiKey& key : keys) {
    std::string old = "-";
    if (key.previous) old = key.previous->until.us > now.us ? "good until " + human_time(key.previous->until) : "ended";
    table.add({printable(key.name), printable(key.tenant), fmt::format("{}", fmt::join(scopes(key), ", ")), key.trusted ? "yes" : "-", limit_text(key), budget_text(key), hex(key.hash).substr(0, 12), old});
  }
  return table.render(style);
}

std::string revoked_json(const std::string& name, std::size_t left, const std::string& config) {
  std::string out;
  JsonWriter(out).begin_object().field("schema", "understudy.key_revoked/1").field("config", config).field("name", name).field("keys", left).end_object();
  return out + "\n";
}

std::string revoked_text(const std::string& name, std::size_t left, const std::string& config) {
  std::string out = fmt::format("Key '{}' is no longer in {}; {} left.\n{} Until then the old key is still good.\n", printable(name), printable(config),
                                left == 1 ? "1 key is" : fmt::format("{} keys are", left), kTakeOver);
  if (left == 0) out += "Without keys everyone on the gateway's machine may call.\n";
  return out;
}

}  // namespace understudy::app
