#include "store/queries.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "store/internal/detail_reader.h"
#include "store/internal/files.h"
#include "store/internal/reader.h"
#include "store/internal/schema.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

constexpr std::int64_t kScanRows = 500;
constexpr std::size_t kScanBytes = std::size_t{16} << 20;
/// Rows are numbered as they arrive in SQLite; reactors' clocks and batches may put them out of order by less than this.
constexpr std::int64_t kDisorderUs = std::int64_t{3600} * 1'000'000;

/// Where a list goes on: below a row of the database, or before a moment (the page ended among events not yet there).
struct Cursor {
  std::optional<std::int64_t> row;
  std::int64_t time_us = 0;
  std::string request_id;
};

Result<Cursor> parse_cursor(const std::string& text) {
  Cursor cursor;
  const char* end = text.data() + text.size();
  if (text.size() > 1 && text[0] == 'r') {
    const auto read = std::from_chars(text.data() + 1, end, cursor.row.emplace());
    if (read.ec == std::errc{} && read.ptr == end) return cursor;
  } else if (text.size() > 1 && text[0] == 't') {
    const auto read = std::from_chars(text.data() + 1, end, cursor.time_us);
    if (read.ec == std::errc{} && read.ptr != end && *read.ptr == '-') {
      cursor.request_id.assign(read.ptr + 1, end);
      return cursor;
    }
  }
  return fail(ErrorKind::kInvalidRequest, "\"" + text + "\" is not a cursor that this store gave out", "cursor");
}

/// One list's SQL for one database.
class ListQuery {
 public:
  ListQuery(const RequestFilter& filter, const std::optional<Cursor>& cursor) : filter_(filter), cursor_(cursor) {}

  Result<Statement> prepare(const Database& db, bool by_time) const {
    std::string sql = "SELECT " + RecordReader::request_columns() + " FROM requests r WHERE (r.flags & 1) = 1";
    // The empty name has no row of its own: it is stored as 0 or as nothing.
    const auto name = [&](const char* column, const std::optional<std::string>& wanted) {
      if (!wanted) return;
      sql += wanted->empty() ? fmt::format(" AND coalesce(r.{}, 0) = 0", column) : fmt::format(" AND r.{} = (SELECT id FROM names WHERE text = ?)", column);
    };
    name("task", filter_.task);
    name("tenant", filter_.tenant);
    name("reason", filter_.reason);
    if (filter_.session) sql += " AND r.session = ?";
    if (filter_.served_by) sql += " AND r.served_by = ?";
    if (filter_.escalated) sql += " AND (r.flags & 2) = ?";
    if (filter_.until) sql += " AND r.time_us < ?";
    if (cursor_ && cursor_->row) sql += " AND r.id < ?";
    if (cursor_ && !cursor_->row) sql += " AND (r.time_us, r.request_id) < (?, ?)";
    sql += by_time ? " ORDER BY r.time_us DESC, r.request_id DESC" : " ORDER BY r.id DESC";
    STORE_TRY_ASSIGN(Statement statement, db.prepare(sql));
    int i = 0;
    for (const auto* text : {&filter_.task, &filter_.tenant, &filter_.reason}) {
      if (*text && !(*text)->empty()) statement.bind(++i, std::string_view(**text));
    }
    if (filter_.session) statement.bind(++i, std::string_view(*filter_.session));
    if (filter_.served_by) statement.bind(++i, static_cast<std::int64_t>(*filter_.served_by));
    if (filter_.escalated) statement.bind(++i, *filter_.escalated ? kEscalated : std::int64_t{0});
    if (filter_.until) statement.bind(++i, filter_.until->us);
    if (cursor_ && cursor_->row) statement.bind(++i, *cursor_->row);
    if (cursor_ && !cursor_->row) statement.bind(i + 1, cursor_->time_us).bind(i + 2, std::string_view(cursor_->request_id));
    return statement;
  }

 private:
  const RequestFilter& filter_;
  const std::optional<Cursor>& cursor_;
};

