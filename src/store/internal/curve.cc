// StoreReader::curves: sums over buckets of time or of equally many requests, from the hourly sums or from the requests themselves.
#include "store/curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "store/internal/reader.h"
#include "store/internal/schema.h"
#include "store/internal/sums.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000, kHourUs = 3'600 * kSecondUs;
constexpr std::int64_t kMostRowsByTime = 5'000'000;
constexpr std::int64_t kMostRowsByRequests = 20'000'000;
/// Rows are numbered as they arrive in SQLite; reactors' clocks and batches may put them out of order by less than this.
constexpr std::int64_t kDisorderUs = kHourUs;
/// Requests that are only in the journal's tail come behind all others.
constexpr std::int64_t kTailBase = std::int64_t{1} << 62;

constexpr std::int64_t kLeastWidthUs = 10'000;
/// Widths of buckets that people can read off an axis.
constexpr std::int64_t kWidths[] = {kLeastWidthUs, 20'000, 50'000, 100'000, 200'000, 500'000, kSecondUs, 2 * kSecondUs, 5 * kSecondUs, 10 * kSecondUs, 15 * kSecondUs, 30 * kSecondUs,
                                    60 * kSecondUs, 120 * kSecondUs, 300 * kSecondUs, 600 * kSecondUs, 900 * kSecondUs, 1'800 * kSecondUs, kHourUs, 2 * kHourUs, 3 * kHourUs, 6 * kHourUs,
                                    12 * kHourUs, 24 * kHourUs, 48 * kHourUs, 168 * kHourUs, 336 * kHourUs, 672 * kHourUs};

std::int64_t floor_to(std::int64_t value, std::int64_t width) { return value / width * width; }

/// The least width, at least `least`, for which [first, last] takes at most `points` buckets.
std::int64_t width_for(std::int64_t first_us, std::int64_t last_us, std::int64_t least_us, std::int64_t points) {
  const auto fits = [&](std::int64_t width) { return (floor_to(last_us, width) - floor_to(first_us, width)) / width + 1 <= points; };
  for (const std::int64_t width : kWidths) {
    if (width >= least_us && fits(width)) return width;
  }
  std::int64_t width = kWidths[std::size(kWidths) - 1];
  while (!fits(width)) width *= 2;
  return width;
}

/// What buckets are.
struct Plan {
  bool by_requests = false;
  std::int64_t from_us = 0, width_us = 1;   ///< by time
  std::int64_t count = 0;                   ///< most buckets
  std::int64_t since_us = INT64_MIN, until_us = INT64_MAX;
  bool covers(std::int64_t time_us) const { return time_us >= since_us && time_us < until_us; }
};

/// One task's buckets as they fill.
struct Filling {
  std::vector<CurvePoint> points;
  std::vector<std::int64_t> first_position;   ///< by requests: of each bucket
  std::int64_t in_bucket = 1;                 ///< by requests: how many go into one
  std::int64_t requests = 0;
  /// How many requests of which hour lie in which bucket: the latest are at the end.
  struct OfHour {
    std::int64_t hour = 0;
    std::size_t bucket = 0;
    std::int64_t requests = 0;
  };
  std::vector<OfHour> hours;

  CurvePoint& begin_request(const Plan& plan, std::int64_t position, std::int64_t time_us) {
    const bool begins = plan.by_requests && requests % in_bucket == 0 && static_cast<std::int64_t>(points.size()) < plan.count;
    ++requests;
    if (begins) {
      points.emplace_back().from = WallTime{time_us};
      first_position.push_back(position);
    }
    const std::size_t bucket = index_at(plan, position, time_us);
    if (hours.empty() || hours.back().hour != hour_of(time_us) || hours.back().bucket != bucket) hours.push_back({hour_of(time_us), bucket, 0});
    ++hours.back().requests;
    CurvePoint& point = points[bucket];
    if (plan.by_requests) {
      point.from.us = std::min(point.from.us, time_us);
      point.to.us = std::max(point.to.us, time_us + 1);
    }
    return point;
  }
  CurvePoint& at(const Plan& plan, std::int64_t position, std::int64_t time_us) { return points[index_at(plan, position, time_us)]; }
  std::size_t index_at(const Plan& plan, std::int64_t position, std::int64_t time_us) {
    if (plan.by_requests) {
      const auto behind = std::upper_bound(first_position.begin(), first_position.end(), position);
      return static_cast<std::size_t>(std::max<std::ptrdiff_t>(behind - first_position.begin() - 1, 0));
    }
    if (points.empty()) points.resize(static_cast<std::size_t>(plan.count));
    return static_cast<std::size_t>(std::clamp<std::int64_t>((time_us - plan.from_us) / plan.width_us, 0, plan.count - 1));
  }

