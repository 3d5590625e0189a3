#include "store/internal/importer.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "base/hash.h"
#include "store/internal/row_writer.h"
#include "store/internal/schema.h"
#include "store/internal/sums.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

constexpr std::size_t kMaxOpen = 1'000'000;

constexpr const char* kFindRequest =
    "SELECT id, flags, served_by, (SELECT text FROM names WHERE id = task), "
    "(SELECT count(*) FROM attempts a WHERE a.id >= r.id * 1024 AND a.id < (r.id + 1) * 1024), "
    "(SELECT (SELECT text FROM names WHERE id = a.rung) FROM attempts a WHERE a.id >= r.id * 1024 AND a.id < (r.id + 1) * 1024 AND "
    "(a.flags & 2) = 2 LIMIT 1) FROM requests r WHERE request_id = ? ORDER BY id DESC LIMIT 1";
constexpr const char* kReadFacts =
    "SELECT time_us, (SELECT text FROM names WHERE id = model), (SELECT text FROM names WHERE id = provider), stage, error, flags, "
    "cost, input, cached_input, cache_write_5m, cache_write_1h, output, reasoning, latency_us FROM attempts "
    "WHERE id >= ?1 AND id < ?2";

/// What is known of the request whose events are being stored.
struct RequestState {
  std::int64_t row = 0;  ///< 0: none yet
  std::int64_t attempts = 0;
  std::int64_t attempts_before = 0;  ///< stored with earlier batches
  bool stored = false;    ///< its row exists in this database
  std::int64_t parent_row = 0;
  bool finished = false;
  std::int64_t task = 0;
  std::int64_t served_by = kServedByNobody;
  std::int64_t served_rung = 0;  ///< of the call whose answer was served
};

class ImporterImpl final : public Importer {
 public:
  ImporterImpl(Database& db, Database* parent) : db_(db), parent_(parent), look_up_(true) {}
  Result<void> prepare();

  Result<void> import(const Batch& batch) override;
  Result<std::uint64_t> finish_recovery() override;
  Result<void> forget() override;
  const Overlay& overlay() const override { return overlay_; }

 private:
  struct Group {
    std::string_view request_id;
    std::int32_t first = -1;
    std::int32_t last = -1;
  };

  Result<void> import_all(const Batch& batch);
  void group_by_request(const Batch& batch);
  Result<void> import_group(const Batch& batch, const Group& group);
  Result<void> on_attempt(std::string_view id, const JournalRecord& record, RequestState& state);
  Result<void> on_request(const JournalRecord& record, RequestState& state);
  Result<void> on_label(const JournalRecord& record, const RequestState& state);
  Result<void> on_feedback(const JournalRecord& record);
  Result<void> on_promise_row(const JournalRecord& record);
  Result<void> on_lesson(const JournalRecord& record);
  Result<void> on_lesson_use(const JournalRecord& record);
  Result<void> on_other(const JournalRecord& record);
  Result<void> settle(std::string_view id, const AttemptEvent& event);
  Result<void> store_unfinished(std::string_view id, RequestState& state, std::int64_t time_us);
  Result<void> store_reservations();
  void begins_from_parent(const RequestState& state);
  Result<std::optional<RequestState>> find(std::string_view id);
  Result<std::optional<RequestState>> find_in(Statement& statement, std::string_view id);
  Result<void> read_facts(Statement& statement, std::int64_t row, std::int64_t first_n);

  Database& db_;
  Database* parent_;
  bool look_up_;  ///< requests may be in the database that are not in open_

  std::optional<RowWriter> rows_;
  std::optional<Sums> sums_;
  Statement upsert_progress_, find_, read_facts_, parent_find_, parent_read_facts_, parent_reservation_;

