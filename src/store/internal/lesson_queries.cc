// StoreReader's queries for lessons.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "store/internal/reader.h"
#include "store/internal/schema.h"
#include "store/internal/sums.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

constexpr std::string_view kColumns =
    "SELECT lesson_id, request_id, (SELECT text FROM names WHERE id = tenant), (SELECT text FROM names WHERE id = cascade), (SELECT text "
    "FROM names WHERE id = task), (SELECT text FROM names WHERE id = state), (SELECT text FROM names WHERE id = provenance), prompt_hash, "
    "input_hash, created_us, changed_us, detail FROM lessons WHERE 1";

LessonRecord record_of(const Statement& row) {
  LessonRecord r;
  r.lesson_id = row.text(0);
  r.request_id = row.text(1);
  r.tenant = row.text(2);
  r.cascade = row.text(3);
  r.task = row.text(4);
  r.state = row.text(5);
  r.provenance = row.text(6);
  r.prompt_hash = static_cast<std::uint64_t>(row.integer(7));
  r.input_hash = static_cast<std::uint64_t>(row.integer(8));
  r.created = {row.integer(9)};
  r.changed = {row.integer(10)};
  r.detail = row.text(11);
  return r;
}

/// The filter's lessons of one database, newest first; `after` excluded.
Result<Statement> select(const Database& db, const LessonFilter& filter) {
  std::string sql(kColumns);
  const auto name = [&](const char* column, const std::optional<std::string>& wanted) {
    if (!wanted) return;
    // The empty name has no row of its own: it is stored as 0 or as nothing.
    sql += wanted->empty() ? fmt::format(" AND coalesce({}, 0) = 0", column) : fmt::format(" AND {} = (SELECT id FROM names WHERE text = ?)", column);
  };
  name("tenant", filter.tenant);
  name("task", filter.task);
  name("state", filter.state);
  if (filter.since) sql += " AND created_us >= ?";
  if (filter.after) sql += " AND lesson_id < ?";
  sql += " ORDER BY lesson_id DESC";
  STORE_TRY_ASSIGN(Statement statement, db.prepare(sql));
  int i = 0;
  for (const auto* text : {&filter.tenant, &filter.task, &filter.state}) {
    if (*text && !(*text)->empty()) statement.bind(++i, std::string_view(**text));
  }
  if (filter.since) statement.bind(++i, filter.since->us);
  if (filter.after) statement.bind(++i, std::string_view(*filter.after));
  return statement;
}

/// Lessons that the journal's tail knows better than SQLite.
Result<std::set<std::string, std::less<>>> in_tail(Snapshot& snapshot) {
  std::set<std::string, std::less<>> ids;
  if (snapshot.tail() == nullptr) return ids;
  STORE_TRY_ASSIGN(Statement row, snapshot.tail()->prepare("SELECT lesson_id FROM lessons"));
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (!more) return ids;
    ids.insert(row.text(0));
  }
}

Result<void> add_uses(Snapshot& snapshot, std::vector<LessonRecord>& lessons) {
  for (Database* db : snapshot.databases()) {
    STORE_TRY_ASSIGN(Statement row, db->prepare("SELECT injected, injected_judged, injected_agree, withheld, withheld_judged, withheld_agree "
                                                "FROM lesson_uses WHERE lesson_id = ?"));
    for (LessonRecord& lesson : lessons) {
      row.bind(1, std::string_view(lesson.lesson_id));
      STORE_TRY_ASSIGN(const bool found, row.step());
      if (!found) continue;
      int i = 0;
      for (std::int64_t* count : {&lesson.injected, &lesson.injected_judged, &lesson.injected_agree, &lesson.withheld, &lesson.withheld_judged,
                                  &lesson.withheld_agree}) {
        *count += row.integer(i++);
      }
      row.reset();
    }
  }
  return {};
}

}  // namespace

