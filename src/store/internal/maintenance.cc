#include "store/internal/maintenance.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/log.h"
#include "store/internal/schema.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

Result<std::int64_t> run_with(Database& db, std::string_view sql, std::initializer_list<std::int64_t> arguments) {
  STORE_TRY_ASSIGN(Statement statement, db.prepare(sql));
  int i = 0;
  for (const std::int64_t argument : arguments) statement.bind(++i, argument);
  STORE_TRY(statement.run());
  return sqlite3_changes64(db.handle());
}

Result<std::int64_t> run_with(Database& db, std::string_view sql, std::string_view argument) {
  STORE_TRY_ASSIGN(Statement statement, db.prepare(sql));
  statement.bind(1, argument);
  STORE_TRY(statement.run());
  return sqlite3_changes64(db.handle());
}

Result<void> set_meta(Database& db, const char* key, std::string_view value_sql) {
  return db.exec(fmt::format("INSERT OR REPLACE INTO meta VALUES('{}', {})", key, value_sql).c_str());
}

/// Which rows of a table (in order of arrival) are older than `cutoff_us`: the highest id to remove, 0 for none; at most `limit` rows.
/// A row's time is only what the clock said. One that lies after `now` says nothing: it goes when one that came after it is old.
/// One of the far past behind young ones stays with them.
Result<std::int64_t> last_old_row(Database& db, std::string_view table, std::string_view time, std::int64_t cutoff_us, WallTime now,
                                  std::uint64_t limit) {
  STORE_TRY_ASSIGN(Statement rows, db.prepare(fmt::format("SELECT id, {0} FROM {1} WHERE {0} <= ?1 ORDER BY id LIMIT ?2", time, table)));
  rows.bind(1, now.us).bind(2, static_cast<std::int64_t>(limit));
  std::int64_t last = 0;
  for (;;) {
    STORE_TRY_ASSIGN(const bool row, rows.step());
    if (!row || rows.integer(1) >= cutoff_us) break;
    last = rows.integer(0);
  }
  rows.reset();
  if (last == 0) return last;
  // With the rows of the future among them it may be more than the limit.
  STORE_TRY_ASSIGN(const auto most, db.integer(fmt::format("SELECT id FROM {} ORDER BY id LIMIT 1 OFFSET {}", table, limit - 1)));
  return std::min(last, most.value_or(last));
}

/// The highest block to remove so that at most `bytes_wanted` stay, 0 for none.
Result<std::int64_t> last_block_too_much(Database& db, std::int64_t bytes_wanted, std::uint64_t limit) {
  STORE_TRY_ASSIGN(const auto total, db.integer("SELECT value FROM meta WHERE key = 'bodies_bytes'"));
  std::int64_t kept = total.value_or(0);
  STORE_TRY_ASSIGN(Statement blocks, db.prepare("SELECT id, length(data) FROM body_blocks ORDER BY id LIMIT ?"));
  blocks.bind(1, static_cast<std::int64_t>(limit));
  std::int64_t last = 0;
  while (kept > bytes_wanted) {
    STORE_TRY_ASSIGN(const bool row, blocks.step());
    if (!row) break;
    last = blocks.integer(0);
    kept -= blocks.integer(1);
  }
  blocks.reset();
  return last;
}

