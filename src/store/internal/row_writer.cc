#include "store/internal/row_writer.h"

#include "store/internal/schema.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

constexpr std::string_view kInsertRequest =
    "INSERT INTO requests VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,"
    "?27,?28,?29,?30,?31,?32,?33,?34,?35,?36,?37)";
constexpr std::string_view kUpdateRequest =
    "UPDATE requests SET request_id=?2,time_us=?3,flags=?4,session=?5,consumer=?6,tenant=?7,key=?8,task=?9,tags=?10,route=?11,"
    "cascade=?12,requested_model=?13,mode=?14,policy_version=?15,coin_probability=?16,label_source=?17,agrees=?18,served_by=?19,"
    "served_model=?20,confidence=?21,threshold=?22,reason=?23,status=?24,error=?25,cost=?26,teacher_cost=?27,latency_us=?28,"
    "overhead_us=?29,input_hash=?30,body_block=?31,body_offset=?32,body_bytes=?33,body_full_bytes=?34,"
    "promise_version=?35,served_rung=?36,prompt_hash=?37 WHERE id=?1";
constexpr std::string_view kInsertAttempt =
    "INSERT INTO attempts VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,"
    "?27,?28,?29)";

/// Binds a row's columns one after the other.
class Row {
 public:
  explicit Row(Statement& statement) : s_(statement) {}
  Row& value(std::int64_t v) { return s_.bind(++i_, v), *this; }
  Row& real(double v) { return s_.bind(++i_, v), *this; }
  Row& null() { return s_.bind_null(++i_), *this; }
  Row& text(std::string_view v) { return v.empty() ? null() : (s_.bind(++i_, v), *this); }
  Row& blob(std::string_view v) { return v.empty() ? null() : (s_.bind_blob(++i_, v), *this); }
  Row& name(std::int64_t id) { return id == 0 ? null() : value(id); }
  Row& real(const std::optional<double>& v) { return v ? real(*v) : null(); }
  Row& money(const std::optional<Picousd>& v) { return v ? value(v->value) : null(); }
  Row& body(const BodyRef& ref, std::uint64_t full) {
    if (ref.block == 0) return null().null().null().null();
    value(ref.block).value(ref.offset).value(ref.bytes);
    return full == 0 ? null() : value(static_cast<std::int64_t>(full));
  }

 private:
  Statement& s_;
  int i_ = 0;
};

constexpr std::int64_t flag_if(bool condition, std::int64_t flag) { return condition ? flag : 0; }

}  // namespace

Result<RowWriter> RowWriter::create(Database& db) {
  RowWriter w;
  w.db_ = &db;
  STORE_TRY_ASSIGN(w.names_, NameTable::create(db));
  STORE_TRY_ASSIGN(w.bodies_, BodyWriter::create(db));
  STORE_TRY_ASSIGN(w.insert_request_, db.prepare(kInsertRequest));
  STORE_TRY_ASSIGN(w.update_request_, db.prepare(kUpdateRequest));
  STORE_TRY_ASSIGN(w.insert_attempt_, db.prepare(kInsertAttempt));
  STORE_TRY_ASSIGN(w.insert_reservation_, db.prepare("INSERT OR REPLACE INTO reservations VALUES(?1,?2,?3,?4,?5,?6)"));
  STORE_TRY_ASSIGN(w.delete_reservation_,
                   db.prepare("DELETE FROM reservations WHERE request_id = ?1 AND attempt = ?2 AND stage = ?3"));
  STORE_TRY_ASSIGN(w.insert_label_, db.prepare("INSERT INTO labels(request_id, time_us, source, stage, agrees, propensity, comparator, rung) "
                                               "VALUES(?1,?2,?3,?4,?5,?6,?7,?8)"));
  STORE_TRY_ASSIGN(w.upsert_feedback_, db.prepare("INSERT OR REPLACE INTO feedback VALUES(?1,?2,?3,?4,?5,?6,?7)"));
  STORE_TRY_ASSIGN(w.insert_alarm_, db.prepare("INSERT INTO alarms(time_us, name, subject, message) VALUES(?1,?2,?3,?4)"));
  STORE_TRY_ASSIGN(w.insert_promise_row_,
                   db.prepare("INSERT INTO promise_rows(request_id, task, test, time_us, row) VALUES(?1,?2,?3,?4,?5)"));
  STORE_TRY_ASSIGN(w.insert_promise_event_,
                   db.prepare("INSERT INTO promise_events(task, kind, version, time_us, detail) VALUES(?1,?2,?3,?4,?5)"));
  STORE_TRY_ASSIGN(w.upsert_lesson_,
                   db.prepare("INSERT INTO lessons(lesson_id, request_id, tenant, cascade, task, state, provenance, prompt_hash, input_hash, "
                              "created_us, changed_us, detail) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12) ON CONFLICT(lesson_id) DO "
                              "UPDATE SET request_id=?2, tenant=?3, cascade=?4, task=?5, state=?6, provenance=?7, prompt_hash=?8, "
                              "input_hash=?9, created_us=?10, changed_us=?11, detail=?12"));
  STORE_TRY_ASSIGN(w.upsert_lesson_use_,
                   db.prepare("INSERT INTO lesson_uses VALUES(?1,?2,?3,?4,?5,?6,?7) ON CONFLICT DO UPDATE SET injected = injected + ?2, "
                              "injected_judged = injected_judged + ?3, injected_agree = injected_agree + ?4, withheld = withheld + ?5, "
                              "withheld_judged = withheld_judged + ?6, withheld_agree = withheld_agree + ?7"));
  STORE_TRY_ASSIGN(w.upsert_meta_,
                   db.prepare("INSERT INTO meta VALUES(?1,?2) ON CONFLICT DO UPDATE SET value = value + excluded.value"));
  return w;
}

