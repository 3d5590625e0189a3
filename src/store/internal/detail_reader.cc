#include "store/internal/detail_reader.h"

#include <algorithm>

#include "store/internal/try.h"

namespace understudy::store {

Result<DetailReader> DetailReader::create(Snapshot& snapshot) {
  DetailReader reader;
  reader.snapshot_ = &snapshot;
  STORE_TRY_ASSIGN(reader.main_, RecordReader::create(snapshot.main()));
  if (snapshot.tail() == nullptr) return reader;
  STORE_TRY_ASSIGN(reader.tail_, RecordReader::create(*snapshot.tail()));
  for (const auto& [tail_row, main_row] : snapshot.overlay().continues) reader.tail_rows_of_.emplace(main_row, tail_row);
  return reader;
}

Result<std::optional<RequestDetail>> DetailReader::newest(std::string_view request_id) {
  if (tail_) {
    STORE_TRY_ASSIGN(const auto record, tail_->newest(request_id));
    if (record) return tail_row(static_cast<std::int64_t>(record->id), true);
  }
  STORE_TRY_ASSIGN(const auto record, main_.newest(request_id));
  if (record) return main_row(static_cast<std::int64_t>(record->id), true);
  return std::optional<RequestDetail>{};
}

Result<std::optional<RequestDetail>> DetailReader::main_row(std::int64_t row, bool bodies) {
  STORE_TRY_ASSIGN(auto record, main_.by_row(row));
  if (!record) return std::optional<RequestDetail>{};
  RequestDetail detail;
  detail.request = std::move(*record);
  if (bodies) STORE_TRY(main_.add_body(row, detail.body));
  STORE_TRY(main_.add_attempts(row, bodies, detail.attempts));
  const auto [begin, end] = tail_rows_of_.equal_range(row);
  for (auto it = begin; it != end; ++it) STORE_TRY(tail_->add_attempts(it->second, bodies, detail.attempts));
  STORE_TRY(add_related(detail));
  return std::optional<RequestDetail>(std::move(detail));
}

Result<std::optional<RequestDetail>> DetailReader::tail_row(std::int64_t row, bool bodies) {
  STORE_TRY_ASSIGN(auto record, tail_->by_row(row));
  if (!record) return std::optional<RequestDetail>{};
  RequestDetail detail;
  detail.request = std::move(*record);
  detail.request.id = 0;
  if (bodies) STORE_TRY(tail_->add_body(row, detail.body));
  if (const auto it = snapshot_->overlay().continues.find(row); it != snapshot_->overlay().continues.end()) {
    detail.request.id = static_cast<std::uint64_t>(it->second);
    STORE_TRY(main_.add_attempts(it->second, bodies, detail.attempts));
  }
  STORE_TRY(tail_->add_attempts(row, bodies, detail.attempts));
  STORE_TRY(add_related(detail));
  return std::optional<RequestDetail>(std::move(detail));
}

Result<void> DetailReader::add_related(RequestDetail& detail) {
  const std::string& id = detail.request.request_id;
  STORE_TRY(main_.add_labels(id, detail.labels));
  STORE_TRY(main_.add_feedback(id, detail.feedback));
  STORE_TRY(main_.add_reservations(id, detail.unsettled));
  std::erase_if(detail.unsettled, [&](const ReservationRecord& r) {
    const auto& settled = snapshot_->overlay().settled;
    return std::find(settled.begin(), settled.end(), std::pair(r.request_id, r.attempt)) != settled.end();
  });
  if (!tail_) return {};
  STORE_TRY(tail_->add_labels(id, detail.labels));
  STORE_TRY(tail_->add_feedback(id, detail.feedback));
  return tail_->add_reservations(id, detail.unsettled);
}

}  // namespace understudy::store