Result<void> remove_blocks(Database& db, const Retention& retention, WallTime now, std::uint64_t limit, Removed& removed) {
  std::int64_t last = 0;
  if (retention.bodies_max_age_ms) {
    STORE_TRY_ASSIGN(last, last_old_row(db, "body_blocks", "time_us", now.us - *retention.bodies_max_age_ms * 1000, now, limit));
  }
  if (retention.bodies_max_bytes) {
    STORE_TRY_ASSIGN(const std::int64_t too_much, last_block_too_much(db, *retention.bodies_max_bytes, limit));
    last = std::max(last, too_much);
  }
  if (last == 0) return {};
  STORE_TRY_ASSIGN(Transaction transaction, Transaction::begin(db));
  // A number is never used again: rows may still point to it.
  STORE_TRY(set_meta(db, "last_block", "(SELECT max(id) FROM body_blocks)"));
  STORE_TRY_ASSIGN([[maybe_unused]] const std::int64_t counted,
                   run_with(db, "UPDATE meta SET value = value - (SELECT coalesce(sum(length(data)), 0) FROM body_blocks WHERE id <= ?) "
                                "WHERE key = 'bodies_bytes'", {last}));
  STORE_TRY_ASSIGN(const std::int64_t n, run_with(db, "DELETE FROM body_blocks WHERE id <= ?", {last}));
  STORE_TRY(transaction.commit());
  removed.body_blocks += static_cast<std::uint64_t>(n);
  return {};
}

Result<void> remove_old_requests(Database& db, std::int64_t cutoff_us, WallTime now, std::uint64_t limit, Removed& removed) {
  STORE_TRY_ASSIGN(const std::int64_t last, last_old_row(db, "requests", "time_us", cutoff_us, now, limit));
  if (last == 0) return {};
  STORE_TRY_ASSIGN(Transaction transaction, Transaction::begin(db));
  for (const char* table : {"labels", "feedback", "promise_rows", "lessons"}) {
    STORE_TRY_ASSIGN([[maybe_unused]] const std::int64_t other,
                     run_with(db, fmt::format("DELETE FROM {} WHERE request_id IN (SELECT request_id FROM requests WHERE id <= ?)", table), {last}));
  }
  STORE_TRY_ASSIGN(const std::int64_t n, run_with(db, "DELETE FROM requests WHERE id <= ?", {last}));
  STORE_TRY_ASSIGN([[maybe_unused]] const std::int64_t attempts,
                   run_with(db, "DELETE FROM attempts WHERE id < ?", {(last + 1) * kAttemptsPerRequest}));
  STORE_TRY(transaction.commit());
  removed.requests += static_cast<std::uint64_t>(n);
  return {};
}

Result<void> remove_old_promise_rows(Database& db, std::int64_t cutoff_us, WallTime now, std::uint64_t limit, Removed& removed) {
  STORE_TRY_ASSIGN(const std::int64_t last, last_old_row(db, "promise_rows", "time_us", cutoff_us, now, limit));
  if (last == 0) return {};
  STORE_TRY_ASSIGN(const std::int64_t n, run_with(db, "DELETE FROM promise_rows WHERE id <= ?", {last}));
  removed.promise_rows += static_cast<std::uint64_t>(n);
  return {};
}

Result<void> remove_old_lessons(Database& db, std::int64_t cutoff_us, WallTime now, std::uint64_t limit, Removed& removed) {
  STORE_TRY_ASSIGN(const std::int64_t last, last_old_row(db, "lessons", "created_us", cutoff_us, now, limit));
  if (last == 0) return {};
  STORE_TRY_ASSIGN(Transaction transaction, Transaction::begin(db));
  STORE_TRY_ASSIGN([[maybe_unused]] const std::int64_t uses,
                   run_with(db, "DELETE FROM lesson_uses WHERE lesson_id IN (SELECT lesson_id FROM lessons WHERE id <= ?)", {last}));
  STORE_TRY_ASSIGN(const std::int64_t n, run_with(db, "DELETE FROM lessons WHERE id <= ?", {last}));
  STORE_TRY(transaction.commit());
  removed.lessons += static_cast<std::uint64_t>(n);
  return {};
}

struct Doomed {
  std::int64_t row = 0;
  std::string request_id;
};

Result<std::vector<Doomed>> doomed_requests(Statement& select) {
  std::vector<Doomed> doomed;
  for (;;) {
    STORE_TRY_ASSIGN(const bool row, select.step());
    if (!row) return doomed;
    doomed.push_back({select.integer(0), select.text(1)});
  }
}

