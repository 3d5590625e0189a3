// StoreReader::status: adds up the hourly sums of the database and of the journal's tail.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "store/internal/files.h"
#include "store/internal/maintenance.h"
#include "store/internal/reader.h"
#include "store/internal/schema.h"
#include "store/internal/shadow.h"
#include "store/internal/sums.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

constexpr std::size_t kAlarms = 20;

PicousdSum money(const Statement& row, int usd_column) {
  return {MoneyParts{row.integer(usd_column), row.integer(usd_column + 1)}.value()};
}

struct TaskSums {
  Totals all, last_24h;
};

/// Gathers from one database after the other.
class StatusBuilder {
 public:
  explicit StatusBuilder(std::int64_t first_recent_hour) : recent_(first_recent_hour) {}

  Result<void> add(Database& db) {
    STORE_TRY(add_requests(db));
    STORE_TRY(add_attempts(db));
    return add_labels(db);
  }
  void finish(Status& status);

 private:
  Result<void> add_requests(Database& db);
  Result<void> add_attempts(Database& db);
  Result<void> add_labels(Database& db);
  Result<Statement> prepare(Database& db, std::string_view sql) const {
    STORE_TRY_ASSIGN(Statement statement, db.prepare(sql));
    statement.bind(1, recent_);
    return statement;
  }
  /// Calls `change` for every Totals that a row of this task and age belongs to.
  template <typename Change>
  void for_totals(const std::string& task, bool recent, Change change) {
    TaskSums& sums = tasks_[task];
    change(sums.all);
    change(whole_.all);
    if (!recent) return;
    change(sums.last_24h);
    change(whole_.last_24h);
  }

  std::int64_t recent_;
  std::optional<std::int64_t> first_hour_;
  TaskSums whole_;
  std::map<std::string, TaskSums> tasks_;
  std::map<std::tuple<std::string, std::string, Stage>, ModelTotals> models_;
};

Result<void> StatusBuilder::add_requests(Database& db) {
  STORE_TRY_ASSIGN(
      Statement row,
      prepare(db,
              "SELECT (SELECT text FROM names WHERE id = task), hour >= ?1 AS recent, served_by, min(hour), sum(requests), "
              "sum(escalated), sum(coins), sum(client_gone), sum(cost_usd), sum(cost_pico), sum(cost_unknown), sum(teacher_usd), "
              "sum(teacher_pico), sum(teacher_unknown), sum(teacher_estimated), sum(saved_usd), sum(saved_pico), sum(saved_n), "
              "sum(latency_us), sum(overhead_us) FROM request_sums GROUP BY task, served_by, recent"));
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (!more) return {};
    const std::int64_t hour = row.integer(3);
    first_hour_ = std::min(first_hour_.value_or(hour), hour);
    for_totals(row.text(0), row.integer(1) != 0, [&](Totals& t) {
      const std::int64_t served_by = row.integer(2);
      const std::int64_t n = row.integer(4);
      t.requests += n;
      if (served_by >= 0 && served_by < static_cast<std::int64_t>(kStageCount)) t.served_by[static_cast<std::size_t>(served_by)] += n;
      if (served_by == kServedByNobody) t.failed += n;
      t.escalated += row.integer(5);
      t.coins += row.integer(6);
      t.client_gone += row.integer(7);
      t.cost += money(row, 8);
      t.cost_unknown += row.integer(10);
      t.teacher_cost += money(row, 11);
      t.teacher_cost_unknown += row.integer(13);
      t.teacher_cost_estimated += row.integer(14);
      t.saved += money(row, 15);
      t.saved_n += row.integer(17);
      t.latency_us += row.integer(18);
      t.overhead_us += row.integer(19);
    });
  }
}

