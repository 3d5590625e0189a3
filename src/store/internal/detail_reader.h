#pragma once
/// Whole requests out of a snapshot: what the database and the journal's tail each hold of one, put together.

#include <map>
#include <optional>
#include <string_view>

#include "store/internal/reader.h"

namespace understudy::store {

class DetailReader {
 public:
  static Result<DetailReader> create(Snapshot& snapshot);

  /// The newest with this id; nullopt where there is none.
  Result<std::optional<RequestDetail>> newest(std::string_view request_id);
  /// By its row in the database, or in the tail.
  Result<std::optional<RequestDetail>> main_row(std::int64_t row, bool bodies);
  Result<std::optional<RequestDetail>> tail_row(std::int64_t row, bool bodies);

 private:
  Result<void> add_related(RequestDetail& detail);

  Snapshot* snapshot_ = nullptr;
  RecordReader main_;
  std::optional<RecordReader> tail_;
  std::multimap<std::int64_t, std::int64_t> tail_rows_of_;  ///< the database's row -> the tail's that go on with it
};

}  // namespace understudy::store