Result<AttemptFacts> RowWriter::attempt(std::int64_t id, std::int64_t time_us, const AttemptEvent& e) {
  AttemptFacts facts;
  facts.time_us = time_us;
  STORE_TRY_ASSIGN(facts.model, name(kModel, e.model));
  STORE_TRY_ASSIGN(facts.provider, name(kProvider, e.provider));
  facts.stage = e.stage;
  facts.error = !e.error.empty();
  facts.off_path = e.off_path;
  facts.cost = e.cost;
  facts.usage = e.usage;
  facts.latency_us = e.latency_us;

  STORE_TRY_ASSIGN(const auto upstream_model, name(kUpstreamModel, e.upstream_model));
  STORE_TRY_ASSIGN(const auto error, name(kError, e.error));
  STORE_TRY_ASSIGN(const auto finish, name(kFinish, e.finish_reason));
  STORE_TRY_ASSIGN(const auto rung, name(kAttemptRung, e.rung));
  STORE_TRY_ASSIGN(const BodyRef answer, bodies_.add(e.answer, time_us));
  const std::int64_t flags = flag_if(e.off_path, kOffPath) | flag_if(e.served, kServed) | flag_if(e.usage.has_value(), kUsageKnown) |
                             flag_if(e.usage && e.usage->estimated, kUsageEstimated);
  Row row(insert_attempt_);
  row.value(id).value(time_us).value(flags).value(e.attempt).value(static_cast<std::int64_t>(e.stage));
  row.name(facts.model).name(upstream_model).name(facts.provider).value(e.status).name(error);
  if (e.usage) {
    const Usage& u = *e.usage;
    row.value(u.input).value(u.cached_input).value(u.cache_write_5m).value(u.cache_write_1h).value(u.output).value(u.reasoning);
  } else {
    row.null().null().null().null().null().null();
  }
  row.text(e.usage_raw).money(e.cost).value(e.latency_us).value(e.first_byte_us).real(e.confidence).value(e.feature_schema);
  row.blob({reinterpret_cast<const char*>(e.features.data()), e.features.size_bytes()}).name(finish).body(answer, e.answer_full_bytes);
  row.name(rung);
  STORE_TRY(insert_attempt_.run());
  return facts;
}