  /// Shares what was spent on lessons in an hour among the buckets by their requests of that hour; without any, the last bucket
  /// that begins before the hour's end has it all.
  void add_lessons(std::int64_t hour, Int128 spent) {
    Int128 whole = 0, given = 0;
    for (const OfHour& h : hours) whole += h.hour == hour ? h.requests : 0;
    std::size_t last = 0;
    for (std::size_t i = 0; i < points.size(); ++i) last = points[i].from.us < (hour + 1) * kHourUs ? i : last;
    for (const OfHour& h : hours) {
      if (h.hour != hour) continue;
      const Int128 part = spent * h.requests / whole;
      add_lesson_cost(points[h.bucket], part);
      given += part;
      last = h.bucket;
    }
    add_lesson_cost(points[last], spent - given);
  }
  static void add_lesson_cost(CurvePoint& point, Int128 spent) {
    point.cost.value += spent;
    point.lesson_cost.value += spent;
  }
};

void add_label(CurvePoint& point, double propensity, bool agrees) {
  const double p = propensity > 0 && propensity <= 1 ? propensity : 1;
  auto it = std::find_if(point.labels.begin(), point.labels.end(), [&](const CurveLabels& l) { return l.propensity >= p; });
  if (it == point.labels.end() || it->propensity != p) it = point.labels.insert(it, CurveLabels{p, 0, 0});
  ++it->n;
  it->agree += agrees;
}

void add_served(CurvePoint& point, std::int64_t served_by, std::int64_t n) {
  point.requests += n;
  if (served_by >= 0 && served_by < static_cast<std::int64_t>(kStageCount)) point.served_by[static_cast<std::size_t>(served_by)] += n;
  if (served_by == kServedByNobody) point.failed += n;
}

bool is_cheap(std::int64_t served_by) { return served_by >= 0 && served_by < static_cast<std::int64_t>(Stage::kTeacher); }

/// The least id of a row whose time is at or after `time_us`, as far as rows are in order.
Result<std::int64_t> first_row_since(const Database& db, const char* table, std::int64_t time_us) {
  STORE_TRY_ASSIGN(const auto least, db.integer(fmt::format("SELECT min(id) FROM {}", table)));
  STORE_TRY_ASSIGN(const auto most, db.integer(fmt::format("SELECT max(id) FROM {}", table)));
  if (!least || time_us == INT64_MIN) return least.value_or(0);
  STORE_TRY_ASSIGN(Statement next, db.prepare(fmt::format("SELECT id, time_us FROM {} WHERE id >= ? ORDER BY id LIMIT 1", table)));
  std::int64_t low = *least, high = *most + 1;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    next.bind(1, middle);
    STORE_TRY_ASSIGN(const bool row, next.step());
    const bool at_or_after = row && next.integer(1) >= time_us;
    const std::int64_t id = row ? next.integer(0) : high;
    next.reset();
    at_or_after ? high = middle : low = std::max(id, middle) + 1;
  }
  return low;
}

class CurveBuilder {
 public:
  CurveBuilder(Snapshot& snapshot, const CurveQuery& query) : snapshot_(snapshot), query_(query) {
    plan_.count = static_cast<std::int64_t>(std::clamp<std::size_t>(query.points, 1, 1000));
    plan_.by_requests = query.by_requests;
    if (query.since) plan_.since_us = query.since->us;
    if (query.until) plan_.until_us = query.until->us;
  }
  Result<std::vector<TaskCurve>> build();