  std::int64_t next_row_ = 1;
  std::int64_t reservations_ = 0;  ///< rows in the table
  std::int64_t gaps_ = 0, unreadable_ = 0;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return hash64(text); }
  };
  std::unordered_map<std::string, RequestState, Hash, std::equal_to<>> open_;
  Overlay overlay_;

  // of the batch at hand
  std::vector<Group> groups_;
  std::vector<std::int32_t> next_in_group_;
  std::vector<std::int32_t> table_;
  std::vector<std::int32_t> others_;
  std::vector<AttemptFacts> facts_;
  struct Reservation {
    ReservationEvent event;
    std::int64_t time_us;
  };
  std::vector<Reservation> pending_;
  std::vector<float> features_;
};

Result<void> ImporterImpl::prepare() {
  STORE_TRY_ASSIGN(rows_, RowWriter::create(db_));
  STORE_TRY_ASSIGN(sums_, Sums::create(db_));
  STORE_TRY_ASSIGN(upsert_progress_, db_.prepare("INSERT OR REPLACE INTO progress VALUES(?1,?2,?3,?4)"));
  STORE_TRY_ASSIGN(find_, db_.prepare(kFindRequest));
  STORE_TRY_ASSIGN(read_facts_, db_.prepare(kReadFacts));
  if (parent_ != nullptr) {
    STORE_TRY_ASSIGN(parent_find_, parent_->prepare(kFindRequest));
    STORE_TRY_ASSIGN(parent_read_facts_, parent_->prepare(kReadFacts));
    STORE_TRY_ASSIGN(parent_reservation_,
                     parent_->prepare("SELECT 1 FROM reservations WHERE request_id = ?1 AND attempt = ?2 AND stage = ?3"));
  }
  return forget();
}

Result<void> ImporterImpl::forget() {
  sums_->clear();
  pending_.clear();
  gaps_ = unreadable_ = 0;
  STORE_TRY(rows_->restart());
  STORE_TRY_ASSIGN(const auto last, db_.integer("SELECT max(id) FROM requests"));
  next_row_ = std::max(next_row_, last.value_or(0) + 1);
  STORE_TRY_ASSIGN(const auto reservations, db_.integer("SELECT count(*) FROM reservations"));
  reservations_ = reservations.value_or(0);
  open_.clear();
  if (look_up_) return {};
  STORE_TRY_ASSIGN(Statement unfinished, db_.prepare("SELECT request_id FROM requests WHERE (flags & 257) = 0 ORDER BY id"));
  for (;;) {
    STORE_TRY_ASSIGN(const bool row, unfinished.step());
    if (!row) return {};
    const std::string id = unfinished.text(0);
    STORE_TRY_ASSIGN(const auto state, find(id));
    if (state && !state->finished) open_.insert_or_assign(id, *state);
  }
}

Result<void> ImporterImpl::import(const Batch& batch) {
  auto done = import_all(batch);
  // Whatever was learned inside a transaction that was rolled back is not true any more.
  if (!done) STORE_TRY(forget());
  return done;
}

Result<void> ImporterImpl::import_all(const Batch& batch) {
  gaps_ = unreadable_ = 0;
  STORE_TRY_ASSIGN(Transaction transaction, Transaction::begin(db_));
  group_by_request(batch);
  for (const Group& group : groups_) STORE_TRY(import_group(batch, group));
  for (const std::int32_t i : others_) STORE_TRY(on_other(batch.records[static_cast<std::size_t>(i)]));
  STORE_TRY(rows_->flush());
  STORE_TRY(sums_->flush());
  if (gaps_ != 0) STORE_TRY(rows_->add_to_meta("records_dropped", gaps_));
  if (unreadable_ != 0) STORE_TRY(rows_->add_to_meta("records_unreadable", unreadable_));
  for (const Progress& p : batch.progress) {
    upsert_progress_.bind(1, std::int64_t{p.reactor}).bind(2, static_cast<std::int64_t>(p.segment));
    upsert_progress_.bind(3, static_cast<std::int64_t>(p.offset)).bind(4, static_cast<std::int64_t>(p.sequence));
    STORE_TRY(upsert_progress_.run());
  }
  return transaction.commit();
}

