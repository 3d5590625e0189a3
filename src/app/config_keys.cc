// [[keys]]: who may call, and how much.
#include <algorithm>
#include <array>

#include "app/config_sections.h"
#include "base/nearest.h"
#include "base/time_format.h"

namespace understudy::app {
namespace {

constexpr std::array<std::string_view, 3> kScopes{"inference", "admin", "audit"};

Result<std::optional<std::array<std::uint8_t, 32>>> read_hash(TableReader& table, std::string_view key) {
  APP_TRY(hex, table.string(key));
  if (!hex) return std::optional<std::array<std::uint8_t, 32>>();
  auto hash = gateway::parse_key_hash(*hex);
  if (!hash) return table.wrong(key, "is wrong: " + hash.error().message);
  return std::optional(*hash);
}

Result<void> read_scopes(TableReader& table, gateway::ApiKey& key) {
  APP_TRY(scopes, table.strings("scopes"));
  if (!scopes) return {};
  if (scopes->empty()) return table.wrong("scopes", fmt::format("is empty, so the key could do nothing: name some of {}, or remove the key", fmt::join(kScopes, ", ")));
  key.inference = false;
  for (const std::string& scope : *scopes) {
    if (std::find(kScopes.begin(), kScopes.end(), scope) == kScopes.end()) {
      return table.wrong("scopes", fmt::format("holds '{}'{}; scopes are {}", scope, did_you_mean(scope, kScopes), fmt::join(kScopes, ", ")));
    }
    if (scope == "inference") key.inference = true;
    if (scope == "admin") key.admin = true;
    if (scope == "audit") key.audit = true;
  }
  return {};
}

/// requests_per_second or requests_per_minute, and tokens_per_minute.
Result<void> read_rate(TableReader& table, gateway::ApiKey& key) {
  constexpr std::int64_t kMost = 1'000'000;
  APP_TRY(second, table.integer("requests_per_second", 1, kMost));
  APP_TRY(minute, table.integer("requests_per_minute", 1, kMost));
  if (second && minute) return table.wrong("requests_per_second", "and requests_per_minute exclude each other: a key has one limit");
  if (second || minute) key.requests = std::make_shared<gateway::RateMeter>(second ? gateway::RateLimit{*second, 1'000} : gateway::RateLimit{*minute, 60'000});
  APP_TRY(tokens, table.integer("tokens_per_minute", 1, 1'000'000'000));
  if (tokens) key.tokens = std::make_shared<gateway::RateMeter>(gateway::RateLimit{*tokens, 60'000});
  return {};
}

Result<gateway::ApiKey> read_key(TableReader table) {
  gateway::ApiKey key;
  APP_TRY(name, table.string("name"));
  if (!name || name->empty()) return table.wrong("name", "is missing");
  key.name = *name;
  APP_TRY(hash, read_hash(table, "hash"));
  if (!hash) return table.wrong("hash", "is missing: the SHA-256 of the key in hexadecimal; `understudy keys create` makes both");
  key.hash = *hash;
  APP_TRY(previous, read_hash(table, "previous_hash"));
  APP_TRY(until, table.string("previous_until"));
  if (previous.has_value() != until.has_value()) {
    return table.wrong(previous ? "previous_hash" : "previous_until", "needs the other: previous_hash is the replaced secret, previous_until when it ends");
  }
  if (previous) {
    const auto time = parse_rfc3339(*until);
    if (!time) return table.wrong("previous_until", "must be a time such as \"2026-05-11T08:00:00Z\"");
    key.previous = gateway::PreviousSecret{*previous, *time};
  }
  APP_TRY(tenant, table.string("tenant"));
  key.tenant = tenant.value_or(*name);
  APP_TRY(trusted, table.boolean("trusted"));
  key.trusted = trusted.value_or(false);
  APP_CHECK(read_scopes(table, key));
  APP_CHECK(read_rate(table, key));
  APP_TRY(day, read_usd(table, "max_usd_per_day"));
  APP_TRY(month, read_usd(table, "max_usd_per_month"));
  key.max_per_day = day;
  key.max_per_month = month;
  APP_CHECK(table.finish());
  return key;
}

}  // namespace

Result<std::vector<gateway::ApiKey>> read_keys(TableReader& root, const std::string& file, std::vector<Origin>& origins) {
  std::vector<gateway::ApiKey> keys;
  const toml::array* list = root.array("keys");
  if (list == nullptr) return keys;
  for (const toml::node& node : *list) {
    if (!node.is_table()) return root.wrong("keys", "must be a list of tables: [[keys]]");
    TableReader table(node.as_table(), "keys", file, origins);
    APP_TRY(key, read_key(table));
    for (const gateway::ApiKey& other : keys) {
      if (other.name == key.name) return table.wrong("name", fmt::format("= \"{}\" stands twice: give each key a name of its own", key.name));
      if (other.hash == key.hash) return table.wrong("hash", fmt::format("is that of \"{}\", too: who calls could not be told", other.name));
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace understudy::app