/// Filters that look at a request's calls and labels, which may lie in both databases.
class DetailFilter {
 public:
  static Result<DetailFilter> create(Snapshot& snapshot, const RequestFilter& filter) {
    DetailFilter made(filter);
    if (made.wanted()) {
      STORE_TRY_ASSIGN(made.details_, DetailReader::create(snapshot));
    }
    return made;
  }
  Result<bool> takes(std::int64_t row, bool in_tail) {
    if (!wanted()) return true;
    STORE_TRY_ASSIGN(const auto detail, in_tail ? details_->tail_row(row, false) : details_->main_row(row, false));
    if (!detail || (filter_.agrees && judged_agreement(*detail) != filter_.agrees)) return false;
    if (!filter_.asked_stage && !filter_.asked_rung) return true;
    return std::any_of(detail->attempts.begin(), detail->attempts.end(), [&](const AttemptRecord& a) {
      return (!filter_.asked_stage || a.stage == *filter_.asked_stage) && (!filter_.asked_rung || a.rung == *filter_.asked_rung);
    });
  }

 private:
  explicit DetailFilter(const RequestFilter& filter) : filter_(filter) {}
  bool wanted() const { return filter_.agrees || filter_.asked_stage || filter_.asked_rung; }

  const RequestFilter& filter_;
  std::optional<DetailReader> details_;
};

}  // namespace

std::optional<bool> judged_agreement(const RequestDetail& detail) {
  std::optional<bool> student, other;
  for (const LabelRecord& label : detail.labels) {
    if (label.stage == Stage::kTeacher || label.source == "feedback") continue;
    (label.stage == Stage::kStudent ? student : other) = label.agrees;
  }
  return student ? student : detail.request.agrees ? detail.request.agrees : other;
}

StoreReader::StoreReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StoreReader::StoreReader(StoreReader&&) noexcept = default;
StoreReader& StoreReader::operator=(StoreReader&&) noexcept = default;
StoreReader::~StoreReader() = default;

Result<StoreReader> StoreReader::open(const std::filesystem::path& path, const Clock* clock) {
  const std::filesystem::path file = database_path(path);
  std::error_code error;
  if (!std::filesystem::exists(file, error)) {
    if (error && error != std::errc::no_such_file_or_directory) {
      return fail(ErrorKind::kIo, fmt::format("cannot look into {}: {}; {}", path.string(), error.message(), errno_remedy(error.value())));
    }
    return fail(ErrorKind::kNotFound, fmt::format("there is no store in {} (no {}); name the gateway's data directory with --data",
                                                  path.string(), file.filename().string()));
  }
  auto db = Database::open(file, Database::Mode::kReadOnly);
  auto version = db ? db->integer("PRAGMA user_version") : Result<std::optional<std::int64_t>>(fail(db.error()));
  if (!version && version.error().kind == ErrorKind::kIo) {
    // A read-only directory cannot hold the files that SQLite shares between processes. Without a write-ahead log there is
    // nothing to share, and the database can be read as it lies.
    std::error_code none;
    const auto wal = std::filesystem::file_size(file.string() + "-wal", none);
    if (none || wal == 0) {
      db = Database::open(file, Database::Mode::kImmutable);
      if (db) version = db->integer("PRAGMA user_version");
    }
  }
  if (!version) return fail(version.error());
  STORE_TRY(check_version(*db));
  if (version->value_or(0) < kSchemaVersion) {
    return fail(ErrorKind::kUnsupported,
                fmt::format("{} was written by an older version of understudy (schema {}, this program reads {}); start the gateway once "
                            "with this directory, which brings it up to date",
                            file.string(), version->value_or(0), kSchemaVersion));
  }
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->db = std::move(*db);
  impl->clock = clock == nullptr ? &system_clock() : clock;
  return StoreReader(std::move(impl));
}

