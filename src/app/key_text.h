#pragma once
/// Edits of [[keys]] in a configuration's text. Every byte that is not about the key in question stays: comments, order, spacing,
/// line ends. Each edit is read back, and refused (kUnsupported) where anything else than the key would have changed: for a list that
/// is written as one value, `keys = [{...}]`, say.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace understudy::app {

/// What a new [[keys]] table says. Empty: not written, so that the default holds.
struct KeyDraft {
  std::string name;
  std::string hash;                  ///< 64 hexadecimal digits
  std::string tenant;
  std::vector<std::string> scopes;
  bool trusted = false;
  std::int64_t requests_per_second = 0;   ///< 0: not written
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;
  std::optional<double> max_usd_per_day{}, max_usd_per_month{};
};

/// Behind the last key, or at the end of the file.
Result<std::string> add_key(const std::string& text, const KeyDraft& key);

/// Takes the table of that name out, with the comment lines directly above it.
Result<std::string> remove_key(const std::string& text, const std::string& name);

/// Puts `hash` in the place of the key's own, which is kept as previous_hash until `until`, if that is given. What was kept by an
/// earlier rotation goes.
Result<std::string> rotate_key(const std::string& text, const std::string& name, const std::string& hash, std::optional<WallTime> until);

}  // namespace understudy::app
