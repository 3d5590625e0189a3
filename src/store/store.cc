#include "store/store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "store/internal/files.h"
#include "store/internal/importer.h"
#include "store/internal/maintenance.h"
#include "store/internal/schema.h"
#include "store/internal/segment.h"
#include "store/internal/sync_thread.h"
#include "store/internal/tail.h"
#include "store/internal/try.h"
#include "store/internal/writer.h"

namespace understudy::store {
namespace {

/// It is durable under its name, and so are those above it that were missing.
Result<void> make_directory(Disk& disk, const std::filesystem::path& path, unsigned mode = 0700) {
  std::error_code error;
  const auto parent = path.has_filename() ? path.parent_path() : path.parent_path().parent_path();
  if (!parent.empty() && !std::filesystem::exists(parent, error)) STORE_TRY(make_directory(disk, parent, 0755));
  int code = disk.make_directory(path, mode);
  const bool made = code == 0;
  // Also one that exists: whoever made it may have died before this. A parent that we may not read cannot be synced by us.
  const int synced = disk.sync_directory(parent.empty() ? "." : parent);
  if (made && synced != EACCES) code = synced;
  if (code != 0 && code != EEXIST) {
    return fail(ErrorKind::kIo, fmt::format("cannot create the data directory {}: {}; {}", path.string(), errno_text(code), errno_remedy(code)));
  }
  if (!std::filesystem::is_directory(path, error)) {
    return fail(ErrorKind::kIo, fmt::format("{} is not a directory; choose another one with --data", path.string()));
  }
  if (access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
    code = errno;
    return fail(ErrorKind::kIo, fmt::format("cannot use the data directory {}: {}; {}", path.string(), errno_text(code), errno_remedy(code)));
  }
  return {};
}

Result<StoreOptions> checked(StoreOptions o) {
  const auto bad = [](std::string message) { return fail(ErrorKind::kConfig, std::move(message)); };
  if (o.reactors < 1 || o.reactors > 256) return bad(fmt::format("store: {} reactors; 1 to 256 are possible", o.reactors));
  if (o.segment_bytes % 4096 != 0 || o.segment_bytes < 64 * 1024 || o.segment_bytes > (std::size_t{1} << 30)) {
    return bad(fmt::format("store: segments of {} bytes; a multiple of 4096 from 64 KiB to 1 GiB is needed", o.segment_bytes));
  }
  if (o.journal_max_bytes < 2 * o.segment_bytes) return bad("store: the journal must have room for two segments");
  o.max_record_bytes = std::clamp<std::size_t>(o.max_record_bytes, 4096, o.segment_bytes / 2);
  o.spare_segments = std::max(o.spare_segments, 1u);
  o.batch_interval_ms = std::max<std::int64_t>(o.batch_interval_ms, 1);
  if (o.clock == nullptr) o.clock = &system_clock();
  if (o.disk == nullptr) o.disk = &system_disk();
  return o;
}

/// Each commit is synced, also where "process" will ask for less: what is recovered may have been promised by "group".
Result<void> configure(Database& db) {
  STORE_TRY(db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"));
  return db.exec("PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -16384; PRAGMA journal_size_limit = 67108864");
}

}  // namespace

Result<Durability> parse_durability(std::string_view text) {
  if (text == "process") return Durability::kProcess;
  if (text == "group") return Durability::kGroup;
  return fail(ErrorKind::kConfig, fmt::format("durability \"{}\" is unknown; it is \"process\" or \"group\"", text), "store.durability");
}

struct Store::Impl {
  Impl(std::filesystem::path p, StoreOptions o, DirectoryLock l, Database d)
      : path(std::move(p)), options(o), lock(std::move(l)), db(std::move(d)) {}
  ~Impl() { close(); }

  Retention retention() const {
    return {options.bodies_max_age_ms, options.bodies_max_bytes, options.records_max_age_ms, options.promise_rows_max_age_ms,
            options.lessons_max_age_ms};
  }
  Result<void> recover();
  Result<void> start();
  void keep();
  void look_for_alarms();
  void close();
  Result<DeleteReport> erase(const std::function<Result<Removed>()>& remove);

  const std::filesystem::path path;
  const StoreOptions options;
  DirectoryLock lock;
  Database db;
  std::unique_ptr<Importer> importer;
  RecoveryReport recovery;
  std::map<std::uint32_t, TailReport::Reactor> reached;