 private:
  /// What is needed of a request to place what hangs on it.
  struct Placed {
    std::int64_t position = 0, time_us = 0;
    std::int64_t served_by = kServedByNobody;
    Filling* filling = nullptr;
    std::string served_rung;
  };
  using Fillings = std::unordered_map<std::int64_t, Filling*>;   ///< by a database's number of the task

  Result<void> read_span();
  Result<bool> plan_rows();
  void plan_hours();
  Result<void> read_hours(Database& db);
  Result<void> read_rows();
  Result<void> read_tail();
  Result<void> read_labels(Database& db);
  Result<void> read_lessons();
  Result<Statement> prepare_place(Database& db) const;
  Result<std::optional<Placed>> place(Database& db, Statement& row, std::string_view request_id);
  Result<Filling*> filling_of(Database& db, std::int64_t task);
  CurvePoint* add_request(const Statement& row, std::int64_t position, Filling* filling);
  Result<void> add_calls(Statement& calls, std::int64_t row, CurvePoint& point);
  void put_times();
  std::vector<TaskCurve> take();

  Result<Statement> prepare(const Database& db, const std::string& sql, const char* task_column = "task") const {
    const std::string only = !query_.task ? "" : query_.task->empty() ? fmt::format(" AND coalesce({}, 0) = 0", task_column) : fmt::format(" AND {} = (SELECT id FROM names WHERE text = ?1)", task_column);
    STORE_TRY_ASSIGN(Statement statement, db.prepare(sql + only));
    if (query_.task && !query_.task->empty()) statement.bind(1, std::string_view(*query_.task));
    return statement;
  }

  Snapshot& snapshot_;
  const CurveQuery& query_;
  Plan plan_;
  std::int64_t first_hour_ = INT64_MAX, last_hour_ = INT64_MIN;
  std::map<std::string, std::int64_t> counted_;   ///< requests by task, by the sums of all hours that the period touches
  std::map<std::string, Filling> fillings_;
  std::map<const Database*, Fillings> by_number_;
  bool hourly_ = false;
  std::int64_t first_row_ = 0;
};

Result<Filling*> CurveBuilder::filling_of(Database& db, std::int64_t task) {
  Fillings& known = by_number_[&db];
  if (const auto it = known.find(task); it != known.end()) return it->second;
  std::string name;
  STORE_TRY_ASSIGN(Statement row, db.prepare("SELECT text FROM names WHERE id = ?"));
  row.bind(1, task);
  STORE_TRY_ASSIGN(const bool found, row.step());
  if (found) name = row.text(0);
  Filling& filling = fillings_[name];
  if (const auto n = counted_.find(name); n != counted_.end()) filling.in_bucket = std::max<std::int64_t>((n->second + plan_.count - 1) / plan_.count, 1);
  known.emplace(task, &filling);
  return &filling;
}

Result<void> CurveBuilder::read_span() {
  for (Database* db : snapshot_.databases()) {
    STORE_TRY_ASSIGN(Statement row, prepare(*db, "SELECT hour, (SELECT text FROM names WHERE id = task), requests FROM request_sums WHERE requests > 0"));
    for (;;) {
      STORE_TRY_ASSIGN(const bool more, row.step());
      if (!more) break;
      const std::int64_t hour = row.integer(0);
      if ((hour + 1) * kHourUs <= plan_.since_us || hour * kHourUs >= plan_.until_us) continue;
      first_hour_ = std::min(first_hour_, hour);
      last_hour_ = std::max(last_hour_, hour);
      counted_[row.text(1)] += row.integer(2);
    }
  }
  return {};
}