void ImporterImpl::group_by_request(const Batch& batch) {
  groups_.clear();
  others_.clear();
  next_in_group_.assign(batch.records.size(), -1);
  const std::size_t slots = std::bit_ceil(batch.records.size() * 2 + 1);
  table_.assign(slots, -1);
  for (std::size_t i = 0; i < batch.records.size(); ++i) {
    const JournalRecord& record = batch.records[i];
    const std::string_view id = peek_request_id(record.payload);
    const auto index = static_cast<std::int32_t>(i);
    if (id.empty()) {
      others_.push_back(index);
      continue;
    }
    std::size_t slot = hash64(id) & (slots - 1);
    while (table_[slot] >= 0 && groups_[static_cast<std::size_t>(table_[slot])].request_id != id) slot = (slot + 1) & (slots - 1);
    if (table_[slot] < 0) {
      table_[slot] = static_cast<std::int32_t>(groups_.size());
      groups_.push_back({id, index, index});
      continue;
    }
    Group& group = groups_[static_cast<std::size_t>(table_[slot])];
    next_in_group_[static_cast<std::size_t>(group.last)] = index;
    group.last = index;
  }
}

Result<void> ImporterImpl::import_group(const Batch& batch, const Group& group) {
  RequestState state;
  const auto open = open_.find(group.request_id);
  if (open != open_.end()) {
    state = open->second;
    open_.erase(open);
  } else if (look_up_) {
    STORE_TRY_ASSIGN(const auto found, find(group.request_id));
    if (found && !found->finished) state = *found;
  }
  state.attempts_before = state.attempts;
  facts_.clear();
  pending_.clear();
  std::int64_t last_us = 0;
  for (std::int32_t i = group.first; i >= 0; i = next_in_group_[static_cast<std::size_t>(i)]) {
    const JournalRecord& record = batch.records[static_cast<std::size_t>(i)];
    last_us = record.wall_us;
    switch (record.type) {
      case EventType::kReservation: {
        Reservation& reservation = pending_.emplace_back();
        reservation.time_us = record.wall_us;
        if (!decode(record.payload, reservation.event, features_)) {
          pending_.pop_back();
          ++unreadable_;
        }
        break;
      }
      case EventType::kAttempt: STORE_TRY(on_attempt(group.request_id, record, state)); break;
      case EventType::kRequest: STORE_TRY(on_request(record, state)); break;
      case EventType::kLabel: STORE_TRY(on_label(record, state)); break;
      case EventType::kFeedback: STORE_TRY(on_feedback(record)); break;
      case EventType::kPromiseRow: STORE_TRY(on_promise_row(record)); break;
      case EventType::kLesson: STORE_TRY(on_lesson(record)); break;
      case EventType::kLessonUse: STORE_TRY(on_lesson_use(record)); break;
      default: ++unreadable_;
    }
  }
  STORE_TRY(store_reservations());
  if (state.row != 0 && !state.finished) STORE_TRY(store_unfinished(group.request_id, state, last_us));
  return {};
}

Result<void> ImporterImpl::on_attempt(std::string_view id, const JournalRecord& record, RequestState& state) {
  AttemptEvent e;
  if (!decode(record.payload, e, features_)) {
    ++unreadable_;
    return {};
  }
  STORE_TRY(settle(id, e));
  // An id that a client uses again is a new request; only what was asked beside the user's path may come after the end.
  if (state.finished && !e.off_path) state = {};
  if (state.row == 0 && e.off_path) {
    STORE_TRY_ASSIGN(const auto found, find(id));
    if (found) state = *found;
    state.attempts_before = state.attempts;
  }
  if (state.row == 0) state.row = next_row_++;
  if (state.attempts >= kAttemptsPerRequest) {
    ++unreadable_;
    return {};
  }

  begins_from_parent(state);
  const std::int64_t row = state.row * kAttemptsPerRequest + state.attempts++;
  STORE_TRY_ASSIGN(const AttemptFacts facts, rows_->attempt(row, record.wall_us, e));
  if (e.served) {
    STORE_TRY_ASSIGN(state.served_rung, rows_->names().id(e.rung));
  }
  if (state.finished) {
    sums_->add(facts, state.task);
    if (facts.off_path) sums_->add_off_path(facts, state.task, state.served_by);
  } else {
    facts_.push_back(facts);
  }
  return {};
}