Result<void> StatusBuilder::add_attempts(Database& db) {
  STORE_TRY_ASSIGN(
      Statement row,
      prepare(db,
              "SELECT (SELECT text FROM names WHERE id = task), hour >= ?1 AS recent, (SELECT text FROM names WHERE id = model), "
              "(SELECT text FROM names WHERE id = provider), stage, sum(calls), sum(errors), sum(off_path), sum(cost_usd), "
              "sum(cost_pico), sum(cost_unknown), sum(input), sum(cached_input), sum(cache_write_5m), sum(cache_write_1h), "
              "sum(output), sum(reasoning), sum(usage_unknown), sum(usage_estimated), sum(latency_us) FROM attempt_sums "
              "GROUP BY task, model, provider, stage, recent"));
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (!more) return {};
    const bool recent = row.integer(1) != 0;
    const std::int64_t stage_number = row.integer(4);
    if (stage_number < 0 || stage_number >= static_cast<std::int64_t>(kStageCount)) continue;
    const Stage stage = static_cast<Stage>(stage_number);
    if (stage == Stage::kTeacher) {
      for_totals(row.text(0), recent, [&](Totals& t) { t.teacher_calls += row.integer(5); });
    }
    ModelTotals& model = models_[{row.text(2), row.text(3), stage}];
    const auto add = [&](ModelSums& m) {
      m.calls += row.integer(5);
      m.errors += row.integer(6);
      m.off_path += row.integer(7);
      m.cost += money(row, 8);
      m.cost_unknown += row.integer(10);
      m.usage.input += row.integer(11);
      m.usage.cached_input += row.integer(12);
      m.usage.cache_write_5m += row.integer(13);
      m.usage.cache_write_1h += row.integer(14);
      m.usage.output += row.integer(15);
      m.usage.reasoning += row.integer(16);
      m.usage_unknown += row.integer(17);
      m.usage.estimated = m.usage.estimated || row.integer(18) > 0;
      m.latency_us += row.integer(19);
    };
    add(model.all);
    if (recent) add(model.last_24h);
  }
}

Result<void> StatusBuilder::add_labels(Database& db) {
  STORE_TRY_ASSIGN(Statement row, prepare(db,
                                          "SELECT (SELECT text FROM names WHERE id = task), hour >= ?1 AS recent, "
                                          "(SELECT text FROM names WHERE id = source), of_served, sum(n), sum(agree) FROM label_sums "
                                          "WHERE of_served <> 2 GROUP BY task, source, of_served, recent"));
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (!more) return {};
    for_totals(row.text(0), row.integer(1) != 0, [&](Totals& t) {
      const std::string source = row.text(2);
      const bool of_served = row.integer(3) != 0;
      auto it = std::find_if(t.labels.begin(), t.labels.end(),
                             [&](const LabelTotals& l) { return l.source == source && l.of_served == of_served; });
      if (it == t.labels.end()) it = t.labels.insert(it, LabelTotals{source, of_served, 0, 0});
      it->n += row.integer(4);
      it->agree += row.integer(5);
    });
  }
}

void StatusBuilder::finish(Status& status) {
  if (first_hour_) status.first_request = WallTime{*first_hour_ * 3'600'000'000};
  status.all = std::move(whole_.all);
  status.last_24h = std::move(whole_.last_24h);
  for (auto& [task, sums] : tasks_) {
    if (sums.all.requests > 0) status.tasks.push_back({task, std::move(sums.all), std::move(sums.last_24h)});
  }
  std::stable_sort(status.tasks.begin(), status.tasks.end(),
                   [](const TaskTotals& a, const TaskTotals& b) { return a.all.requests > b.all.requests; });
  for (auto& [key, model] : models_) {
    std::tie(model.model, model.provider, model.stage) = key;
    status.models.push_back(std::move(model));
  }
  std::stable_sort(status.models.begin(), status.models.end(),
                   [](const ModelTotals& a, const ModelTotals& b) { return a.all.calls > b.all.calls; });
}

Result<std::int64_t> meta(const Database& db, std::string_view key) {
  STORE_TRY_ASSIGN(Statement row, db.prepare("SELECT value FROM meta WHERE key = ?"));
  row.bind(1, key);
  STORE_TRY_ASSIGN(const bool found, row.step());
  return found ? row.integer(0) : 0;
}

Result<void> add_reservations(Database& db, const std::set<std::pair<std::string, int>>& settled, Status& status) {
  STORE_TRY_ASSIGN(Statement row, db.prepare("SELECT request_id, attempt, reserved FROM reservations"));
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (!more) return {};
    if (settled.contains({row.text(0), static_cast<int>(row.integer(1))})) continue;
    ++status.unsettled_reservations;
    if (!row.is_null(2)) status.unsettled += Picousd{row.integer(2)};
  }
}

