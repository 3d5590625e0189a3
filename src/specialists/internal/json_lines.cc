#include "specialists/internal/json_lines.h"

#include <fmt/format.h>
#include <simdjson.h>

namespace understudy::specialists::internal {

Error error_at(const std::string& file, std::size_t line, const Error& error) {
  return Error(error.kind, fmt::format("{}, line {}: {}", file, line, error.message));
}

std::string not_json(std::string_view line) {
  return simdjson::validate_utf8(line.data(), line.size()) ? "not a JSON object on one line" : "not UTF-8: save the file as UTF-8 (iconv -f latin1 -t utf-8 FILE)";
}

std::string listed(const std::map<std::string, std::size_t>& splits) {
  std::string out;
  for (const auto& [name, rows] : splits) out += fmt::format("{}\"{}\" ({} rows)", out.empty() ? "" : ", ", name, rows);
  return out;
}

}  // namespace understudy::specialists::internal