/// Overwrites the texts of these requests inside their blocks.
Result<void> overwrite_bodies(Database& db, const std::vector<Doomed>& doomed, Removed& removed) {
  std::map<std::int64_t, std::vector<BodyRef>> by_block;
  STORE_TRY_ASSIGN(Statement refs, db.prepare("SELECT body_block, body_offset, body_bytes FROM requests WHERE id = ?1 AND body_block > 0 "
                                              "UNION ALL SELECT answer_block, answer_offset, answer_bytes FROM attempts "
                                              "WHERE id >= ?1 * 1024 AND id < (?1 + 1) * 1024 AND answer_block > 0"));
  for (const Doomed& d : doomed) {
    refs.bind(1, d.row);
    for (;;) {
      STORE_TRY_ASSIGN(const bool row, refs.step());
      if (!row) break;
      by_block[refs.integer(0)].push_back({refs.integer(0), refs.integer(1), refs.integer(2)});
    }
  }
  STORE_TRY_ASSIGN(BodyReader reader, BodyReader::create(db));
  STORE_TRY_ASSIGN(BodyWriter writer, BodyWriter::create(db));
  for (const auto& [block, places] : by_block) {
    const auto raw = reader.block(block);
    if (!raw && raw.error().kind == ErrorKind::kCorrupt) {
      // What cannot be read cannot be told apart: all of the block goes.
      STORE_TRY_ASSIGN([[maybe_unused]] const auto n, run_with(db, "DELETE FROM body_blocks WHERE id = ?", {block}));
      continue;
    }
    if (!raw) return fail(raw.error());
    if (*raw == nullptr) continue;
    std::string text = **raw;
    for (const BodyRef& ref : places) {
      const auto from = std::min(static_cast<std::size_t>(ref.offset), text.size());
      const auto n = std::min(static_cast<std::size_t>(ref.bytes), text.size() - from);
      std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(from), n, '\0');
      ++removed.bodies;
    }
    STORE_TRY(writer.rewrite(block, text));
  }
  return {};
}

Result<void> remove_rows(Database& db, const std::vector<Doomed>& doomed, Removed& removed) {
  for (const Doomed& d : doomed) {
    STORE_TRY_ASSIGN(const auto requests, run_with(db, "DELETE FROM requests WHERE id = ?", {d.row}));
    removed.requests += static_cast<std::uint64_t>(requests);
    STORE_TRY_ASSIGN([[maybe_unused]] const auto attempts, run_with(db, "DELETE FROM attempts WHERE id >= ? AND id < ?",
                                                                    {d.row * kAttemptsPerRequest, (d.row + 1) * kAttemptsPerRequest}));
    // Labels and feedback belong to the id; another request may have had the same from its client.
    for (const char* table : {"labels", "feedback", "reservations", "promise_rows", "lessons"}) {
      const std::string sql = fmt::format(
          "DELETE FROM {} WHERE request_id = ?1 AND NOT EXISTS (SELECT 1 FROM requests WHERE request_id = ?1)", table);
      STORE_TRY_ASSIGN(const auto n, run_with(db, sql, d.request_id));
      removed.other += static_cast<std::uint64_t>(n);
    }
  }
  return {};
}

