#pragma once
/// SQLite behind Result: connections, statements, transactions. Not thread-safe; one connection, one thread.

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace understudy::store {

class Statement;

class Database {
 public:
  enum class Mode { kReadWriteCreate, kReadOnly, kImmutable, kMemory };

  /// Errors name the path and the remedy; see sqlite_error().
  /// `vfs`: how SQLite reaches its files (Disk::sqlite_vfs); nullptr: its default.
  static Result<Database> open(const std::filesystem::path& path, Mode mode, const char* vfs = nullptr);

  Result<void> exec(const char* sql);
  Result<Statement> prepare(std::string_view sql) const;
  /// First column of the first row; nullopt where there is no row or it is NULL.
  Result<std::optional<std::int64_t>> integer(std::string_view sql) const;

  sqlite3* handle() const { return db_.get(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  std::unique_ptr<sqlite3, Close> db_;
  std::filesystem::path path_;
};

/// The connection's last error as ours: full disk and permissions are kIo, a damaged file is kCorrupt, a locked one kOverloaded.
Error sqlite_error(sqlite3* db, int code, std::string_view doing);

/// Binds by position, from 1. Texts and blobs must live until the statement has been stepped or reset.
class Statement {
 public:
  Statement() = default;

  Statement& bind(int i, std::int64_t value) { sqlite3_bind_int64(get(), i, value); return *this; }
  Statement& bind(int i, double value) { sqlite3_bind_double(get(), i, value); return *this; }
  Statement& bind(int i, std::string_view text) {
    sqlite3_bind_text(get(), i, text.data() == nullptr ? "" : text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
    return *this;
  }
  Statement& bind_blob(int i, std::string_view bytes) {
    sqlite3_bind_blob(get(), i, bytes.data() == nullptr ? "" : bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC);
    return *this;
  }
  Statement& bind_null(int i) { sqlite3_bind_null(get(), i); return *this; }

  /// True: a row is there. After an error or false the statement is ready to be bound again.
  Result<bool> step();
  /// For statements without rows.
  Result<void> run();
  void reset() { sqlite3_reset(get()); }

  bool is_null(int column) const { return sqlite3_column_type(get(), column) == SQLITE_NULL; }
  std::int64_t integer(int column) const { return sqlite3_column_int64(get(), column); }
  double real(int column) const { return sqlite3_column_double(get(), column); }
  std::string text(int column) const { return std::string(bytes(column)); }
  /// Lives until the next step.
  std::string_view bytes(int column) const {
    const void* data = sqlite3_column_blob(get(), column);
    return data == nullptr ? std::string_view{}
                           : std::string_view{static_cast<const char*>(data), static_cast<std::size_t>(sqlite3_column_bytes(get(), column))};
  }
  sqlite3_stmt* get() const { return statement_.get(); }

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
  };
  explicit Statement(sqlite3_stmt* s) : statement_(s) {}
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// Rolls back unless committed.
class Transaction {
 public:
  static Result<Transaction> begin(Database& db, const char* how = "BEGIN IMMEDIATE");
  Result<void> commit();
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

 private:
  explicit Transaction(Database& db) : db_(&db) {}
  Database* db_;
};

}  // namespace understudy::store
