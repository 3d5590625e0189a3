// StoreReader's queries for the promise of a task: its events and rows, and what its labels cost and tell.
#include <algorithm>
#include <optional>
#include <set>

#include "store/internal/reader.h"
#include "store/internal/schema.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

/// One database's rows of a task by time; the first is under the cursor.
struct RowCursor {
  Statement rows;
  bool more = false;
  std::int64_t time_us() const { return rows.integer(0); }
  Result<void> advance() {
    STORE_TRY_ASSIGN(more, rows.step());
    return {};
  }
};

Result<RowCursor> rows_of(const Database& db, std::string_view task, std::int64_t since_us) {
  RowCursor cursor;
  STORE_TRY_ASSIGN(cursor.rows, db.prepare("SELECT time_us, request_id, test, row FROM promise_rows WHERE task = (SELECT id FROM names "
                                           "WHERE text = ?1) AND time_us >= ?2 ORDER BY time_us, id"));
  cursor.rows.bind(1, task).bind(2, since_us);
  STORE_TRY(cursor.advance());
  return cursor;
}

}  // namespace

Result<std::vector<PromiseEventRecord>> StoreReader::promise_events(std::string_view task) {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  std::vector<PromiseEventRecord> events;
  for (const Database* db : snapshot->databases()) {
    STORE_TRY_ASSIGN(Statement row, db->prepare("SELECT time_us, (SELECT text FROM names WHERE id = kind), (SELECT text FROM names WHERE "
                                                "id = version), detail FROM promise_events WHERE task = (SELECT id FROM names WHERE "
                                                "text = ?1) ORDER BY id"));
    row.bind(1, task);
    for (;;) {
      STORE_TRY_ASSIGN(const bool more, row.step());
      if (!more) break;
      events.push_back({WallTime{row.integer(0)}, std::string(task), row.text(1), row.text(2), row.text(3)});
    }
  }
  return events;
}

Result<std::vector<std::string>> StoreReader::promise_tasks() {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  std::set<std::string> names;
  for (const Database* db : snapshot->databases()) {
    STORE_TRY_ASSIGN(Statement row, db->prepare("SELECT text FROM names WHERE id IN (SELECT task FROM promise_events)"));
    for (;;) {
      STORE_TRY_ASSIGN(const bool more, row.step());
      if (!more) break;
      names.insert(row.text(0));
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Result<std::uint64_t> StoreReader::promise_rows(std::string_view task, std::optional<WallTime> since,
                                                const std::function<bool(const PromiseRowRecord&)>& visit) {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  std::vector<RowCursor> cursors;
  for (const Database* db : snapshot->databases()) {
    STORE_TRY_ASSIGN(RowCursor cursor, rows_of(*db, task, since ? since->us : INT64_MIN));
    cursors.push_back(std::move(cursor));
  }
  for (std::uint64_t visited = 0;;) {
    RowCursor* oldest = nullptr;
    for (RowCursor& cursor : cursors) {
      if (cursor.more && (oldest == nullptr || cursor.time_us() < oldest->time_us())) oldest = &cursor;
    }
    if (oldest == nullptr) return visited;
    const Statement& row = oldest->rows;
    ++visited;
    if (!visit({WallTime{row.integer(0)}, row.text(1), row.integer(2) != 0, row.text(3)})) return visited;
    STORE_TRY(oldest->advance());
  }
}

Result<std::optional<bool>> StoreReader::is_test_row(std::string_view request_id) {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  std::optional<bool> test;
  for (const Database* db : snapshot->databases()) {
    STORE_TRY_ASSIGN(Statement row, db->prepare("SELECT max(test) FROM promise_rows WHERE request_id = ?1"));
    row.bind(1, request_id);
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (more && !row.is_null(0)) test = test.value_or(false) || row.integer(0) != 0;
  }
  return test;
}

Result<std::vector<AlarmRecord>> StoreReader::alarms(std::optional<WallTime> since, std::uint32_t limit) {
  const std::size_t most = std::clamp<std::size_t>(limit, 1, 10'000);
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  std::vector<AlarmRecord> alarms;
  for (const Database* db : snapshot->databases()) {
    STORE_TRY_ASSIGN(Statement row, db->prepare("SELECT time_us, name, subject, message FROM alarms WHERE time_us >= ?1 "
                                                "ORDER BY time_us DESC, id DESC LIMIT ?2"));
    row.bind(1, since ? since->us : INT64_MIN).bind(2, static_cast<std::int64_t>(most));
    std::vector<AlarmRecord> found;
    for (;;) {
      STORE_TRY_ASSIGN(const bool more, row.step());
      if (!more) break;
      found.push_back({WallTime{row.integer(0)}, row.text(1), row.text(2), row.text(3)});
    }
    // The tail's come later: of two of the same moment they are the newer ones.
    alarms.insert(alarms.begin(), std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  }
  std::stable_sort(alarms.begin(), alarms.end(), [](const AlarmRecord& a, const AlarmRecord& b) { return a.time > b.time; });
  if (alarms.size() > most) alarms.resize(most);
  return alarms;
}

Result<PicousdSum> StoreReader::label_spend(WallTime since) {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  PicousdSum spent;
  for (const Database* db : snapshot->databases()) {
    // In two parts, as the sums are: no SUM of them overflows.
    STORE_TRY_ASSIGN(Statement row, db->prepare("SELECT sum(cost / 1000000000000), sum(cost % 1000000000000) FROM attempts "
                                                "WHERE (flags & 1) = 1 AND time_us >= ?1"));
    row.bind(1, since.us);
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (more) spent += PicousdSum{Int128{row.integer(0)} * kPicousdPerUsd + row.integer(1)};
  }
  return spent;
}

Result<TeacherNoise> StoreReader::teacher_noise(std::string_view task) {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  TeacherNoise noise;
  for (const Database* db : snapshot->databases()) {
    STORE_TRY_ASSIGN(Statement row, db->prepare("SELECT sum(n), sum(n - agree) FROM label_sums WHERE of_served = ?2 AND task = "
                                                "(SELECT id FROM names WHERE text = ?1)"));
    row.bind(1, task).bind(2, kJudgedTeacher);
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (!more) continue;
    noise.asked += row.integer(0);
    noise.disagreed += row.integer(1);
  }
  return noise;
}

}  // namespace understudy::store