/// Names that nothing refers to any more.
Result<void> remove_unused_names(Database& db) {
  std::string used;
  for (const char* column : {"tenant", "key", "task", "route", "cascade", "mode", "policy_version", "label_source", "served_model", "reason", "promise_version", "served_rung"}) {
    used += fmt::format("SELECT DISTINCT {0} FROM requests WHERE {0} > 0 UNION ", column);
  }
  for (const char* column : {"model", "upstream_model", "provider", "error", "finish_reason", "rung"}) {
    used += fmt::format("SELECT DISTINCT {0} FROM attempts WHERE {0} > 0 UNION ", column);
  }
  used +=
      "SELECT model FROM reservations WHERE model > 0 UNION SELECT source FROM labels WHERE source > 0 UNION "
      "SELECT comparator FROM labels WHERE comparator > 0 UNION SELECT task FROM request_sums UNION SELECT task FROM attempt_sums UNION "
      "SELECT model FROM attempt_sums UNION SELECT provider FROM attempt_sums UNION SELECT task FROM label_sums UNION "
      "SELECT source FROM label_sums UNION SELECT rung FROM labels WHERE rung > 0 UNION SELECT task FROM promise_rows UNION "
      "SELECT tenant FROM lessons WHERE tenant > 0 UNION SELECT cascade FROM lessons WHERE cascade > 0 UNION SELECT task FROM lessons WHERE "
      "task > 0 UNION SELECT state FROM lessons UNION SELECT provenance FROM lessons UNION "
      "SELECT key FROM spend UNION SELECT task FROM spend UNION SELECT model FROM spend UNION "
      "SELECT task FROM promise_events UNION SELECT kind FROM promise_events UNION SELECT version FROM promise_events";
  return db.exec(("DELETE FROM names WHERE id NOT IN (" + used + ")").c_str());
}

Result<Removed> remove_all(Database& db, const std::vector<Doomed>& doomed, const std::vector<Doomed>& cut_off) {
  Removed removed;
  std::vector<Doomed> all = doomed;
  all.insert(all.end(), cut_off.begin(), cut_off.end());
  STORE_TRY(overwrite_bodies(db, all, removed));
  STORE_TRY(remove_rows(db, all, removed));
  STORE_TRY(db.exec("DELETE FROM lesson_uses WHERE lesson_id NOT IN (SELECT lesson_id FROM lessons)"));
  STORE_TRY(remove_unused_names(db));
  STORE_TRY(set_meta(db, "bodies_bytes", "(SELECT coalesce(sum(length(data)), 0) FROM body_blocks)"));
  return removed;
}

constexpr std::int64_t kCatchUp = 60;
constexpr std::int64_t kSaveEveryUs = 60'000'000;

}  // namespace