/// Buckets over the requests themselves; false where none of them is left (deleted).
Result<bool> CurveBuilder::plan_rows() {
  std::int64_t first = INT64_MAX, last = INT64_MIN;
  for (Database* db : snapshot_.databases()) {
    const bool in_main = db == &snapshot_.main();
    for (const bool forward : {true, false}) {
      STORE_TRY_ASSIGN(Statement row, [&]() -> Result<Statement> {
        const std::string where = fmt::format("SELECT time_us FROM requests WHERE id >= {} AND (flags & 1) = 1 AND time_us >= {} AND time_us < {}", in_main ? first_row_ : 0, plan_.since_us, plan_.until_us);
        const std::string only = !query_.task ? "" : query_.task->empty() ? " AND coalesce(task, 0) = 0" : " AND task = (SELECT id FROM names WHERE text = ?1)";
        STORE_TRY_ASSIGN(Statement s, db->prepare(where + only + fmt::format(" ORDER BY id {} LIMIT 1", forward ? "ASC" : "DESC")));
        if (query_.task && !query_.task->empty()) s.bind(1, std::string_view(*query_.task));
        return s;
      }());
      STORE_TRY_ASSIGN(const bool found, row.step());
      if (!found) continue;
      first = std::min(first, row.integer(0));
      last = std::max(last, row.integer(0));
    }
  }
  if (first > last) return false;
  plan_.width_us = width_for(first, last, kLeastWidthUs, plan_.count);
  plan_.from_us = floor_to(first, plan_.width_us);
  if (!plan_.by_requests) plan_.count = (floor_to(last, plan_.width_us) - plan_.from_us) / plan_.width_us + 1;
  return true;
}

void CurveBuilder::plan_hours() {
  hourly_ = true;
  plan_.by_requests = false;
  const std::int64_t first = first_hour_ * kHourUs, last = last_hour_ * kHourUs;
  plan_.width_us = width_for(first, last, kHourUs, plan_.count);
  plan_.from_us = floor_to(first, plan_.width_us);
  plan_.count = (floor_to(last, plan_.width_us) - plan_.from_us) / plan_.width_us + 1;
  plan_.since_us = first;
  plan_.until_us = last + kHourUs;
}

Result<void> CurveBuilder::read_hours(Database& db) {
  const auto inside = [&](std::int64_t hour) { return plan_.covers(hour * kHourUs); };
  STORE_TRY_ASSIGN(Statement row, prepare(db, "SELECT hour, task, served_by, requests, escalated, coins, cost_usd, cost_pico, cost_unknown, teacher_usd, teacher_pico, "
                                              "teacher_unknown, teacher_estimated FROM request_sums WHERE served_by <> -2"));
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (!more) break;
    if (!inside(row.integer(0))) continue;
    STORE_TRY_ASSIGN(Filling * filling, filling_of(db, row.integer(1)));
    if (row.integer(2) == kServedByLessons) {
      Filling::add_lesson_cost(filling->at(plan_, 0, row.integer(0) * kHourUs), MoneyParts{row.integer(6), row.integer(7)}.value());
      continue;
    }
    filling->requests += row.integer(3);
    CurvePoint& point = filling->at(plan_, 0, row.integer(0) * kHourUs);
    add_served(point, row.integer(2), row.integer(3));
    point.escalated += row.integer(4);
    point.coins += row.integer(5);
    point.cost += PicousdSum{MoneyParts{row.integer(6), row.integer(7)}.value()};
    point.cost_unknown += row.integer(8);
    point.teacher_cost += PicousdSum{MoneyParts{row.integer(9), row.integer(10)}.value()};
    point.teacher_cost_unknown += row.integer(11);
    point.teacher_cost_estimated += row.integer(12);
  }
  STORE_TRY_ASSIGN(Statement calls, prepare(db, "SELECT hour, task, calls FROM attempt_sums WHERE stage = 4"));
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, calls.step());
    if (!more) return {};
    if (!inside(calls.integer(0))) continue;
    STORE_TRY_ASSIGN(Filling * filling, filling_of(db, calls.integer(1)));
    filling->at(plan_, 0, calls.integer(0) * kHourUs).teacher_calls += calls.integer(2);
  }
}

constexpr const char* kRequestColumns = "SELECT id, time_us, flags, coalesce(task, 0), served_by, cost, teacher_cost, agrees, coin_probability, "
                                        "CASE WHEN agrees IS NOT NULL THEN (SELECT text FROM names WHERE id = label_source) END FROM requests ";

