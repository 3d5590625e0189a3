#pragma once
/// What readers of labelled rows share beyond lines: fields with their limits, and which rows are wanted.

#include <simdjson.h>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "specialists/intent_rows.h"
#include "specialists/internal/json_lines.h"

namespace understudy::specialists::internal {

Unexpected refuse(std::string message);  ///< kInvalidRequest

/// A text or number as text; empty where there is none.
Result<std::string> read_id(const simdjson::dom::element& object, const char* key);
/// A string of at most kLongestText bytes. May be empty.
Result<std::string> read_text(const simdjson::dom::element& object, const char* key);
/// The same, and more than white space.
Result<std::string> read_full_text(const simdjson::dom::element& object, const char* key);
/// False: there is none.
Result<bool> read_number(const simdjson::dom::element& object, const char* key, double most, double& to);
/// 1 where there is none.
Result<double> read_weight(const simdjson::dom::element& object);

/// The ids of a file's rows.
class RowIds {
 public:
  /// "line N" for a row without one. kInvalidRequest: another row has it.
  Result<void> take(std::string& id, std::size_t line);

 private:
  std::unordered_map<std::string, std::size_t> line_of_;
};

/// One line on its own. @param parse_object  makes a row of an element
template <typename ParseObject>
auto parse_line(std::string_view line, ParseObject parse_object) -> decltype(parse_object(simdjson::dom::element())) {
  simdjson::dom::parser parser;
  simdjson::dom::element object;
  if (parser.parse(line.data(), line.size()).get(object)) return refuse(not_json(line));
  return parse_object(object);
}

using TakeRow = std::function<Result<void>(const simdjson::dom::element& object, std::size_t line)>;
/// Calls `take` for each row of the choice; its errors get file and line. kInvalidRequest besides: a line that is no JSON; no row at all,
/// with `example`; no row of the split, with the splits that there are.
Result<void> each_chosen_row(std::string_view text, const std::string& file, const RowChoice& choice, std::string_view example, const TakeRow& take);

}  // namespace understudy::specialists::internal