Result<void> ImporterImpl::on_request(const JournalRecord& record, RequestState& state) {
  RequestEvent e;
  if (!decode(record.payload, e, features_)) {
    ++unreadable_;
    return {};
  }
  if (state.finished) state = {};
  if (state.row == 0) state.row = next_row_++;
  // Attempts stored with an earlier batch wait for the task before they count.
  if (state.attempts_before > 0) STORE_TRY(read_facts(read_facts_, state.row, state.attempts_before));
  if (state.parent_row != 0) STORE_TRY(read_facts(parent_read_facts_, state.parent_row, kAttemptsPerRequest));

  begins_from_parent(state);
  STORE_TRY_ASSIGN(const RequestFacts facts, rows_->request(state.row, state.stored, record.wall_us, e));
  sums_->add(facts);
  for (const AttemptFacts& attempt : facts_) {
    sums_->add(attempt, facts.task);
    if (attempt.off_path) sums_->add_off_path(attempt, facts.task, facts.served_by);
  }
  facts_.clear();
  state.stored = true;
  state.finished = true;
  state.task = facts.task;
  state.served_by = facts.served_by;
  return {};
}

void ImporterImpl::begins_from_parent(const RequestState& state) {
  if (state.parent_row == 0 || !overlay_.continues.emplace(state.row, state.parent_row).second) return;
  if (!state.finished) ++overlay_.replaces_unfinished;
}

Result<void> ImporterImpl::on_label(const JournalRecord& record, const RequestState& state) {
  LabelEvent e;
  if (!decode(record.payload, e, features_)) {
    ++unreadable_;
    return {};
  }
  RequestState judged = state;
  if (!judged.finished) {
    STORE_TRY_ASSIGN(const auto found, find(e.request_id));
    if (found) judged = *found;
  }
  STORE_TRY_ASSIGN(const auto source, rows_->names().id(e.source));
  STORE_TRY_ASSIGN(const auto rung, rows_->names().id(e.rung));
  // Several rungs of one stage may be judged for a request; at most one of them served.
  const bool same_rung = rung == 0 || judged.served_rung == 0 || rung == judged.served_rung;
  const bool served = judged.served_by == static_cast<std::int64_t>(e.stage) && same_rung;
  const std::int64_t whose = e.stage == Stage::kTeacher ? kJudgedTeacher : served ? kJudgedServed : kJudgedOther;
  sums_->add_label(record.wall_us, judged.task, source, whose, e.agrees);
  return rows_->label(record.wall_us, e);
}

Result<void> ImporterImpl::on_feedback(const JournalRecord& record) {
  FeedbackEvent e;
  if (!decode(record.payload, e, features_)) {
    ++unreadable_;
    return {};
  }
  return rows_->feedback(record.wall_us, e);
}

Result<void> ImporterImpl::on_promise_row(const JournalRecord& record) {
  PromiseRowEvent e;
  if (!decode(record.payload, e, features_)) {
    ++unreadable_;
    return {};
  }
  return rows_->promise_row(record.wall_us, e);
}

Result<void> ImporterImpl::on_lesson(const JournalRecord& record) {
  LessonEvent e;
  if (!decode(record.payload, e, features_)) {
    ++unreadable_;
    return {};
  }
  STORE_TRY_ASSIGN(const auto task, rows_->lesson(record.wall_us, e));
  if (e.spent.value != 0) sums_->add_lesson(record.wall_us, task, e.spent);
  return {};
}

Result<void> ImporterImpl::on_lesson_use(const JournalRecord& record) {
  LessonUseEvent e;
  if (!decode(record.payload, e, features_)) {
    ++unreadable_;
    return {};
  }
  return rows_->lesson_use(e);
}

