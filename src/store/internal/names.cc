#include "store/internal/names.h"

#include "store/internal/try.h"

namespace understudy::store {

Result<NameTable> NameTable::create(Database& db) {
  NameTable table;
  STORE_TRY_ASSIGN(table.find_, db.prepare("SELECT id FROM names WHERE text = ?"));
  STORE_TRY_ASSIGN(table.insert_, db.prepare("INSERT INTO names(text) VALUES(?) RETURNING id"));
  return table;
}

Result<std::int64_t> NameTable::id(std::string_view text) {
  if (text.empty()) return 0;
  if (const auto known = known_.find(text); known != known_.end()) return known->second;
  if (known_.size() >= kMaxKnown) known_.clear();
  std::int64_t id = 0;
  for (Statement* statement : {&find_, &insert_}) {
    statement->bind(1, text);
    STORE_TRY_ASSIGN(const bool row, statement->step());
    if (!row) continue;
    id = statement->integer(0);
    STORE_TRY(statement->run());  // to its end: RETURNING inserts before it returns
    break;
  }
  known_.emplace(text, id);
  return id;
}

}  // namespace understudy::store
