#include "store/spend.h"

#include <map>
#include <tuple>

#include "store/internal/files.h"
#include "store/internal/reader.h"
#include "store/internal/sums.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

/// For reading; also where the directory cannot be written to.
Result<Database> open_database(const std::filesystem::path& data, const Clock* clock) {
  STORE_TRY(StoreReader::open(data, clock));   // is it one of ours, and of this version?
  auto db = Database::open(database_path(data), Database::Mode::kReadOnly);
  if (db && db->integer("PRAGMA user_version")) return db;
  return Database::open(database_path(data), Database::Mode::kImmutable);
}

}  // namespace

Result<std::vector<SpendSum>> read_spend(const std::filesystem::path& data, WallTime since, const Clock* clock) {
  STORE_TRY_ASSIGN(Database db, open_database(data, clock));
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(db, data));
  std::map<std::tuple<std::string, std::string, std::string>, PicousdSum> sums;   // the two databases have numbers of their own for names
  for (const Database* part : snapshot->databases()) {
    STORE_TRY_ASSIGN(Statement row, part->prepare("SELECT (SELECT text FROM names WHERE id = s.key), (SELECT text FROM names WHERE id = s.task), (SELECT text FROM names WHERE id = s.model), "
                                                  "sum(usd), sum(pico) FROM spend s WHERE quarter >= ?1 GROUP BY key, task, model"));
    row.bind(1, quarter_of(since.us));
    for (;;) {
      STORE_TRY_ASSIGN(const bool more, row.step());
      if (!more) break;
      sums[{row.text(0), row.text(1), row.text(2)}] += PicousdSum{Int128{row.integer(3)} * kPicousdPerUsd + row.integer(4)};
    }
  }
  std::vector<SpendSum> all;
  for (const auto& [of, amount] : sums) all.push_back({std::get<0>(of), std::get<1>(of), std::get<2>(of), amount});
  return all;
}

}  // namespace understudy::store
