#include <algorithm>
#include <cstring>

#include "store/internal/reader.h"
#include "store/internal/schema.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

std::string name_of(const std::string& column) { return "(SELECT text FROM names WHERE id = " + column + ")"; }

std::optional<double> optional_real(const Statement& row, int i) {
  return row.is_null(i) ? std::nullopt : std::optional<double>(row.real(i));
}
std::optional<Picousd> optional_money(const Statement& row, int i) {
  return row.is_null(i) ? std::nullopt : std::optional<Picousd>(Picousd{row.integer(i)});
}
Stage stage_of(std::int64_t value) {
  return value >= 0 && value < static_cast<std::int64_t>(kStageCount) ? static_cast<Stage>(value) : Stage::kTeacher;
}

}  // namespace

std::string RecordReader::request_columns() {
  return "r.id, r.request_id, r.time_us, r.flags, r.session, r.consumer, " + name_of("r.tenant") + ", " + name_of("r.key") + ", " +
         name_of("r.task") + ", r.tags, " + name_of("r.route") + ", " + name_of("r.cascade") + ", r.requested_model, " +
         name_of("r.mode") + ", " + name_of("r.policy_version") + ", r.coin_probability, " + name_of("r.label_source") +
         ", r.agrees, r.served_by, " + name_of("r.served_model") + ", r.confidence, r.threshold, " + name_of("r.reason") +
         ", r.status, r.error, r.cost, r.teacher_cost, r.latency_us, r.overhead_us, r.input_hash, " +
         name_of("r.promise_version") + ", " + name_of("r.served_rung") +
         ", r.prompt_hash, "
         "EXISTS(SELECT 1 FROM attempts e WHERE e.id >= r.id * 1024 AND e.id < (r.id + 1) * 1024 AND (e.flags & 9) = 8)";
}

RequestRecord RecordReader::request_of(const Statement& row, int first_column) {
  int i = first_column;
  RequestRecord r;
  r.id = static_cast<std::uint64_t>(row.integer(i++));
  r.request_id = row.text(i++);
  r.finished_at = {row.integer(i++)};
  const std::int64_t flags = row.integer(i++);
  r.finished = (flags & kFinished) != 0;
  r.escalated = (flags & kEscalated) != 0;
  r.streamed = (flags & kStreamed) != 0;
  r.client_gone = (flags & kClientGone) != 0;
  r.complete = (flags & kComplete) != 0;
  r.threshold_by_hand = (flags & kThresholdByHand) != 0;
  r.teacher_cost_estimated = (flags & kTeacherCostEstimated) != 0;
  r.coin_heads = (flags & kCoinHeads) != 0;
  r.session = row.text(i++);
  r.consumer = row.text(i++);
  r.tenant = row.text(i++);
  r.key = row.text(i++);
  r.task = row.text(i++);
  r.tags = row.text(i++);
  r.route = row.text(i++);
  r.cascade = row.text(i++);
  r.requested_model = row.text(i++);
  r.mode = row.text(i++);
  r.policy_version = row.text(i++);
  r.coin_probability = row.real(i++);
  r.label_source = row.text(i++);
  if (!row.is_null(i)) r.agrees = row.integer(i) != 0;
  ++i;
  if (!row.is_null(i)) r.served_by = stage_of(row.integer(i));
  ++i;
  r.served_model = row.text(i++);
  r.confidence = optional_real(row, i++);
  r.threshold = optional_real(row, i++);
  r.reason = row.text(i++);
  r.status = static_cast<int>(row.integer(i++));
  r.error = row.text(i++);
  r.cost = optional_money(row, i++);
  r.teacher_cost = optional_money(row, i++);
  r.latency_us = row.integer(i++);
  r.overhead_us = row.integer(i++);
  r.input_hash = static_cast<std::uint64_t>(row.integer(i++));
  r.promise_version = row.text(i++);
  r.served_rung = row.text(i++);
  r.prompt_hash = static_cast<std::uint64_t>(row.integer(i++));
  r.cost_estimated = row.integer(i++) != 0;
  return r;
}

Result<RecordReader> RecordReader::create(Database& db) {
  RecordReader reader;
  STORE_TRY_ASSIGN(reader.bodies_, BodyReader::create(db));
  const std::string select = "SELECT " + request_columns() + " FROM requests r WHERE ";
  STORE_TRY_ASSIGN(reader.newest_, db.prepare(select + "r.request_id = ? ORDER BY r.id DESC LIMIT 1"));
  STORE_TRY_ASSIGN(reader.by_row_, db.prepare(select + "r.id = ?"));
  STORE_TRY_ASSIGN(reader.body_, db.prepare("SELECT body_block, body_offset, body_bytes, body_full_bytes FROM requests WHERE id = ?"));
  STORE_TRY_ASSIGN(reader.attempts_,
                   db.prepare("SELECT attempt, stage, " + name_of("model") + ", " + name_of("upstream_model") + ", " + name_of("provider") +
                              ", status, " + name_of("error") +
                              ", flags, input, cached_input, cache_write_5m, cache_write_1h, output, reasoning, usage_raw, cost, "
                              "latency_us, first_byte_us, confidence, feature_schema, features, " +
                              name_of("finish_reason") +
                              ", time_us, answer_block, answer_offset, answer_bytes, answer_full_bytes, " +
                              name_of("rung") +
                              " FROM attempts a "
                              "WHERE a.id >= ?1 * 1024 AND a.id < (?1 + 1) * 1024 ORDER BY a.id"));
  STORE_TRY_ASSIGN(reader.labels_, db.prepare("SELECT " + name_of("source") + ", stage, agrees, propensity, " + name_of("comparator") +
                                              ", time_us, " + name_of("rung") +
                                              " FROM labels WHERE request_id = ? ORDER BY id"));
  STORE_TRY_ASSIGN(reader.feedback_,
                   db.prepare("SELECT source, score, label, correction, comment, time_us FROM feedback WHERE request_id = ? ORDER BY source"));
  STORE_TRY_ASSIGN(reader.reservations_, db.prepare("SELECT attempt, stage, " + name_of("model") +
                                                    ", reserved, time_us FROM reservations WHERE request_id = ? ORDER BY attempt"));
  return reader;
}

