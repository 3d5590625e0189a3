#pragma once
/// What readers of JSON Lines share.

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"

namespace understudy::specialists::internal {

/// Calls f(line, number) for each line that is not empty, until it returns false. A byte order mark is passed over.
template <typename F>
void each_line(std::string_view text, F&& f) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") != std::string_view::npos && !f(line, number)) return;
  }
}

Error error_at(const std::string& file, std::size_t line, const Error& error);
std::string not_json(std::string_view line);                              ///< why it is none
std::string listed(const std::map<std::string, std::size_t>& splits);  ///< for people

}  // namespace understudy::specialists::internal