Result<void> ImporterImpl::on_other(const JournalRecord& record) {
  if (record.type == EventType::kAlarm) {
    AlarmEvent e;
    if (decode(record.payload, e, features_)) return rows_->alarm(record.wall_us, e);
  } else if (record.type == EventType::kPromise) {
    PromiseEvent e;
    if (decode(record.payload, e, features_)) return rows_->promise_event(record.wall_us, e);
  } else if (record.type == EventType::kPromiseRow) {
    return on_promise_row(record);  // of no request
  } else if (record.type == EventType::kLesson) {
    return on_lesson(record);
  } else if (record.type == EventType::kLessonUse) {
    return on_lesson_use(record);
  } else if (record.type == EventType::kSpend) {
    SpendEvent e;
    if (decode(record.payload, e, features_)) {
      STORE_TRY_ASSIGN(const auto key, rows_->names().id(e.key));
      STORE_TRY_ASSIGN(const auto task, rows_->names().id(e.task));
      STORE_TRY_ASSIGN(const auto model, rows_->names().id(e.model));
      sums_->add_spend(e.at_us, key, task, model, e.amount);
      return {};
    }
  } else if (record.type == EventType::kGap) {
    GapEvent e;
    if (decode(record.payload, e, features_)) {
      gaps_ += static_cast<std::int64_t>(e.dropped);
      return {};
    }
  } else if (record.type == EventType::kErased) {
    return {};
  }
  ++unreadable_;
  return {};
}

Result<void> ImporterImpl::settle(std::string_view id, const AttemptEvent& event) {
  const auto matches = [&](const Reservation& r) { return r.event.attempt == event.attempt && r.event.stage == event.stage; };
  if (const auto it = std::find_if(pending_.begin(), pending_.end(), matches); it != pending_.end()) {
    pending_.erase(it);
    return {};
  }
  if (reservations_ > 0) {
    STORE_TRY_ASSIGN(const bool gone, rows_->delete_reservation(id, event.attempt, event.stage));
    if (gone) {
      --reservations_;
      return {};
    }
  }
  if (parent_ == nullptr) return {};
  Statement& s = parent_reservation_;
  s.bind(1, id).bind(2, std::int64_t{event.attempt}).bind(3, static_cast<std::int64_t>(event.stage));
  STORE_TRY_ASSIGN(const bool row, s.step());
  if (!row) return {};
  s.reset();
  overlay_.settled.emplace_back(id, event.attempt);
  return {};
}

Result<void> ImporterImpl::store_reservations() {
  for (const Reservation& r : pending_) STORE_TRY(rows_->reservation(r.time_us, r.event));
  reservations_ += static_cast<std::int64_t>(pending_.size());
  pending_.clear();
  return {};
}

Result<void> ImporterImpl::store_unfinished(std::string_view id, RequestState& state, std::int64_t time_us) {
  if (!state.stored) STORE_TRY(rows_->unfinished_request(state.row, time_us, id));
  state.stored = true;
  if (open_.size() >= kMaxOpen) {
    open_.clear();
    look_up_ = true;
  }
  open_.emplace(id, state);
  return {};
}

Result<std::optional<RequestState>> ImporterImpl::find(std::string_view id) {
  STORE_TRY_ASSIGN(std::optional<RequestState> state, find_in(find_, id));
  if (state || parent_ == nullptr) return state;
  STORE_TRY_ASSIGN(state, find_in(parent_find_, id));
  if (!state) return state;
  // Its row is the parent's; what we add to it gets a row of ours.
  state->parent_row = state->row;
  state->row = next_row_++;
  state->stored = false;
  state->attempts = 0;
  return state;
}

Result<std::optional<RequestState>> ImporterImpl::find_in(Statement& statement, std::string_view id) {
  statement.bind(1, id);
  STORE_TRY_ASSIGN(const bool row, statement.step());
  if (!row) return std::optional<RequestState>{};
  RequestState state;
  state.row = statement.integer(0);
  state.stored = true;
  state.finished = (statement.integer(1) & (kFinished | kCutOff)) != 0;
  state.served_by = statement.is_null(2) ? kServedByNobody : statement.integer(2);
  const std::string task = statement.text(3);
  state.attempts = statement.integer(4);
  const std::string rung = statement.text(5);
  statement.reset();
  STORE_TRY_ASSIGN(state.task, rows_->names().id(task));
  STORE_TRY_ASSIGN(state.served_rung, rows_->names().id(rung));
  return std::optional<RequestState>{state};
}