  Signal writer_signal, keeper_signal, sync_signal;
  std::vector<std::unique_ptr<SegmentPool>> pools;
  std::vector<std::unique_ptr<Journal>> journals;
  std::unique_ptr<Writer> writer;
  std::unique_ptr<SyncThread> sync;
  std::thread keeper;
  std::atomic<bool> stopping{false};
  std::atomic<std::uint64_t> allocation_failures{0};
  mutable std::mutex error_mutex;
  std::string allocation_error;
  struct Told {
    std::uint64_t count = 0;
    std::int64_t at_ns = 0;
  };
  std::map<std::string, Told> told;  ///< by alarm: the keeper's
};

/// Brings into SQLite what an earlier run left in its journal, then removes those files.
Result<void> Store::Impl::recover() {
  STORE_TRY_ASSIGN(const auto progress, read_progress(db));
  STORE_TRY_ASSIGN(TailReport tail,
                   read_tail(journal_directory(path), progress, [&](const Batch& batch) { return importer->import(batch); }));
  STORE_TRY_ASSIGN(const std::uint64_t cut_off, importer->finish_recovery());
  recovery.segments = tail.segments;
  recovery.events_replayed = tail.events;
  recovery.torn_tails = tail.torn_tails;
  recovery.corrupt_bytes = tail.corrupt_bytes;
  recovery.events_missing = tail.events_missing;
  recovery.notes = std::move(tail.notes);
  if (tail.events > 0) recovery.notes.push_back(fmt::format("{} events of an earlier run were moved to SQLite", tail.events));
  if (cut_off > 0) {
    recovery.notes.push_back(fmt::format("{} requests were cut off; what their calls cost is counted, their ends are not known", cut_off));
  }
  reached = std::move(tail.reactors);
  for (const auto& file : tail.damaged) options.disk->rename(file, file.string() + ".damaged");
  for (const auto& file : tail.files) options.disk->remove(file);
  return {};
}

Result<void> Store::Impl::start() {
  SegmentConfig config;
  config.directory = journal_directory(path);
  config.segment_bytes = options.segment_bytes;
  config.spares = options.spare_segments;
  config.max_bytes = options.journal_max_bytes;
  config.limits = FieldLimits::of(options.max_record_bytes, options.keep_bodies);
  config.sync = options.durability == Durability::kGroup;
  config.disk = options.disk;
  // With "process" a commit may be lost with the machine, never with the process; the journal promises no more. With "group"
  // the journal's promise is kept by SQLite once a segment is reused, so each commit is synced (five a second at most).
  if (!config.sync) STORE_TRY(db.exec("PRAGMA synchronous = NORMAL"));
  std::vector<SegmentPool*> all;
  for (std::uint32_t reactor = 0; reactor < options.reactors; ++reactor) {
    const TailReport::Reactor at = reached[reactor];
    pools.push_back(std::make_unique<SegmentPool>(config, reactor, at.last_number + 1, at.last_sequence + 1, *options.clock, keeper_signal,
                                                  writer_signal, sync_signal));
    STORE_TRY(pools.back()->refill());
    journals.push_back(std::make_unique<Journal>(*pools.back(), reactor, *options.clock));
    all.push_back(pools.back().get());
  }
  Writer::Config writing;
  writing.batch_interval_ms = options.batch_interval_ms;
  writing.retention = retention();
  writing.sync = config.sync;
  writing.journal_directory = config.directory;
  writer = std::make_unique<Writer>(db, *importer, all, writer_signal, *options.clock, std::move(writing));
  if (config.sync) sync = std::make_unique<SyncThread>(all, sync_signal, writer_signal);
  keeper = std::thread([this] { keep(); });
  return {};
}

void Store::Impl::keep() {
  while (!stopping.load()) {
    std::string error;
    for (const auto& pool : pools) {
      const auto done = pool->refill();
      if (!done) error = done.error().message;
    }
    if (!error.empty()) allocation_failures.fetch_add(1, std::memory_order_relaxed);
    {
      const std::lock_guard guard(error_mutex);
      if (!error.empty() && error != allocation_error) log::error("store: {}", error);
      allocation_error = error;
    }
    look_for_alarms();
    // Rotations and released segments wake it; a full disk is looked at again by itself.
    keeper_signal.wait_ms(error.empty() ? 1000 : 100);
  }
}

/// A counter that should stay 0 has grown: told at once, then every ten minutes as long as it goes on growing.
void Store::Impl::look_for_alarms() {
  constexpr std::int64_t kEveryNs = std::int64_t{600} * 1'000'000'000;
  const auto look = [&](const char* name, std::uint64_t count, const char* what) {
    const std::int64_t now = options.clock->mono().ns;
    Told& last = told[name];
    if (count <= last.count || (last.count > 0 && now - last.at_ns < kEveryNs)) return;
    std::string message = fmt::format("{} {}", count, what);
    log::error("ALARM {}: {}", name, message);
    writer->alarm(name, std::move(message));
    last = {count, now};
  };
  std::uint64_t dropped = 0;
  for (const auto& journal : journals) dropped += journal->records_dropped();
  look("records_dropped", dropped, "events were lost since the start: the journal is full, because the disk is, or SQLite does not keep up");
  look("sync_failed", sync == nullptr ? 0 : sync->failures(),
       "syncs of the journal failed since the start: answers went out that a loss of power may take; look at the disk");
}

void Store::Impl::close() {
  stopping.store(true);
  keeper_signal.notify();
  if (keeper.joinable()) keeper.join();
  if (writer != nullptr) look_for_alarms();
  sync.reset();
  if (writer == nullptr) return;
  const bool all_stored = writer->stop();
  writer.reset();
  if (!all_stored) return;  // the next open replays the journal
  (void)db.integer("PRAGMA wal_checkpoint(PASSIVE)");
  for (const auto& pool : pools) pool->remove_files();
}

Result<DeleteReport> Store::Impl::erase(const std::function<Result<Removed>()>& remove) {
  DeleteReport report;
  const auto done = writer->with_everything_stored([&]() -> Result<void> {
    STORE_TRY_ASSIGN(const Removed removed, remove());
    report = {removed.requests, removed.bodies, removed.other};
    STORE_TRY(importer->forget());
    STORE_TRY(writer->erase_stored_frames());
    return vacuum(db);
  });
  if (!done) return fail(done.error());
  return report;
}

Result<std::unique_ptr<Store>> Store::open(const std::filesystem::path& path, StoreOptions options) {
  STORE_TRY_ASSIGN(const StoreOptions o, checked(options));
  STORE_TRY(make_directory(*o.disk, path));
  STORE_TRY_ASSIGN(DirectoryLock lock, DirectoryLock::acquire(path));
  STORE_TRY(make_directory(*o.disk, journal_directory(path)));
  STORE_TRY_ASSIGN(Database db, Database::open(database_path(path), Database::Mode::kReadWriteCreate, o.disk->sqlite_vfs()));
  STORE_TRY(check_version(db));
  STORE_TRY(configure(db));
  STORE_TRY(migrate(db));
  auto impl = std::make_unique<Impl>(path, o, std::move(lock), std::move(db));
  STORE_TRY_ASSIGN(impl->importer, Importer::create(impl->db));
  STORE_TRY(impl->recover());
  STORE_TRY(impl->start());
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Journal& Store::journal(std::uint32_t reactor) {
  UNDERSTUDY_ASSERT(reactor < impl_->journals.size());
  return *impl_->journals[reactor];
}

const RecoveryReport& Store::recovery() const { return impl_->recovery; }
const std::filesystem::path& Store::path() const { return impl_->path; }

StoreStats Store::stats() const {
  StoreStats stats;
  for (std::size_t i = 0; i < impl_->journals.size(); ++i) {
    stats.events_appended += impl_->pools[i]->appended() + 1 - impl_->pools[i]->first_sequence();
    stats.records_dropped += impl_->journals[i]->records_dropped();
    stats.reservations_refused += impl_->journals[i]->reservations_refused();
  }
  const Writer::Counters& counters = impl_->writer->counters();
  stats.events_stored = counters.events_stored.load(std::memory_order_relaxed);
  stats.batches = counters.batches.load(std::memory_order_relaxed);
  stats.write_failures = counters.write_failures.load(std::memory_order_relaxed);
  stats.backlog_bytes = impl_->writer->backlog_bytes();
  stats.sync_failures = impl_->sync == nullptr ? 0 : impl_->sync->failures();
  stats.allocation_failures = impl_->allocation_failures.load(std::memory_order_relaxed);
  stats.last_error = impl_->writer->last_error();
  if (stats.last_error.empty()) {
    const std::lock_guard guard(impl_->error_mutex);
    stats.last_error = impl_->allocation_error;
  }
  return stats;
}

Result<void> Store::flush() { return impl_->writer->with_everything_stored({}); }

Result<DeleteReport> Store::delete_request(std::string_view request_id) {
  return impl_->erase([&] { return remove_request(impl_->db, request_id); });
}

Result<DeleteReport> Store::delete_tenant(std::string_view tenant) {
  return impl_->erase([&] { return remove_tenant(impl_->db, tenant); });
}

Result<CompactReport> Store::compact() {
  CompactReport report;
  const auto done = impl_->writer->with_everything_stored([&]() -> Result<void> {
    report.bytes_before = database_bytes(database_path(impl_->path));
    constexpr std::uint64_t kChunk = 4096;
    STORE_TRY_ASSIGN(const WallTime by, impl_->writer->retention_now());
    for (;;) {
      STORE_TRY_ASSIGN(const Removed removed, apply_retention(impl_->db, impl_->retention(), by, kChunk));
      report.body_blocks_removed += removed.body_blocks;
      report.requests_removed += removed.requests;
      if (removed.body_blocks < kChunk && removed.requests < kChunk && removed.promise_rows < kChunk && removed.lessons < kChunk) break;
    }
    STORE_TRY(vacuum(impl_->db));
    report.bytes_after = database_bytes(database_path(impl_->path));
    return impl_->importer->forget();
  });
  if (!done) return fail(done.error());
  return report;
}

}  // namespace understudy::store