Result<RequestFacts> RowWriter::request(std::int64_t id, bool exists, std::int64_t time_us, const RequestEvent& e) {
  RequestFacts facts;
  facts.time_us = time_us;
  STORE_TRY_ASSIGN(facts.task, name(kTask, e.task));
  STORE_TRY_ASSIGN(facts.label_source, name(kLabelSource, e.label_source));
  facts.agrees = e.agrees;
  facts.served_by = e.served_by ? static_cast<std::int64_t>(*e.served_by) : kServedByNobody;
  facts.escalated = e.escalated;
  facts.coin = e.coin.heads;
  facts.client_gone = e.client_gone;
  facts.teacher_estimated = e.teacher_cost_estimated;
  facts.cost = e.cost;
  facts.teacher_cost = e.teacher_cost;
  facts.latency_us = e.latency_us;
  facts.overhead_us = e.overhead_us;

  STORE_TRY_ASSIGN(const auto tenant, name(kTenant, e.tenant));
  STORE_TRY_ASSIGN(const auto key, name(kKey, e.key));
  STORE_TRY_ASSIGN(const auto route, name(kRoute, e.route));
  STORE_TRY_ASSIGN(const auto cascade, name(kCascade, e.cascade));
  STORE_TRY_ASSIGN(const auto mode, name(kMode, e.mode));
  STORE_TRY_ASSIGN(const auto policy, name(kPolicy, e.policy_version));
  STORE_TRY_ASSIGN(const auto served_model, name(kServedModel, e.served_model));
  STORE_TRY_ASSIGN(const auto reason, name(kReason, e.reason));
  STORE_TRY_ASSIGN(const auto promise, name(kPromiseVersion, e.promise_version));
  STORE_TRY_ASSIGN(const auto served_rung, name(kServedRung, e.served_rung));
  STORE_TRY_ASSIGN(const BodyRef body, bodies_.add(e.body, time_us));
  const std::int64_t flags = kFinished | flag_if(e.escalated, kEscalated) | flag_if(e.streamed, kStreamed) |
                             flag_if(e.client_gone, kClientGone) | flag_if(e.complete, kComplete) |
                             flag_if(e.threshold_by_hand, kThresholdByHand) |
                             flag_if(e.teacher_cost_estimated, kTeacherCostEstimated) | flag_if(e.coin.heads, kCoinHeads);
  Statement& statement = exists ? update_request_ : insert_request_;
  Row row(statement);
  row.value(id).text(e.request_id).value(time_us).value(flags).text(e.session).text(e.consumer).name(tenant).name(key);
  row.name(facts.task).text(e.tags).name(route).name(cascade).text(e.requested_model).name(mode).name(policy).real(e.coin.probability);
  row.name(facts.label_source);
  e.agrees ? row.value(*e.agrees) : row.null();
  e.served_by ? row.value(facts.served_by) : row.null();
  row.name(served_model).real(e.confidence).real(e.threshold).name(reason).value(e.status).text(e.error).money(e.cost);
  row.money(e.teacher_cost).value(e.latency_us).value(e.overhead_us).value(static_cast<std::int64_t>(e.input_hash));
  row.body(body, e.body_full_bytes).name(promise).name(served_rung).name(static_cast<std::int64_t>(e.prompt_hash));
  STORE_TRY(statement.run());
  return facts;
}

Result<void> RowWriter::unfinished_request(std::int64_t id, std::int64_t time_us, std::string_view request_id) {
  Row row(insert_request_);
  row.value(id).text(request_id).value(time_us).value(0);
  for (int column = 5; column <= 37; ++column) row.null();
  return insert_request_.run();
}

Result<void> RowWriter::reservation(std::int64_t time_us, const ReservationEvent& e) {
  STORE_TRY_ASSIGN(const auto model, names_.id(e.model));
  Row row(insert_reservation_);
  row.text(e.request_id).value(e.attempt).value(time_us).value(static_cast<std::int64_t>(e.stage)).name(model).money(e.reserved);
  return insert_reservation_.run();
}

Result<bool> RowWriter::delete_reservation(std::string_view request_id, int attempt, Stage stage) {
  delete_reservation_.bind(1, request_id).bind(2, std::int64_t{attempt}).bind(3, static_cast<std::int64_t>(stage));
  STORE_TRY(delete_reservation_.run());
  return sqlite3_changes(db_->handle()) > 0;
}

