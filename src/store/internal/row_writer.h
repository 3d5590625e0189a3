#pragma once
/// One event, one row: the prepared statements that write the tables of docs/formats/sqlite.md. Inside a write transaction.

#include <array>
#include <cstdint>
#include <string_view>

#include "store/events.h"
#include "store/internal/bodies.h"
#include "store/internal/names.h"
#include "store/internal/sqlite.h"
#include "store/internal/sums.h"

namespace understudy::store {

class RowWriter {
 public:
  static Result<RowWriter> create(Database& db);

  /// The attempt's row `id`; tells what it adds to the sums.
  Result<AttemptFacts> attempt(std::int64_t id, std::int64_t time_us, const AttemptEvent& event);
  /// The request's row; `exists`: a row without an end is there already.
  Result<RequestFacts> request(std::int64_t id, bool exists, std::int64_t time_us, const RequestEvent& event);
  Result<void> unfinished_request(std::int64_t id, std::int64_t time_us, std::string_view request_id);
  Result<void> reservation(std::int64_t time_us, const ReservationEvent& event);
  /// True where there was one.
  Result<bool> delete_reservation(std::string_view request_id, int attempt, Stage stage);
  Result<void> label(std::int64_t time_us, const LabelEvent& event);
  Result<void> feedback(std::int64_t time_us, const FeedbackEvent& event);
  Result<void> alarm(std::int64_t time_us, const AlarmEvent& event);
  Result<void> promise_row(std::int64_t time_us, const PromiseRowEvent& event);
  Result<void> promise_event(std::int64_t time_us, const PromiseEvent& event);
  /// The lesson's row, or what changed of it; tells the task's number.
  Result<std::int64_t> lesson(std::int64_t time_us, const LessonEvent& event);
  Result<void> lesson_use(const LessonUseEvent& event);
  Result<void> add_to_meta(std::string_view key, std::int64_t amount);

  /// Ends what is still held in memory: the block of bodies.
  Result<void> flush();
  /// After a rollback, or after maintenance changed the tables.
  Result<void> restart();
  NameTable& names() { return names_; }

 private:
  enum Column {
    kTenant, kKey, kTask, kRoute, kCascade, kMode, kPolicy, kLabelSource, kServedModel, kReason, kModel, kUpstreamModel, kProvider,
    kError, kFinish, kAttemptRung, kLabelRung, kPromiseVersion, kServedRung, kPromiseTask, kColumns
  };
  Result<std::int64_t> name(Column column, std::string_view text) { return columns_[column].id(names_, text); }

  Database* db_ = nullptr;
  NameTable names_;
  BodyWriter bodies_;
  std::array<NameColumn, kColumns> columns_;
  Statement insert_request_, update_request_, insert_attempt_, insert_reservation_, delete_reservation_, insert_label_,
      upsert_feedback_, insert_alarm_, insert_promise_row_, insert_promise_event_, upsert_lesson_, upsert_lesson_use_, upsert_meta_;
};

}  // namespace understudy::store
