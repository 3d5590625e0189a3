#include "store/internal/shadow.h"

#include <algorithm>
#include <map>

#include "store/internal/schema.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

/// Status stays quick however large the store is.
constexpr std::int64_t kNewestRequests = 100'000;

}  // namespace

Result<void> add_shadow(Database& db, std::vector<ShadowTotals>& totals) {
  STORE_TRY_ASSIGN(const auto mode, db.integer("SELECT id FROM names WHERE text = 'shadow'"));
  if (!mode) return {};
  STORE_TRY_ASSIGN(const auto newest, db.integer("SELECT max(id) FROM requests"));
  STORE_TRY_ASSIGN(
      Statement row,
      // A request counts once: with the student rung that was asked first, not with those after it on the ladder. Its label is
      // the one of that rung; records of versions without ladders name none.
      db.prepare("SELECT (SELECT text FROM names WHERE id = r.task), r.threshold, r.teacher_cost, r.flags, a.status, a.confidence, a.cost, "
                 "a.flags, (SELECT l.agrees FROM labels l WHERE l.request_id = r.request_id AND l.source = ?2 AND l.stage = a.stage "
                 "AND (l.rung IS NULL OR a.rung IS NULL OR l.rung = a.rung) ORDER BY l.id LIMIT 1) "
                 "FROM requests r JOIN attempts a ON a.id >= r.id * 1024 AND a.id < (r.id + 1) * 1024 "
                 "WHERE r.id > ?1 AND r.mode = ?2 AND (r.flags & 1) = 1 AND r.served_by = 4 AND r.threshold IS NOT NULL "
                 "AND a.stage = 3 AND (a.flags & 1) = 1 AND NOT EXISTS (SELECT 1 FROM attempts b WHERE b.id >= r.id * 1024 AND b.id < a.id "
                 "AND b.stage = 3 AND (b.flags & 1) = 1 AND b.rung IS NOT a.rung)"));
  row.bind(1, newest.value_or(0) - kNewestRequests).bind(2, *mode);
  std::map<std::string, ShadowTotals> tasks;
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (!more) break;
    ShadowTotals& t = tasks[row.text(0)];
    ++t.requests;
    const bool answered = row.integer(4) == 200;
    const bool serves = answered && !row.is_null(5) && row.real(5) >= row.real(1);
    t.would_serve += serves;
    if (serves && !row.is_null(8)) {
      ++t.judged;
      t.agree += row.integer(8) != 0;
    }
    if (row.is_null(2) || row.is_null(6)) {
      ++t.cost_unknown;
      continue;
    }
    const Picousd teacher{row.integer(2)};
    t.teacher_cost += teacher;
    t.live_cost += Picousd{row.integer(6)};
    if (!serves) t.live_cost += teacher;
    t.estimated = t.estimated || (row.integer(3) & kTeacherCostEstimated) != 0 || (row.integer(7) & kUsageEstimated) != 0;
  }
  for (auto& [task, found] : tasks) {
    const auto it = std::find_if(totals.begin(), totals.end(), [&name = task](const ShadowTotals& t) { return t.task == name; });
    if (it != totals.end()) {
      it->add(found);
    } else {
      found.task = task;
      totals.push_back(std::move(found));
    }
  }
  return {};
}

void ShadowTotals::add(const ShadowTotals& other) {
  requests += other.requests;
  would_serve += other.would_serve;
  judged += other.judged;
  agree += other.agree;
  teacher_cost += other.teacher_cost;
  live_cost += other.live_cost;
  cost_unknown += other.cost_unknown;
  estimated = estimated || other.estimated;
}

}  // namespace understudy::store
