#pragma once
/// A table of the configuration that remembers which of its keys were read, so that the others can be refused.

#include <fmt/format.h>
#include <toml++/toml.h>

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/config.h"

namespace understudy::app {

class TableReader {
 public:
  /// `path` is how messages name the table: "server", "models.student". A null table reads as empty.
  TableReader(const toml::table* table, std::string path, std::string file, std::vector<Origin>& origins)
      : table_(table), path_(std::move(path)), file_(std::move(file)), origins_(origins) {}

  Result<std::optional<std::string>> string(std::string_view key);
  Result<std::optional<std::int64_t>> integer(std::string_view key, std::int64_t low, std::int64_t high);
  Result<std::optional<double>> number(std::string_view key, double low, double high);
  Result<std::optional<bool>> boolean(std::string_view key);
  Result<std::optional<std::vector<std::string>>> strings(std::string_view key);
  /// A list of two numbers, each within the limits.
  Result<std::optional<std::pair<double, double>>> two_numbers(std::string_view key, double low, double high);
  Result<std::optional<std::int64_t>> duration_ms(std::string_view key);
  /// nullptr where it is absent, or something else: then finish() says so.
  const toml::table* table(std::string_view key);
  const toml::array* array(std::string_view key);
  bool has(std::string_view key) const { return table_ != nullptr && table_->contains(key); }
  /// Whether it is there as a string, for keys that may be something else.
  bool is_text(std::string_view key) const { return has(key) && table_->get(key)->is_string(); }
  /// A reader of a table in this one.
  TableReader below(const toml::table* table, std::string_view key) const { return {table, fmt::format("{}.{}", path_, key), file_, origins_}; }
  /// All keys of the table, sorted.
  std::vector<std::string> names() const;
  /// Marks a key as known although nothing reads it.
  void allow(std::string_view key) { known_.insert(std::string(key)); }

  /// kConfig for a table or list that was something else, then for the first key that nobody asked for, with the nearest
  /// that somebody did.
  Result<void> finish() const;

  /// kConfig "FILE:LINE: PATH.KEY WHAT".
  Unexpected wrong(std::string_view key, std::string_view what) const;
  const std::string& path() const { return path_; }
  const std::string& file() const { return file_; }

 private:
  const toml::node* node(std::string_view key);
  void told(std::string_view key, const toml::node& node, std::string value);

  const toml::table* table_;
  std::string path_;
  std::string file_;
  std::vector<Origin>& origins_;
  std::set<std::string, std::less<>> known_;
  std::optional<Error> misshapen_;   ///< the first table or list that was something else
};

}  // namespace understudy::app