Result<LessonPage> StoreReader::lessons(const LessonFilter& filter) {
  const std::size_t limit = std::clamp<std::size_t>(filter.limit, 1, 10'000);
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  STORE_TRY_ASSIGN(const auto newer, in_tail(*snapshot));
  LessonPage page;
  for (Database* db : snapshot->databases()) {
    STORE_TRY_ASSIGN(Statement row, select(*db, filter));
    for (std::size_t n = 0; n <= limit;) {
      STORE_TRY_ASSIGN(const bool more, row.step());
      if (!more) break;
      if (db == &snapshot->main() && newer.contains(row.bytes(0))) continue;
      page.lessons.push_back(record_of(row));
      ++n;
    }
  }
  std::sort(page.lessons.begin(), page.lessons.end(), [](const LessonRecord& a, const LessonRecord& b) { return a.lesson_id > b.lesson_id; });
  if (page.lessons.size() > limit) {
    page.lessons.resize(limit);
    page.next = page.lessons.back().lesson_id;
  }
  STORE_TRY(add_uses(*snapshot, page.lessons));
  return page;
}

Result<LessonRecord> StoreReader::lesson(std::string_view lesson_id, const std::optional<std::string>& tenant) {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  std::vector<LessonRecord> found;
  for (Database* db : snapshot->databases()) {
    STORE_TRY_ASSIGN(Statement row, db->prepare(std::string(kColumns) + " AND lesson_id = ?"));
    row.bind(1, lesson_id);
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (more) found.assign(1, record_of(row));
  }
  if (found.empty() || (tenant && found[0].tenant != *tenant)) {
    return fail(ErrorKind::kNotFound, fmt::format("there is no lesson {}; `understudy lessons list` shows them", lesson_id));
  }
  STORE_TRY(add_uses(*snapshot, found));
  return std::move(found[0]);
}

Result<std::vector<std::string>> StoreReader::lesson_ids() {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  STORE_TRY_ASSIGN(auto ids, in_tail(*snapshot));
  STORE_TRY_ASSIGN(Statement row, snapshot->main().prepare("SELECT lesson_id FROM lessons"));
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (!more) return std::vector<std::string>(ids.begin(), ids.end());
    ids.insert(row.text(0));
  }
}

Result<LessonTotals> StoreReader::lesson_totals() {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  STORE_TRY_ASSIGN(const auto newer, in_tail(*snapshot));
  std::map<std::string, std::int64_t, std::less<>> by_state;
  LessonTotals totals;
  for (Database* db : snapshot->databases()) {
    STORE_TRY_ASSIGN(Statement row, db->prepare("SELECT (SELECT text FROM names WHERE id = state), count(*) FROM lessons GROUP BY state"));
    for (;;) {
      STORE_TRY_ASSIGN(const bool more, row.step());
      if (!more) break;
      by_state[row.text(0)] += row.integer(1);
    }
    STORE_TRY_ASSIGN(Statement spent, db->prepare("SELECT sum(cost_usd), sum(cost_pico) FROM request_sums WHERE served_by = ?"));
    spent.bind(1, kServedByLessons);
    STORE_TRY_ASSIGN(const bool row_there, spent.step());
    if (row_there) totals.spent += PicousdSum{Int128{spent.integer(0)} * kPicousdPerUsd + spent.integer(1)};
  }
  // What the tail knows better stands in both: its older state is taken away again.
  if (!newer.empty()) {
    STORE_TRY_ASSIGN(Statement old, snapshot->main().prepare("SELECT (SELECT text FROM names WHERE id = state) FROM lessons WHERE lesson_id = ?"));
    for (const std::string& id : newer) {
      old.bind(1, std::string_view(id));
      STORE_TRY_ASSIGN(const bool there, old.step());
      if (!there) continue;
      --by_state[old.text(0)];
      old.reset();
    }
  }
  totals.candidate = by_state["candidate"];
  totals.active = by_state["active"];
  totals.retired = by_state["retired"];
  return totals;
}

Result<PicousdSum> StoreReader::lesson_spend(WallTime since) {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  PicousdSum spent;
  for (const Database* db : snapshot->databases()) {
    STORE_TRY_ASSIGN(Statement row, db->prepare("SELECT sum(cost_usd), sum(cost_pico) FROM request_sums WHERE served_by = ?1 AND hour >= ?2"));
    row.bind(1, kServedByLessons).bind(2, hour_of(since.us));
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (more) spent += PicousdSum{Int128{row.integer(0)} * kPicousdPerUsd + row.integer(1)};
  }
  return spent;
}

Result<std::vector<PromptUse>> StoreReader::recent_prompts(std::uint32_t requests) {
  // Without the journal's tail: what is asked is a trend, and it is asked again soon.
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take_without_tail(impl_->db));
  STORE_TRY_ASSIGN(Statement row, snapshot->main().prepare(
      "SELECT (SELECT text FROM names WHERE id = tenant), (SELECT text FROM names WHERE id = cascade), (SELECT text FROM names WHERE id = "
      "task), prompt_hash, count(*) FROM (SELECT tenant, cascade, task, prompt_hash FROM requests WHERE (flags & 1) = 1 AND prompt_hash IS NOT "
      "NULL ORDER BY id DESC LIMIT ?) GROUP BY tenant, cascade, task, prompt_hash"));
  row.bind(1, std::int64_t{requests});
  std::vector<PromptUse> all;
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (!more) return all;
    all.push_back({row.text(0), row.text(1), row.text(2), static_cast<std::uint64_t>(row.integer(3)), row.integer(4)});
  }
}

}  // namespace understudy::store
