#include "app/config_reader.h"

#include "base/nearest.h"
#include "base/time_format.h"

namespace understudy::app {

const toml::node* TableReader::node(std::string_view key) {
  known_.insert(std::string(key));
  return table_ == nullptr ? nullptr : table_->get(key);
}

void TableReader::told(std::string_view key, const toml::node& node, std::string value) {
  const bool secret = key == "hash" || key == "previous_hash" || key == "key";
  origins_.push_back({path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key), secret ? "(hidden)" : std::move(value),
                      fmt::format("{}:{}", file_, node.source().begin.line)});
}

Unexpected TableReader::wrong(std::string_view key, std::string_view what) const {
  std::uint32_t line = 0;
  if (table_ != nullptr) {
    const toml::node* found = table_->get(key);
    line = found != nullptr ? found->source().begin.line : table_->source().begin.line;
  }
  const std::string name = path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  return fail(ErrorKind::kConfig, fmt::format("{}:{}: {} {}", file_, line, name, what), name);
}

Result<std::optional<std::string>> TableReader::string(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::optional<std::string>();
  const auto* value = found->as_string();
  if (value == nullptr) return wrong(key, "must be a string in quotes");
  told(key, *found, value->get());
  return std::optional(value->get());
}

Result<std::optional<std::int64_t>> TableReader::integer(std::string_view key, std::int64_t low, std::int64_t high) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::optional<std::int64_t>();
  const auto* value = found->as_integer();
  if (value == nullptr || value->get() < low || value->get() > high) return wrong(key, fmt::format("must be an integer from {} to {}", low, high));
  told(key, *found, std::to_string(value->get()));
  return std::optional(value->get());
}

Result<std::optional<double>> TableReader::number(std::string_view key, double low, double high) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::optional<double>();
  const std::optional<double> value = found->value<double>();
  if (!value || !(*value >= low) || !(*value <= high)) return wrong(key, fmt::format("must be a number from {} to {}", low, high));
  told(key, *found, fmt::format("{}", *value));
  return value;
}

Result<std::optional<bool>> TableReader::boolean(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::optional<bool>();
  const auto* value = found->as_boolean();
  if (value == nullptr) return wrong(key, "must be true or false");
  told(key, *found, value->get() ? "true" : "false");
  return std::optional(value->get());
}

Result<std::optional<std::vector<std::string>>> TableReader::strings(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::optional<std::vector<std::string>>();
  const toml::array* list = found->as_array();
  if (list == nullptr) return wrong(key, "must be a list of strings");
  std::vector<std::string> out;
  for (const toml::node& element : *list) {
    const auto* value = element.as_string();
    if (value == nullptr) return wrong(key, "must be a list of strings");
    out.push_back(value->get());
  }
  told(key, *found, fmt::format("{}", fmt::join(out, ", ")));
  return std::optional(std::move(out));
}

Result<std::optional<std::pair<double, double>>> TableReader::two_numbers(std::string_view key, double low, double high) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::optional<std::pair<double, double>>();
  const toml::array* list = found->as_array();
  const auto at = [&](std::size_t i) { return list != nullptr && list->size() == 2 ? list->get(i)->value<double>() : std::nullopt; };
  const std::optional<double> first = at(0), second = at(1);
  const auto fits = [&](const std::optional<double>& value) { return value && *value >= low && *value <= high; };
  if (!fits(first) || !fits(second)) return wrong(key, fmt::format("must be two numbers from {} to {}, as in [0.35, 0.75]", low, high));
  told(key, *found, fmt::format("[{}, {}]", *first, *second));
  return std::optional(std::pair(*first, *second));
}

Result<std::optional<std::int64_t>> TableReader::duration_ms(std::string_view key) {
  auto text = string(key);
  if (!text) return fail(std::move(text.error()));
  if (!*text) return std::optional<std::int64_t>();
  auto value = parse_duration_ms(**text);
  if (!value) return wrong(key, "must be a duration such as \"30d\", \"12h\", \"5m\", \"90s\" or \"250ms\"");
  return std::optional(*value);
}

const toml::table* TableReader::table(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return nullptr;
  if (!found->is_table() && !misshapen_) {
    misshapen_ = Result<void>(wrong(key, fmt::format("must be a table: [{}{}{}]", path_, path_.empty() ? "" : ".", key))).error();
  }
  return found->as_table();
}

const toml::array* TableReader::array(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return nullptr;
  if (!found->is_array() && !misshapen_) misshapen_ = Result<void>(wrong(key, fmt::format("must be a list of tables: [[{}]]", key))).error();
  return found->as_array();
}

std::vector<std::string> TableReader::names() const {
  std::vector<std::string> out;
  if (table_ == nullptr) return out;
  for (const auto& [key, node] : *table_) out.emplace_back(key.str());
  return out;
}

Result<void> TableReader::finish() const {
  if (misshapen_) return fail(*misshapen_);
  if (table_ == nullptr) return {};
  for (const auto& [key, value] : *table_) {
    if (known_.contains(key.str())) continue;
    const std::vector<std::string_view> names(known_.begin(), known_.end());
    return wrong(key.str(), fmt::format("is not a known key{}; known here are: {}", did_you_mean(key.str(), names), fmt::join(names, ", ")));
  }
  return {};
}

}  // namespace understudy::app