/// Adds a row of kRequestColumns; nullptr where it lies outside the period.
CurvePoint* CurveBuilder::add_request(const Statement& row, std::int64_t position, Filling* filling) {
  const std::int64_t time_us = row.integer(1), flags = row.integer(2);
  if (!plan_.covers(time_us)) return nullptr;
  CurvePoint& point = filling->begin_request(plan_, position, time_us);
  const std::int64_t served_by = row.is_null(4) ? kServedByNobody : row.integer(4);
  add_served(point, served_by, 1);
  point.escalated += (flags & kEscalated) != 0;
  point.coins += (flags & kCoinHeads) != 0;
  row.is_null(5) ? void(++point.cost_unknown) : void(point.cost += Picousd{row.integer(5)});
  if (row.is_null(6)) {
    ++point.teacher_cost_unknown;
  } else {
    point.teacher_cost += Picousd{row.integer(6)};
    point.teacher_cost_estimated += (flags & kTeacherCostEstimated) != 0;
  }
  if (!row.is_null(7) && is_cheap(served_by) && row.bytes(9) == "coin") add_label(point, row.real(8), row.integer(7) != 0);
  return &point;
}

/// Adds the calls under the cursor that belong to a request: columns id, flags, stage, cost.
void add_call(const Statement& call, CurvePoint& point) {
  point.teacher_calls += call.integer(2) == static_cast<std::int64_t>(Stage::kTeacher);
  // A call on the path is in its request's cost already.
  if ((call.integer(1) & kOffPath) != 0 && !call.is_null(3)) point.cost += Picousd{call.integer(3)};
}

Result<void> CurveBuilder::add_calls(Statement& calls, std::int64_t row, CurvePoint& point) {
  calls.bind(1, row * kAttemptsPerRequest).bind(2, (row + 1) * kAttemptsPerRequest);
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, calls.step());
    if (!more) return {};
    add_call(calls, point);
  }
}

Result<void> CurveBuilder::read_rows() {
  Database& main = snapshot_.main();
  STORE_TRY_ASSIGN(Statement row, prepare(main, fmt::format("{}WHERE id >= {} AND (flags & 1) = 1", kRequestColumns, first_row_)));
  STORE_TRY_ASSIGN(Statement calls, main.prepare(fmt::format("SELECT id, flags, stage, cost FROM attempts WHERE id >= {} AND (stage = 4 OR (flags & 1) = 1)", first_row_ * kAttemptsPerRequest)));
  STORE_TRY_ASSIGN(bool more_calls, calls.step());
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (!more) return read_tail();
    const std::int64_t id = row.integer(0);
    STORE_TRY_ASSIGN(Filling * filling, filling_of(main, row.integer(3)));
    CurvePoint* point = add_request(row, id, filling);
    // Both come in the order of the request's row.
    while (more_calls && calls.integer(0) < (id + 1) * kAttemptsPerRequest) {
      if (point != nullptr && calls.integer(0) >= id * kAttemptsPerRequest) add_call(calls, *point);
      STORE_TRY_ASSIGN(more_calls, calls.step());
    }
  }
}

Result<void> CurveBuilder::read_tail() {
  Database* tail = snapshot_.tail();
  if (tail == nullptr) return {};
  constexpr std::string_view kCalls = "SELECT id, flags, stage, cost FROM attempts WHERE id >= ?1 AND id < ?2 AND (stage = 4 OR (flags & 1) = 1)";
  STORE_TRY_ASSIGN(Statement main_calls, snapshot_.main().prepare(kCalls));
  STORE_TRY_ASSIGN(Statement tail_calls, tail->prepare(kCalls));
  STORE_TRY_ASSIGN(Statement row, prepare(*tail, std::string(kRequestColumns) + "WHERE (flags & 1) = 1"));
  const auto& continues = snapshot_.overlay().continues;
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, row.step());
    if (!more) break;
    const std::int64_t id = row.integer(0);
    STORE_TRY_ASSIGN(Filling * filling, filling_of(*tail, row.integer(3)));
    CurvePoint* point = add_request(row, kTailBase + id, filling);
    if (point == nullptr) continue;
    STORE_TRY(add_calls(tail_calls, id, *point));
    if (const auto parent = continues.find(id); parent != continues.end()) STORE_TRY(add_calls(main_calls, parent->second, *point));
  }
  // Calls for labels whose request had ended before.
  STORE_TRY_ASSIGN(Statement ended, prepare(snapshot_.main(), "SELECT time_us, coalesce(task, 0) FROM requests WHERE id = ?2 AND (flags & 1) = 1"));
  for (const auto& [tail_row, main_row] : continues) {
    ended.bind(2, main_row);
    STORE_TRY_ASSIGN(const bool found, ended.step());
    if (!found) continue;
    const std::int64_t time_us = ended.integer(0), task = ended.integer(1);
    ended.reset();
    if (!plan_.covers(time_us)) continue;
    STORE_TRY_ASSIGN(Filling * filling, filling_of(snapshot_.main(), task));
    if (filling->requests > 0) STORE_TRY(add_calls(tail_calls, tail_row, filling->at(plan_, main_row, time_us)));
  }
  return {};
}