Result<void> add_alarms(Database& db, Status& status) {
  STORE_TRY_ASSIGN(Statement row, db.prepare("SELECT time_us, name, subject, message FROM alarms ORDER BY id DESC LIMIT ?"));
  row.bind(1, static_cast<std::int64_t>(kAlarms));
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (!more) break;
    status.alarms.push_back({WallTime{row.integer(0)}, row.text(1), row.text(2), row.text(3)});
  }
  std::stable_sort(status.alarms.begin(), status.alarms.end(), [](const AlarmRecord& a, const AlarmRecord& b) { return a.time > b.time; });
  if (status.alarms.size() > kAlarms) status.alarms.resize(kAlarms);
  return {};
}

}  // namespace

Result<Status> StoreReader::status() {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  Status status;
  status.now = impl_->clock->wall();
  StatusBuilder builder(hour_of(status.now.us) - 23);
  const Importer::Overlay& overlay = snapshot->overlay();
  const std::set<std::pair<std::string, int>> settled(overlay.settled.begin(), overlay.settled.end());
  status.unfinished_requests = -overlay.replaces_unfinished;
  for (Database* db : snapshot->databases()) {
    STORE_TRY(builder.add(*db));
    STORE_TRY(add_reservations(*db, db == &snapshot->main() ? settled : decltype(settled){}, status));
    STORE_TRY(add_alarms(*db, status));
    STORE_TRY(add_shadow(*db, status.shadow));
    STORE_TRY_ASSIGN(const auto unfinished, db->integer("SELECT count(*) FROM requests WHERE (flags & 257) = 0"));
    status.unfinished_requests += unfinished.value_or(0);
    STORE_TRY_ASSIGN(const std::int64_t dropped, meta(*db, "records_dropped"));
    status.records_dropped += static_cast<std::uint64_t>(dropped);
    STORE_TRY_ASSIGN(const std::int64_t unreadable, meta(*db, "records_unreadable"));
    status.records_unreadable += static_cast<std::uint64_t>(unreadable);
  }
  builder.finish(status);
  STORE_TRY_ASSIGN(status.cut_off_requests, meta(snapshot->main(), "requests_cut_off"));
  STORE_TRY_ASSIGN(const std::int64_t bodies, meta(snapshot->main(), "bodies_bytes"));
  status.bodies_bytes = static_cast<std::uint64_t>(bodies);
  status.database_bytes = database_bytes(database_path(impl_->path));
  status.journal_events = snapshot->report().events;
  return status;
}

std::optional<double> Totals::teacher_share() const {
  if (requests == 0) return std::nullopt;
  return static_cast<double>(teacher_calls) / static_cast<double>(requests);
}

namespace {

LabelTotals unbiased(const std::vector<LabelTotals>& labels) {
  LabelTotals sum;
  for (const LabelTotals& l : labels) {
    if (!l.of_served || (l.source != "coin" && l.source != "shadow")) continue;
    sum.n += l.n;
    sum.agree += l.agree;
  }
  return sum;
}

}  // namespace

std::int64_t Totals::agreement_n() const { return unbiased(labels).n; }

std::optional<double> Totals::agreement() const {
  const LabelTotals sum = unbiased(labels);
  if (sum.n == 0) return std::nullopt;
  return static_cast<double>(sum.agree) / static_cast<double>(sum.n);
}

}  // namespace understudy::store
