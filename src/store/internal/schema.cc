#include "store/internal/schema.h"

#include <fmt/format.h>

#include <array>

namespace understudy::store {
namespace {

constexpr std::array<const char*, kSchemaVersion> kMigrations{
#include "store/migrations/0001_initial.inc"
    ,
#include "store/migrations/0002_promise.inc"
    ,
#include "store/migrations/0003_lessons.inc"
    ,
#include "store/migrations/0004_spend.inc"
};

}  // namespace

Result<void> check_version(const Database& db) {
  const auto version = db.integer("PRAGMA user_version");
  if (!version) return fail(version.error());
  const auto application = db.integer("PRAGMA application_id");
  if (!application) return fail(application.error());
  if (version->value_or(0) > kSchemaVersion && *application == kApplicationId) {
    return fail(ErrorKind::kUnsupported,
                fmt::format("{} was written by a newer version of understudy (schema {}, this program knows up to {}); use the "
                            "newer program, or choose another directory with --data",
                            db.path().string(), **version, kSchemaVersion));
  }
  const auto tables = db.integer("SELECT count(*) FROM sqlite_master");
  if (!tables) return fail(tables.error());
  if (tables->value_or(0) > 0 && *application != kApplicationId) {
    return fail(ErrorKind::kCorrupt, fmt::format("{} is a database of another program; choose another directory with --data",
                                                 db.path().string()));
  }
  return {};
}

Result<void> migrate(Database& db, int up_to) {
  if (auto known = check_version(db); !known) return known;
  const auto version = db.integer("PRAGMA user_version");
  if (!version) return fail(version.error());
  for (auto next = version->value_or(0); next < up_to; ++next) {
    auto transaction = Transaction::begin(db);
    if (!transaction) return fail(std::move(transaction.error()));
    if (auto done = db.exec(kMigrations[static_cast<std::size_t>(next)]); !done) return done;
    const std::string stamp = fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};", kApplicationId, next + 1);
    if (auto done = db.exec(stamp.c_str()); !done) return done;
    if (auto done = transaction->commit(); !done) return done;
  }
  return {};
}

}  // namespace understudy::store