Result<void> CurveBuilder::read_lessons() {
  std::map<std::pair<Filling*, std::int64_t>, Int128> spent;   // by hour, over both databases
  for (Database* db : snapshot_.databases()) {
    STORE_TRY_ASSIGN(Statement row, prepare(*db, "SELECT hour, task, cost_usd, cost_pico FROM request_sums WHERE served_by = -3"));
    for (;;) {
      STORE_TRY_ASSIGN(const bool more, row.step());
      if (!more) break;
      const std::int64_t hour = row.integer(0);
      if ((hour + 1) * kHourUs <= plan_.since_us || hour * kHourUs >= plan_.until_us) continue;
      STORE_TRY_ASSIGN(Filling * filling, filling_of(*db, row.integer(1)));
      if (filling->requests > 0) spent[{filling, hour}] += MoneyParts{row.integer(2), row.integer(3)}.value();
    }
  }
  for (const auto& [where, cost] : spent) where.first->add_lessons(where.second, cost);
  return {};
}

Result<Statement> CurveBuilder::prepare_place(Database& db) const {
  return prepare(db, "SELECT id, time_us, coalesce(task, 0), served_by, (SELECT (SELECT text FROM names WHERE id = a.rung) FROM attempts a WHERE a.id >= r.id * 1024 AND "
                     "a.id < (r.id + 1) * 1024 AND (a.flags & 2) = 2 LIMIT 1) FROM requests r WHERE id = (SELECT max(id) FROM requests WHERE request_id = ?2 AND (flags & 1) = 1)");
}

/// The newest request with this id in one database; nullopt where there is none (of the task).
Result<std::optional<CurveBuilder::Placed>> CurveBuilder::place(Database& db, Statement& row, std::string_view request_id) {
  std::optional<Placed> placed;
  row.bind(2, request_id);
  STORE_TRY_ASSIGN(const bool found, row.step());
  if (!found) return placed;
  placed.emplace();
  placed->position = row.integer(0) + (&db == &snapshot_.main() ? 0 : kTailBase);
  placed->time_us = row.integer(1);
  if (!row.is_null(3)) placed->served_by = row.integer(3);
  placed->served_rung = row.text(4);
  const std::int64_t task = row.integer(2);
  row.reset();
  STORE_TRY_ASSIGN(placed->filling, filling_of(db, task));
  return placed;
}

