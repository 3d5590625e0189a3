#include "store/internal/sqlite.h"

#include <fmt/format.h>

namespace understudy::store {

Error sqlite_error(sqlite3* db, int code, std::string_view doing) {
  const char* file = db == nullptr ? nullptr : sqlite3_db_filename(db, "main");
  const std::string path = file == nullptr || *file == '\0' ? "the database" : file;
  const std::string what = db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db);
  const auto error = [&](ErrorKind kind, std::string_view remedy) {
    return Error(kind, fmt::format("{}: cannot {}: {} (SQLite error {}); {}", path, doing, what, code, remedy));
  };
  switch (code & 0xff) {
    case SQLITE_FULL: return error(ErrorKind::kIo, "free some space on this disk");
    case SQLITE_IOERR: return error(ErrorKind::kIo, "check the disk, its free space and limits");
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY: return error(ErrorKind::kIo, "give this user permission on the file and its directory");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return error(ErrorKind::kCorrupt,
                   "restore the file from a backup, or move it away (with its -wal and -shm) and start anew: the journal is kept apart");
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return error(ErrorKind::kOverloaded, "another process holds it; try again");
    case SQLITE_NOMEM: return error(ErrorKind::kIo, "free some memory");
    default: return error(ErrorKind::kInternal, "please report this");
  }
}

Result<Database> Database::open(const std::filesystem::path& path, Mode mode, const char* vfs) {
  // Statistics of memory would take a process-wide lock at every allocation. Refused, harmlessly, where SQLite already runs.
  [[maybe_unused]] static const int configured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  Database database;
  database.path_ = path;
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  std::string name = path.string();
  switch (mode) {
    case Mode::kReadWriteCreate: flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE; break;
    case Mode::kReadOnly: flags |= SQLITE_OPEN_READONLY; break;
    case Mode::kMemory:
      flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
      name = ":memory:";
      break;
    case Mode::kImmutable: {
      flags |= SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
      std::string escaped = "file:";
      for (const char c : name) {
        if (c == '%' || c == '?' || c == '#') {
          escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        } else {
          escaped.push_back(c);
        }
      }
      name = escaped + "?immutable=1";
      break;
    }
  }
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &raw, flags, vfs);
  database.db_.reset(raw);
  if (code != SQLITE_OK) return fail(sqlite_error(raw, code, fmt::format("open {}", path.string())));
  sqlite3_busy_timeout(raw, 5000);
  return database;
}

Result<void> Database::exec(const char* sql) {
  const int code = sqlite3_exec(handle(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return fail(sqlite_error(handle(), code, std::string_view(sql).substr(0, 60)));
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) const {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(handle(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (code != SQLITE_OK) return fail(sqlite_error(handle(), code, fmt::format("prepare {}", sql.substr(0, 60))));
  return Statement(raw);
}

Result<std::optional<std::int64_t>> Database::integer(std::string_view sql) const {
  auto statement = prepare(sql);
  if (!statement) return fail(std::move(statement.error()));
  auto row = statement->step();
  if (!row) return fail(std::move(row.error()));
  if (!*row || statement->is_null(0)) return std::optional<std::int64_t>{};
  return std::optional<std::int64_t>{statement->integer(0)};
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(get());
  if (code == SQLITE_ROW) return true;
  sqlite3* db = sqlite3_db_handle(get());
  if (code == SQLITE_DONE) {
    sqlite3_reset(get());
    return false;
  }
  Error error = sqlite_error(db, code, std::string_view(sqlite3_sql(get())).substr(0, 60));
  sqlite3_reset(get());
  return fail(std::move(error));
}

Result<void> Statement::run() {
  for (;;) {
    auto row = step();
    if (!row) return fail(std::move(row.error()));
    if (!*row) return {};
  }
}

Result<Transaction> Transaction::begin(Database& db, const char* how) {
  if (auto begun = db.exec(how); !begun) return fail(std::move(begun.error()));
  return Transaction(db);
}

Result<void> Transaction::commit() {
  auto done = db_->exec("COMMIT");
  if (done) db_ = nullptr;
  return done;
}

Transaction::~Transaction() {
  if (db_ != nullptr && sqlite3_get_autocommit(db_->handle()) == 0) (void)db_->exec("ROLLBACK");
}

}  // namespace understudy::store
