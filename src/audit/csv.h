#pragma once
/// RFC 4180 records as JSON objects, so that one adapter serves both forms of an export.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace understudy::audit {

/// Cells of one record (quotes removed); nullopt where a quote is left open or text follows a closing quote.
std::optional<std::vector<std::string>> split_csv(std::string_view record);

/// {"column": "cell", ...} into `out`; empty cells are left out. A name with dots or slashes stays as it is.
/// False where the record is broken or has more cells than there are columns.
bool csv_to_json(const std::vector<std::string>& columns, std::string_view record, std::string& out);

}  // namespace understudy::audit