Result<void> CurveBuilder::read_labels(Database& db) {
  const std::int64_t since = plan_.since_us == INT64_MIN ? INT64_MIN : plan_.since_us - kDisorderUs;
  STORE_TRY_ASSIGN(const std::int64_t first, first_row_since(db, "labels", &db == &snapshot_.main() ? since : INT64_MIN));
  STORE_TRY_ASSIGN(Statement label, db.prepare(fmt::format("SELECT request_id, agrees, propensity, stage, (SELECT text FROM names WHERE id = rung) FROM labels WHERE id >= {} AND "
                                                           "source = (SELECT id FROM names WHERE text = 'coin') AND stage <> 4", first)));
  STORE_TRY_ASSIGN(Statement own, prepare_place(db));
  STORE_TRY_ASSIGN(Statement in_main, prepare_place(snapshot_.main()));
  for (;;) {
    STORE_TRY_ASSIGN(const bool more, label.step());
    if (!more) return {};
    // A label comes after its request: what is in the database has its request there.
    STORE_TRY_ASSIGN(auto placed, place(db, own, label.bytes(0)));
    if (!placed && &db != &snapshot_.main()) {
      STORE_TRY_ASSIGN(placed, place(snapshot_.main(), in_main, label.bytes(0)));
    }
    if (!placed || !plan_.covers(placed->time_us) || !is_cheap(placed->served_by) || placed->served_by != label.integer(3) || placed->filling->requests == 0) continue;
    const std::string_view rung = label.bytes(4);
    if (!rung.empty() && !placed->served_rung.empty() && rung != placed->served_rung) continue;   // another rung's answer
    add_label(placed->filling->at(plan_, placed->position, placed->time_us), label.real(2), label.integer(1) != 0);
  }
}

/// Buckets of time get theirs; those of requests have it from their requests.
void CurveBuilder::put_times() {
  if (plan_.by_requests) return;
  for (auto& [task, filling] : fillings_) {
    for (std::size_t i = 0; i < filling.points.size(); ++i) {
      filling.points[i].from = WallTime{plan_.from_us + static_cast<std::int64_t>(i) * plan_.width_us};
      filling.points[i].to = WallTime{filling.points[i].from.us + plan_.width_us};
    }
  }
}

std::vector<TaskCurve> CurveBuilder::take() {
  std::vector<std::pair<std::int64_t, TaskCurve>> curves;
  for (auto& [task, filling] : fillings_) {
    if (filling.requests == 0) continue;
    std::vector<CurvePoint>& points = filling.points;
    if (!plan_.by_requests) {
      const auto empty = [](const CurvePoint& p) { return p.requests == 0 && p.teacher_calls == 0 && p.cost.value == 0; };
      while (empty(points.back())) points.pop_back();
      points.erase(points.begin(), std::find_if_not(points.begin(), points.end(), empty));
    }
    curves.emplace_back(filling.requests, TaskCurve{task, std::move(points), hourly_});
  }
  std::stable_sort(curves.begin(), curves.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<TaskCurve> out;
  for (auto& [requests, curve] : curves) out.push_back(std::move(curve));
  return out;
}

Result<std::vector<TaskCurve>> CurveBuilder::build() {
  STORE_TRY(read_span());
  if (counted_.empty()) return std::vector<TaskCurve>();
  const std::int64_t since = plan_.since_us == INT64_MIN ? INT64_MIN : plan_.since_us - kDisorderUs;
  STORE_TRY_ASSIGN(first_row_, first_row_since(snapshot_.main(), "requests", since));
  STORE_TRY_ASSIGN(const auto last_row, snapshot_.main().integer("SELECT max(id) FROM requests"));
  const std::int64_t rows = last_row.value_or(0) - first_row_ + 1;   // to read, of whatever task
  if (plan_.by_requests && rows > kMostRowsByRequests) {
    return fail(ErrorKind::kUsage, fmt::format("{} requests lie in this period: too many to cut it by requests (20 million at most); narrow it with since, or cut it by time", rows));
  }
  const bool fine = last_hour_ - first_hour_ < plan_.count && rows <= kMostRowsByTime;
  bool by_rows = plan_.by_requests || fine;
  if (by_rows) {
    STORE_TRY_ASSIGN(by_rows, plan_rows());
  }
  if (by_rows) {
    STORE_TRY(read_rows());
    put_times();
    STORE_TRY(read_lessons());
  } else {
    plan_hours();
    for (Database* db : snapshot_.databases()) STORE_TRY(read_hours(*db));
    put_times();
  }
  for (Database* db : snapshot_.databases()) STORE_TRY(read_labels(*db));
  return take();
}

}  // namespace

Result<std::vector<TaskCurve>> StoreReader::curves(const CurveQuery& query) {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  return CurveBuilder(*snapshot, query).build();
}

}  // namespace understudy::store