Result<std::optional<RequestRecord>> RecordReader::newest(std::string_view request_id) {
  newest_.bind(1, request_id);
  STORE_TRY_ASSIGN(const bool row, newest_.step());
  if (!row) return std::optional<RequestRecord>{};
  std::optional<RequestRecord> record = request_of(newest_);
  newest_.reset();
  return record;
}

Result<std::optional<RequestRecord>> RecordReader::by_row(std::int64_t id) {
  by_row_.bind(1, id);
  STORE_TRY_ASSIGN(const bool row, by_row_.step());
  if (!row) return std::optional<RequestRecord>{};
  std::optional<RequestRecord> record = request_of(by_row_);
  by_row_.reset();
  return record;
}

Result<void> RecordReader::read_body(const BodyRef& ref, std::int64_t full_bytes, Body& body) {
  STORE_TRY_ASSIGN(auto text, bodies_.read(ref));
  body.stored = text.has_value();
  if (text) body.text = std::move(*text);
  body.full_bytes = std::max(static_cast<std::uint64_t>(ref.bytes), static_cast<std::uint64_t>(full_bytes));
  return {};
}

Result<void> RecordReader::add_body(std::int64_t row, Body& body) {
  body_.bind(1, row);
  STORE_TRY_ASSIGN(const bool found, body_.step());
  if (!found) return {};
  const BodyRef ref{body_.integer(0), body_.integer(1), body_.integer(2)};
  const std::int64_t full = body_.integer(3);
  body_.reset();
  return read_body(ref, full, body);
}

Result<void> RecordReader::add_attempts(std::int64_t row, bool bodies, std::vector<AttemptRecord>& attempts) {
  attempts_.bind(1, row);
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, attempts_.step());
    if (!more) return {};
    const Statement& s = attempts_;
    AttemptRecord a;
    a.attempt = static_cast<int>(s.integer(0));
    a.stage = stage_of(s.integer(1));
    a.model = s.text(2);
    a.upstream_model = s.text(3);
    a.provider = s.text(4);
    a.status = static_cast<int>(s.integer(5));
    a.error = s.text(6);
    const std::int64_t flags = s.integer(7);
    a.off_path = (flags & kOffPath) != 0;
    a.served = (flags & kServed) != 0;
    if ((flags & kUsageKnown) != 0) {
      a.usage = Usage{s.integer(8), s.integer(9), s.integer(10), s.integer(11), s.integer(12), s.integer(13), (flags & kUsageEstimated) != 0};
    }
    a.usage_raw = s.text(14);
    a.cost = optional_money(s, 15);
    a.latency_us = s.integer(16);
    a.first_byte_us = s.integer(17);
    a.confidence = optional_real(s, 18);
    a.feature_schema = static_cast<int>(s.integer(19));
    const std::string_view features = s.bytes(20);
    a.features.resize(features.size() / sizeof(float));
    if (!a.features.empty()) std::memcpy(a.features.data(), features.data(), a.features.size() * sizeof(float));
    a.finish_reason = s.text(21);
    a.finished = {s.integer(22)};
    a.rung = s.text(27);
    if (bodies) STORE_TRY(read_body({s.integer(23), s.integer(24), s.integer(25)}, s.integer(26), a.answer));
    attempts.push_back(std::move(a));
  }
}

Result<void> RecordReader::add_labels(std::string_view request_id, std::vector<LabelRecord>& labels) {
  labels_.bind(1, request_id);
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, labels_.step());
    if (!more) return {};
    labels.push_back({labels_.text(0), stage_of(labels_.integer(1)), labels_.integer(2) != 0, labels_.real(3), labels_.text(4),
                      WallTime{labels_.integer(5)}, labels_.text(6)});
  }
}

Result<void> RecordReader::add_feedback(std::string_view request_id, std::vector<FeedbackRecord>& feedback) {
  feedback_.bind(1, request_id);
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, feedback_.step());
    if (!more) return {};
    FeedbackRecord f{feedback_.text(0), optional_real(feedback_, 1), feedback_.text(2), feedback_.text(3), feedback_.text(4),
                     WallTime{feedback_.integer(5)}};
    std::erase_if(feedback, [&](const FeedbackRecord& old) { return old.source == f.source; });
    feedback.push_back(std::move(f));
  }
}

Result<void> RecordReader::add_reservations(std::string_view request_id, std::vector<ReservationRecord>& reservations) {
  reservations_.bind(1, request_id);
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, reservations_.step());
    if (!more) return {};
    const Statement& s = reservations_;
    reservations.push_back({std::string(request_id), static_cast<int>(s.integer(0)), stage_of(s.integer(1)), s.text(2),
                            optional_money(s, 3), WallTime{s.integer(4)}});
  }
}

}  // namespace understudy::store