Result<WallTime> RetentionClock::now(Database& db, const Clock& clock) {
  const WallTime wall = clock.wall();
  const MonoTime mono = clock.mono();
  if (!last_) {
    // A store of a version that did not write it down: its newest record is all there is to go by.
    STORE_TRY_ASSIGN(const auto known, db.integer("SELECT coalesce((SELECT value FROM meta WHERE key = 'retention_us'), "
                                                  "(SELECT time_us FROM requests ORDER BY id DESC LIMIT 1))"));
    at_ = saved_ = WallTime{known.value_or(wall.us)};
  } else {
    at_.us += std::min((mono.ns - last_->ns) / 1000, std::int64_t{1} << 50) * kCatchUp;
  }
  last_ = mono;
  at_.us = std::min(at_.us, wall.us);
  if (wall.us - at_.us > kTellAfterUs && !behind_) {
    log::warn("store: the clock is {} hours ahead of what retention goes by (a long pause, or a wrong clock); it catches up an hour a minute, "
              "and removes nothing that is young by its own time", (wall.us - at_.us) / 3'600'000'000);
  }
  behind_ = wall.us - at_.us > kTellAfterUs;
  if (std::abs(at_.us - saved_.us) >= kSaveEveryUs || !stored_) {
    STORE_TRY(set_meta(db, "retention_us", std::to_string(at_.us)));
    saved_ = at_;
    stored_ = true;
  }
  return at_;
}

Result<Removed> apply_retention(Database& db, const Retention& retention, WallTime now, std::uint64_t limit) {
  Removed removed;
  if (retention.bodies_max_age_ms || retention.bodies_max_bytes) STORE_TRY(remove_blocks(db, retention, now, limit, removed));
  if (retention.records_max_age_ms) STORE_TRY(remove_old_requests(db, now.us - *retention.records_max_age_ms * 1000, now, limit, removed));
  if (retention.promise_rows_max_age_ms) {
    STORE_TRY(remove_old_promise_rows(db, now.us - *retention.promise_rows_max_age_ms * 1000, now, limit, removed));
  }
  if (retention.lessons_max_age_ms) STORE_TRY(remove_old_lessons(db, now.us - *retention.lessons_max_age_ms * 1000, now, limit, removed));
  return removed;
}

Result<Removed> remove_request(Database& db, std::string_view request_id) {
  STORE_TRY_ASSIGN(Transaction transaction, Transaction::begin(db));
  STORE_TRY_ASSIGN(Statement select, db.prepare("SELECT id, request_id FROM requests WHERE request_id = ?"));
  select.bind(1, request_id);
  STORE_TRY_ASSIGN(const std::vector<Doomed> doomed, doomed_requests(select));
  STORE_TRY_ASSIGN(Removed removed, remove_all(db, doomed, {}));
  if (doomed.empty()) {
    // Its own record may have been dropped, or be gone by age, while a row of a promise or a lesson still names it.
    STORE_TRY_ASSIGN(std::int64_t rows, run_with(db, "DELETE FROM promise_rows WHERE request_id = ?", request_id));
    STORE_TRY_ASSIGN(const std::int64_t lessons, run_with(db, "DELETE FROM lessons WHERE request_id = ?", request_id));
    rows += lessons;
    if (rows == 0) return fail(ErrorKind::kNotFound, fmt::format("there is no request {} in {}", request_id, db.path().string()));
    removed.other += static_cast<std::uint64_t>(rows);
  }
  STORE_TRY(transaction.commit());
  return removed;
}

Result<Removed> remove_tenant(Database& db, std::string_view tenant) {
  STORE_TRY_ASSIGN(Transaction transaction, Transaction::begin(db));
  STORE_TRY_ASSIGN(Statement select,
                   db.prepare("SELECT id, request_id FROM requests WHERE tenant = (SELECT id FROM names WHERE text = ?)"));
  select.bind(1, tenant);
  STORE_TRY_ASSIGN(const std::vector<Doomed> doomed, doomed_requests(select));
  STORE_TRY_ASSIGN(const std::int64_t lessons, run_with(db, "DELETE FROM lessons WHERE tenant = (SELECT id FROM names WHERE text = ?)", tenant));
  if (doomed.empty() && lessons == 0) return fail(ErrorKind::kNotFound, fmt::format("there is no request of tenant {} in {}", tenant, db.path().string()));
  STORE_TRY_ASSIGN(Statement cut, db.prepare("SELECT id, request_id FROM requests WHERE (flags & 256) <> 0"));
  STORE_TRY_ASSIGN(const std::vector<Doomed> cut_off, doomed_requests(cut));
  STORE_TRY_ASSIGN(Removed removed, remove_all(db, doomed, cut_off));
  removed.other += static_cast<std::uint64_t>(lessons);
  STORE_TRY(transaction.commit());
  return removed;
}

Result<void> vacuum(Database& db) {
  STORE_TRY(db.exec("VACUUM"));
  STORE_TRY_ASSIGN(const auto busy, db.integer("PRAGMA wal_checkpoint(TRUNCATE)"));
  if (busy.value_or(1) != 0) {
    return fail(ErrorKind::kOverloaded, fmt::format("{}: a reader kept the old state for more than 5 s, so old bytes are still in the "
                                                    "write-ahead log; end it and run `understudy store compact`",
                                                    db.path().string()));
  }
  return {};
}

std::uint64_t database_bytes(const std::filesystem::path& database) {
  std::uint64_t total = 0;
  for (const char* suffix : {"", "-wal"}) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(database.string() + suffix, error);
    if (!error) total += bytes;
  }
  return total;
}

}  // namespace understudy::store
