#pragma once
/// The store's writing side: a data directory with one journal per reactor and SQLite behind them.
///
///   DIR/lock          held (flock) by the one writer; holds its pid
///   DIR/journal/      segments, docs/formats/journal.md
///   DIR/store.sqlite  what is asked and kept, docs/formats/sqlite.md
///
/// Serving touches only the journals. Threads of the store: *writer* moves events into SQLite in batches and recycles what
/// it has moved; *keeper* preallocates segments (a full disk is met there, never on the request path); *sync*, with
/// "group" durability only, fsyncs for all who wait. Reading is StoreReader's job (queries.h), in this process or another.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "store/disk.h"
#include "store/journal.h"

namespace understudy::store {

enum class Durability : std::uint8_t {
  kProcess,  ///< an appended event survives kill -9
  kGroup,    ///< one that was awaited also survives loss of power
};

/// "process" or "group"; kConfig otherwise.
Result<Durability> parse_durability(std::string_view text);

struct StoreOptions {
  Durability durability = Durability::kProcess;
  std::uint32_t reactors = 1;                     ///< 1..256: number of journals
  bool keep_bodies = true;                        ///< false (`bodies = "none"`): no request or answer text is written at all
  std::optional<std::int64_t> bodies_max_age_ms = std::int64_t{30} * 24 * 3600 * 1000;
  std::optional<std::int64_t> bodies_max_bytes;   ///< of compressed bodies in SQLite; the oldest go first
  std::optional<std::int64_t> records_max_age_ms; ///< of requests and all that names them; aggregates are always kept
  std::optional<std::int64_t> promise_rows_max_age_ms = std::int64_t{180} * 24 * 3600 * 1000;  ///< promise events are always kept
  std::optional<std::int64_t> lessons_max_age_ms = std::int64_t{180} * 24 * 3600 * 1000;
  std::size_t segment_bytes = std::size_t{4} << 20;      ///< of one journal file; a multiple of 4096, at least 64 KiB
  std::uint32_t spare_segments = 2;                      ///< per reactor, mapped and ready ahead of need
  std::size_t journal_max_bytes = std::size_t{256} << 20;  ///< per reactor; beyond that events are dropped and counted
  std::size_t max_record_bytes = std::size_t{1} << 20;   ///< of one event; at most half a segment
  std::int64_t batch_interval_ms = 200;                  ///< events reach SQLite about this late
  const Clock* clock = nullptr;                          ///< nullptr: system_clock()
  Disk* disk = nullptr;                                  ///< nullptr: system_disk()
};

/// What open() found and did. `notes` are sentences for the log.
struct RecoveryReport {
  std::uint64_t segments = 0;          ///< journal files of an earlier run
  std::uint64_t events_replayed = 0;   ///< were in the journal, not yet in SQLite
  std::uint64_t torn_tails = 0;        ///< segments whose last, half-written event was cut off
  std::uint64_t corrupt_bytes = 0;     ///< skipped because their checksum failed
  std::uint64_t events_missing = 0;    ///< numbers that should have been there
  std::vector<std::string> notes;
};

/// Counters for /metrics and /health; all since open().
struct StoreStats {
  std::uint64_t events_appended = 0;
  std::uint64_t events_stored = 0;
  std::uint64_t records_dropped = 0;       ///< alarm when it grows
  std::uint64_t reservations_refused = 0;
  std::uint64_t backlog_bytes = 0;         ///< in the journals, not yet in SQLite
  std::uint64_t batches = 0;
  std::uint64_t write_failures = 0;        ///< batches that SQLite refused; they are tried again
  std::uint64_t sync_failures = 0;         ///< "group": a sync that failed; answers went out that a loss of power may take. Alarm
  std::uint64_t allocation_failures = 0;   ///< segments that could not be made (disk full)
  std::string last_error;                  ///< of the latest failure, with the remedy; "" where none, or all is well again
};

struct DeleteReport {
  std::uint64_t requests = 0;
  std::uint64_t bodies = 0;    ///< texts (request or answer) that were overwritten
  std::uint64_t other = 0;     ///< labels, feedback, reservations, rows of promises, lessons
};

struct CompactReport {
  std::uint64_t bytes_before = 0;   ///< of SQLite's files
  std::uint64_t bytes_after = 0;
  std::uint64_t body_blocks_removed = 0;
  std::uint64_t requests_removed = 0;
};

class Store {
 public:
  /// Creates the directory (mode 0700) where there is none, takes the writer's lock, migrates, and replays what SQLite does
  /// not have yet. Returns when recovery is done. Errors, each naming the path and the remedy: kConflict (another writer,
  /// with its pid), kIo (no permission, not a directory, disk full), kUnsupported (written by a newer version),
  /// kCorrupt (SQLite's file is damaged; damaged journal segments are reported and skipped instead).
  static Result<std::unique_ptr<Store>> open(const std::filesystem::path& path, StoreOptions options = {});

  /// Moves everything to SQLite, stops the threads, releases the lock. Reactors must have stopped appending.
  ~Store();

  /// The journal of one reactor, 0 <= reactor < options.reactors. The reference lives as long as the store.
  Journal& journal(std::uint32_t reactor);

  const RecoveryReport& recovery() const;
  const std::filesystem::path& path() const;
  StoreStats stats() const;  ///< thread-safe

  /// Waits until everything appended before the call is in SQLite. kIo where SQLite refuses to take it. Thread-safe; blocks:
  /// never from a reactor.
  Result<void> flush();

  /// Real deletion: no text of the request (of the tenant) is left in SQLite, its write-ahead log or the journal, also not
  /// in free pages. Sums (aggregates) stay; they hold no text. Cost: rewrites SQLite's file (VACUUM), while the journal takes
  /// what comes in. kNotFound where there is no such request (tenant). Thread-safe; blocks.
  Result<DeleteReport> delete_request(std::string_view request_id);
  Result<DeleteReport> delete_tenant(std::string_view tenant);

  /// Applies retention now, gives free pages back to the file system and truncates the write-ahead log. Thread-safe; blocks.
  Result<CompactReport> compact();

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::store