Result<void> ImporterImpl::read_facts(Statement& statement, std::int64_t row, std::int64_t first_n) {
  statement.bind(1, row * kAttemptsPerRequest).bind(2, row * kAttemptsPerRequest + first_n);
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, statement.step());
    if (!more) return {};
    AttemptFacts facts;
    facts.time_us = statement.integer(0);
    STORE_TRY_ASSIGN(facts.model, rows_->names().id(statement.bytes(1)));
    STORE_TRY_ASSIGN(facts.provider, rows_->names().id(statement.bytes(2)));
    facts.stage = static_cast<Stage>(statement.integer(3));
    facts.error = !statement.is_null(4);
    const std::int64_t flags = statement.integer(5);
    facts.off_path = (flags & kOffPath) != 0;
    if (!statement.is_null(6)) facts.cost = Picousd{statement.integer(6)};
    if ((flags & kUsageKnown) != 0) {
      facts.usage = Usage{statement.integer(7), statement.integer(8), statement.integer(9), statement.integer(10), statement.integer(11),
                          statement.integer(12), (flags & kUsageEstimated) != 0};
    }
    facts.latency_us = statement.integer(13);
    facts_.push_back(facts);
  }
}

}  // namespace

Result<std::vector<Progress>> read_progress(const Database& db) {
  std::vector<Progress> all;
  STORE_TRY_ASSIGN(Statement statement, db.prepare("SELECT reactor, segment, offset, sequence FROM progress"));
  for (;;) {
    STORE_TRY_ASSIGN(const bool row, statement.step());
    if (!row) return all;
    all.push_back({static_cast<std::uint32_t>(statement.integer(0)), static_cast<std::uint64_t>(statement.integer(1)),
                   static_cast<std::uint64_t>(statement.integer(2)), static_cast<std::uint64_t>(statement.integer(3))});
  }
}

Result<std::unique_ptr<Importer>> Importer::create(Database& db, Database* parent) {
  auto importer = std::make_unique<ImporterImpl>(db, parent);
  STORE_TRY(importer->prepare());
  return std::unique_ptr<Importer>(std::move(importer));
}

Result<std::uint64_t> ImporterImpl::finish_recovery() {
  STORE_TRY_ASSIGN(Transaction transaction, Transaction::begin(db_));
  std::vector<std::pair<std::int64_t, std::int64_t>> cut;  // row, time
  {
    STORE_TRY_ASSIGN(Statement unfinished, db_.prepare("SELECT id, time_us FROM requests WHERE (flags & 257) = 0"));
    for (;;) {
      STORE_TRY_ASSIGN(const bool row, unfinished.step());
      if (!row) break;
      cut.emplace_back(unfinished.integer(0), unfinished.integer(1));
    }
  }
  STORE_TRY_ASSIGN(Statement mark, db_.prepare("UPDATE requests SET flags = flags | 256 WHERE id = ?"));
  for (const auto& [row, time_us] : cut) {
    facts_.clear();
    STORE_TRY(read_facts(read_facts_, row, kAttemptsPerRequest));
    RequestFacts facts;
    facts.time_us = time_us;
    facts.served_by = kServedByCutOff;
    facts.counted = false;
    facts.cost = Picousd{0};
    for (const AttemptFacts& attempt : facts_) {
      sums_->add(attempt, 0);
      if (!attempt.cost) facts.cost.reset();
      if (facts.cost) facts.cost = *facts.cost + *attempt.cost;
    }
    sums_->add(facts);
    mark.bind(1, row);
    STORE_TRY(mark.run());
  }
  STORE_TRY(sums_->flush());
  if (!cut.empty()) STORE_TRY(rows_->add_to_meta("requests_cut_off", static_cast<std::int64_t>(cut.size())));
  STORE_TRY(transaction.commit());
  open_.clear();
  look_up_ = false;
  return cut.size();
}

}  // namespace understudy::store
