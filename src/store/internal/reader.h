#pragma once
/// What the query files share: the read-only connection, and one consistent look at it together with the journal's tail.

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "store/internal/bodies.h"
#include "store/internal/importer.h"
#include "store/internal/sqlite.h"
#include "store/internal/tail.h"
#include "store/queries.h"

namespace understudy::store {

/// A read transaction on the database, and the events it does not have yet as a second database of the same schema in memory.
class Snapshot {
 public:
  static Result<std::unique_ptr<Snapshot>> take(Database& main, const std::filesystem::path& data);
  static Result<std::unique_ptr<Snapshot>> take_without_tail(Database& main);
  ~Snapshot() { release(); }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  Database& main() { return main_; }
  Database* tail() { return tail_ ? &*tail_ : nullptr; }  ///< nullptr: SQLite has everything
  /// One or both databases, main first.
  std::vector<Database*> databases();
  const Importer::Overlay& overlay() const;
  const TailReport& report() const { return report_; }
  /// Ends the read transaction; the tail stays.
  void release();

 private:
  explicit Snapshot(Database& main) : main_(main) {}
  Result<void> read(const std::filesystem::path& data);

  Database& main_;
  std::optional<Database> tail_;
  std::unique_ptr<Importer> importer_;
  TailReport report_;
  bool in_transaction_ = false;
};

struct StoreReader::Impl {
  std::filesystem::path path;
  Database db;
  const Clock* clock = nullptr;
};

/// Reads requests and what hangs on them from one database.
class RecordReader {
 public:
  static Result<RecordReader> create(Database& db);

  /// Columns of a statement that begins with request_columns().
  static RequestRecord request_of(const Statement& row, int first_column = 0);
  static std::string request_columns();

  /// The newest with this id; nullopt where there is none.
  Result<std::optional<RequestRecord>> newest(std::string_view request_id);
  Result<std::optional<RequestRecord>> by_row(std::int64_t row);

  Result<void> add_body(std::int64_t row, Body& body);
  Result<void> add_attempts(std::int64_t row, bool bodies, std::vector<AttemptRecord>& attempts);
  Result<void> add_labels(std::string_view request_id, std::vector<LabelRecord>& labels);
  /// A source that is there already is replaced.
  Result<void> add_feedback(std::string_view request_id, std::vector<FeedbackRecord>& feedback);
  Result<void> add_reservations(std::string_view request_id, std::vector<ReservationRecord>& reservations);

 private:
  Result<void> read_body(const BodyRef& ref, std::int64_t full_bytes, Body& body);

  BodyReader bodies_;
  Statement newest_, by_row_, body_, attempts_, labels_, feedback_, reservations_;
};

}  // namespace understudy::store
