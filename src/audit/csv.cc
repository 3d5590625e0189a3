#include "audit/csv.h"

#include "base/json_writer.h"

namespace understudy::audit {

std::optional<std::vector<std::string>> split_csv(std::string_view record) {
  std::vector<std::string> cells(1);
  std::size_t i = 0;
  while (i < record.size()) {
    if (record[i] == '"') {
      for (++i;; ++i) {
        if (i >= record.size()) return std::nullopt;
        if (record[i] == '"') {
          if (i + 1 < record.size() && record[i + 1] == '"') ++i;
          else break;
        }
        cells.back().push_back(record[i]);
      }
      ++i;
      if (i < record.size() && record[i] != ',') return std::nullopt;
    } else {
      while (i < record.size() && record[i] != ',') cells.back().push_back(record[i++]);
    }
    if (i < record.size()) {
      ++i;
      cells.emplace_back();
    }
  }
  return cells;
}

bool csv_to_json(const std::vector<std::string>& columns, std::string_view record, std::string& out) {
  const auto cells = split_csv(record);
  if (!cells || cells->size() > columns.size()) return false;
  out.clear();
  JsonWriter json(out);
  json.begin_object();
  for (std::size_t i = 0; i < cells->size(); ++i) {
    if (!(*cells)[i].empty()) json.field(columns[i], std::string_view((*cells)[i]));
  }
  json.end_object();
  return true;
}

}  // namespace understudy::audit