Result<RequestPage> StoreReader::requests(const RequestFilter& filter) {
  std::optional<Cursor> cursor;
  if (filter.cursor) {
    STORE_TRY_ASSIGN(cursor, parse_cursor(*filter.cursor));
  }
  const std::size_t limit = std::clamp<std::size_t>(filter.limit, 1, 10'000);
  const std::int64_t since_us = filter.since ? filter.since->us : 0;
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  const ListQuery query(filter, cursor);
  STORE_TRY_ASSIGN(DetailFilter detail_filter, DetailFilter::create(*snapshot, filter));
  RequestPage page;

  if (snapshot->tail() != nullptr && (!cursor || !cursor->row)) {
    STORE_TRY_ASSIGN(Statement rows, query.prepare(*snapshot->tail(), true));
    for (;;) {
      STORE_TRY_ASSIGN(const bool row, rows.step());
      if (!row) break;
      RequestRecord record = RecordReader::request_of(rows);
      if (record.finished_at.us < since_us) continue;
      STORE_TRY_ASSIGN(const bool taken, detail_filter.takes(static_cast<std::int64_t>(record.id), true));
      if (!taken) continue;
      if (page.requests.size() == limit) {
        page.next = page.requests.back().after;
        return page;
      }
      record.after = fmt::format("t{}-{}", record.finished_at.us, record.request_id);
      const auto parent = snapshot->overlay().continues.find(static_cast<std::int64_t>(record.id));
      record.id = parent == snapshot->overlay().continues.end() ? 0 : static_cast<std::uint64_t>(parent->second);
      page.requests.push_back(std::move(record));
    }
  }
  STORE_TRY_ASSIGN(Statement rows, query.prepare(snapshot->main(), false));
  for (;;) {
    STORE_TRY_ASSIGN(const bool row, rows.step());
    if (!row) return page;
    RequestRecord record = RecordReader::request_of(rows);
    if (record.finished_at.us < since_us - kDisorderUs) return page;
    if (record.finished_at.us < since_us) continue;
    STORE_TRY_ASSIGN(const bool taken, detail_filter.takes(static_cast<std::int64_t>(record.id), false));
    if (!taken) continue;
    if (page.requests.size() == limit) {
      page.next = page.requests.back().after;
      return page;
    }
    record.after = fmt::format("r{}", record.id);
    page.requests.push_back(std::move(record));
  }
}

Result<RequestDetail> StoreReader::request(std::string_view request_id) {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  STORE_TRY_ASSIGN(DetailReader details, DetailReader::create(*snapshot));
  STORE_TRY_ASSIGN(auto detail, details.newest(request_id));
  if (!detail) {
    return fail(ErrorKind::kNotFound, fmt::format("there is no request {} in {}; `understudy requests` lists the latest",
                                                  request_id, impl_->path.string()));
  }
  return std::move(*detail);
}

Result<std::vector<std::optional<RequestDetail>>> StoreReader::details(const std::vector<RequestRecord>& requests) {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  STORE_TRY_ASSIGN(DetailReader reader, DetailReader::create(*snapshot));
  std::vector<std::optional<RequestDetail>> out;
  for (const RequestRecord& request : requests) {
    // A row keeps its number; what was in the tail may have got one since.
    const bool in_main = request.after.starts_with('r');
    STORE_TRY_ASSIGN(auto detail, in_main ? reader.main_row(static_cast<std::int64_t>(request.id), true) : reader.newest(request.request_id));
    const bool same = detail && detail->request.request_id == request.request_id && detail->request.finished_at == request.finished_at;
    out.push_back(same ? std::move(detail) : std::nullopt);
  }
  return out;
}

Result<std::uint64_t> StoreReader::scan(const ScanOptions& options, const std::function<bool(const RequestDetail&)>& visit) {
  std::uint64_t visited = 0;
  bool stopped = false;
  const auto offer = [&](const RequestDetail& d) {
    if (stopped || (options.task && d.request.task != *options.task)) return;
    if (options.since && d.request.finished_at < *options.since) return;
    ++visited;
    stopped = !visit(d);
  };
  std::vector<std::int64_t> running;
  std::int64_t last = 0;
  // Looks at the database alone until there is nothing more; then once more together with the tail, so that nothing can move
  // from one to the other between two looks.
  for (bool whole = false, end = false; !end && !stopped;) {
    STORE_TRY_ASSIGN(const auto snapshot, whole ? Snapshot::take(impl_->db, impl_->path) : Snapshot::take_without_tail(impl_->db));
    STORE_TRY_ASSIGN(DetailReader details, DetailReader::create(*snapshot));
    STORE_TRY_ASSIGN(Statement select, impl_->db.prepare("SELECT id, flags FROM requests WHERE id > ? ORDER BY id LIMIT ?"));
    select.bind(1, last).bind(2, kScanRows);
    std::vector<RequestDetail> chunk;
    std::size_t bytes = 0;
    bool exhausted = false;
    while (bytes < kScanBytes) {
      STORE_TRY_ASSIGN(const bool row, select.step());
      exhausted = !row && chunk.empty();
      if (!row) break;
      last = select.integer(0);
      if ((select.integer(1) & kFinished) == 0) {
        running.push_back(last);
        continue;
      }
      STORE_TRY_ASSIGN(auto detail, details.main_row(last, options.bodies));
      if (!detail) continue;
      bytes += detail->body.text.size();
      for (const AttemptRecord& a : detail->attempts) bytes += a.answer.text.size();
      chunk.push_back(std::move(*detail));
    }
    select.reset();
    end = whole && exhausted;
    whole = exhausted;
    if (!end) snapshot->release();
    for (const RequestDetail& d : chunk) offer(d);
    if (!end || stopped) continue;

    std::set<std::int64_t> goes_on;
    for (const auto& [tail_row, main_row] : snapshot->overlay().continues) goes_on.insert(main_row);
    for (const std::int64_t row : running) {
      STORE_TRY_ASSIGN(const auto detail, details.main_row(row, options.bodies));
      if (!detail || (!detail->request.finished && (goes_on.contains(row) || !options.unfinished))) continue;
      offer(*detail);
    }
    if (snapshot->tail() == nullptr || stopped) continue;
    std::vector<std::int64_t> tail_rows;
    STORE_TRY_ASSIGN(Statement in_tail, snapshot->tail()->prepare("SELECT id FROM requests WHERE (flags & 1) = 1 OR ? ORDER BY id"));
    in_tail.bind(1, std::int64_t{options.unfinished});
    for (;;) {
      STORE_TRY_ASSIGN(const bool row, in_tail.step());
      if (!row) break;
      tail_rows.push_back(in_tail.integer(0));
    }
    for (const std::int64_t row : tail_rows) {
      STORE_TRY_ASSIGN(const auto detail, details.tail_row(row, options.bodies));
      if (detail) offer(*detail);
    }
  }
  return visited;
}

Result<std::vector<std::string>> StoreReader::tasks() {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  std::set<std::string> names;
  for (Database* db : snapshot->databases()) {
    STORE_TRY_ASSIGN(Statement rows, db->prepare("SELECT DISTINCT n.text FROM request_sums s JOIN names n ON n.id = s.task"));
    for (;;) {
      STORE_TRY_ASSIGN(const bool row, rows.step());
      if (!row) break;
      names.insert(rows.text(0));
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

namespace {

/// Table and column that hold such names.
constexpr std::pair<const char*, const char*> column_of(StoreReader::NameColumn column) {
  switch (column) {
    case StoreReader::NameColumn::kTask: return {"requests", "task"};
    case StoreReader::NameColumn::kTenant: return {"requests", "tenant"};
    case StoreReader::NameColumn::kReason: return {"requests", "reason"};
    case StoreReader::NameColumn::kRung: break;
  }
  return {"attempts", "rung"};
}

}  // namespace

Result<bool> StoreReader::has_name(NameColumn column, std::string_view name) {
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  const auto [table, in] = column_of(column);
  for (Database* db : snapshot->databases()) {
    const std::string wanted = name.empty() ? fmt::format("coalesce({}, 0) = 0", in) : fmt::format("{} = (SELECT id FROM names WHERE text = ?)", in);
    STORE_TRY_ASSIGN(Statement row, db->prepare(fmt::format("SELECT 1 FROM {} WHERE {} LIMIT 1", table, wanted)));
    if (!name.empty()) row.bind(1, name);
    STORE_TRY_ASSIGN(const bool found, row.step());
    if (found) return true;
  }
  return false;
}

Result<std::vector<std::string>> StoreReader::recent_names(NameColumn column) {
  constexpr std::int64_t kNewest = 100'000;
  STORE_TRY_ASSIGN(const auto snapshot, Snapshot::take(impl_->db, impl_->path));
  const auto [table, in] = column_of(column);
  const std::int64_t rows = column == NameColumn::kRung ? kNewest * kAttemptsPerRequest : kNewest;
  std::set<std::string> names;
  for (Database* db : snapshot->databases()) {
    STORE_TRY_ASSIGN(Statement row, db->prepare(fmt::format("SELECT text FROM names WHERE id IN (SELECT {} FROM {} WHERE id > (SELECT max(id) FROM {}) - ?)", in, table, table)));
    row.bind(1, rows);
    for (;;) {
      STORE_TRY_ASSIGN(const bool more, row.step());
      if (!more) break;
      names.insert(row.text(0));
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace understudy::store