Result<void> RowWriter::label(std::int64_t time_us, const LabelEvent& e) {
  STORE_TRY_ASSIGN(const auto source, names_.id(e.source));
  STORE_TRY_ASSIGN(const auto comparator, names_.id(e.comparator));
  STORE_TRY_ASSIGN(const auto rung, name(kLabelRung, e.rung));
  Row row(insert_label_);
  row.text(e.request_id).value(time_us).name(source).value(static_cast<std::int64_t>(e.stage)).value(e.agrees);
  row.real(e.propensity).name(comparator).name(rung);
  return insert_label_.run();
}

Result<void> RowWriter::feedback(std::int64_t time_us, const FeedbackEvent& e) {
  Statement& s = upsert_feedback_;
  s.bind(1, e.request_id).bind(2, e.source).bind(3, time_us);
  e.score ? s.bind(4, *e.score) : s.bind_null(4);
  s.bind(5, e.label).bind(6, e.correction).bind(7, e.comment);
  return s.run();
}

Result<void> RowWriter::alarm(std::int64_t time_us, const AlarmEvent& e) {
  insert_alarm_.bind(1, time_us).bind(2, e.name).bind(3, e.subject).bind(4, e.message);
  return insert_alarm_.run();
}

Result<void> RowWriter::promise_row(std::int64_t time_us, const PromiseRowEvent& e) {
  STORE_TRY_ASSIGN(const auto task, name(kPromiseTask, e.task));
  Statement& s = insert_promise_row_;
  s.bind(1, e.request_id).bind(2, task).bind(3, std::int64_t{e.test}).bind(4, time_us).bind(5, e.row);
  return s.run();
}

Result<void> RowWriter::promise_event(std::int64_t time_us, const PromiseEvent& e) {
  STORE_TRY_ASSIGN(const auto task, name(kPromiseTask, e.task));
  STORE_TRY_ASSIGN(const auto kind, names_.id(e.kind));
  STORE_TRY_ASSIGN(const auto version, names_.id(e.version));
  Statement& s = insert_promise_event_;
  s.bind(1, task).bind(2, kind).bind(3, version).bind(4, time_us).bind(5, e.detail);
  return s.run();
}

Result<std::int64_t> RowWriter::lesson(std::int64_t time_us, const LessonEvent& e) {
  std::int64_t ids[5];
  const std::string_view texts[5] = {e.tenant, e.cascade, e.task, e.state, e.provenance};
  for (int i = 0; i < 5; ++i) {
    STORE_TRY_ASSIGN(ids[i], names_.id(texts[i]));
  }
  Statement& s = upsert_lesson_;
  s.bind(1, e.lesson_id).bind(2, e.request_id);
  for (int i = 0; i < 5; ++i) s.bind(3 + i, ids[i]);
  s.bind(8, static_cast<std::int64_t>(e.prompt_hash)).bind(9, static_cast<std::int64_t>(e.input_hash));
  s.bind(10, e.created_us).bind(11, time_us).bind(12, e.detail);
  STORE_TRY(s.run());
  return ids[2];
}

Result<void> RowWriter::lesson_use(const LessonUseEvent& e) {
  Statement& s = upsert_lesson_use_;
  const auto one = [](bool condition) { return std::int64_t{condition}; };
  s.bind(1, e.lesson_id).bind(2, one(!e.withheld)).bind(3, one(!e.withheld && e.agrees)).bind(4, one(!e.withheld && e.agrees.value_or(false)));
  s.bind(5, one(e.withheld)).bind(6, one(e.withheld && e.agrees)).bind(7, one(e.withheld && e.agrees.value_or(false)));
  return s.run();
}

Result<void> RowWriter::add_to_meta(std::string_view key, std::int64_t amount) {
  upsert_meta_.bind(1, key).bind(2, amount);
  return upsert_meta_.run();
}

Result<void> RowWriter::flush() {
  STORE_TRY(bodies_.flush());
  const std::int64_t written = bodies_.take_written();
  return written == 0 ? Result<void>{} : add_to_meta("bodies_bytes", written);
}

Result<void> RowWriter::restart() {
  names_.forget();
  for (NameColumn& column : columns_) column.forget();
  return bodies_.restart();
}

}  // namespace understudy::store
