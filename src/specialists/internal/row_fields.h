#pragma once
/// What readers of labelled rows share beyond lines: fields with their limits, and which rows are wanted.

#include <simdjson.h>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "specialists/intent_rows.h"

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

using TakeRow = std::function<Result<void>(const simdjson::dom::element& object, std::size_t line)>;
/// Calls `take` for each row of the choice; its errors get file and line. kInvalidRequest besides: a line that is no JSON; no row at all,
/// with `example`; no row of the split, with the splits that there are.
Result<void> each_chosen_row(std::string_view text, const std::string& file, const RowChoice& choice, std::string_view example, const TakeRow& take);

}  // namespace understudy::specialists::internal
