#pragma once
/// The thread that moves journal events into SQLite, and everything else that writes to SQLite.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "store/internal/importer.h"
#include "store/internal/maintenance.h"
#include "store/internal/segment.h"
#include "store/internal/signal.h"
#include "store/internal/sqlite.h"

namespace understudy::store {

class Writer {
 public:
  struct Config {
    std::int64_t batch_interval_ms = 200;
    Retention retention;
    bool sync = false;  ///< group durability: a deletion is durable when it returns
    std::filesystem::path journal_directory;
  };
  struct Counters {
    std::atomic<std::uint64_t> events_stored{0}, batches{0}, write_failures{0};
  };

  /// Everything outlives the writer.
  Writer(Database& db, Importer& importer, std::vector<SegmentPool*> pools, Signal& signal, const Clock& clock, Config config);
  /// Stores what is left and stops. stop() tells whether all of it is in SQLite.
  ~Writer();
  bool stop();

  /// Runs `task` on the writer's thread, with everything appended so far already in SQLite, and waits for it.
  /// The error of storing that, if it could not be.
  Result<void> with_everything_stored(std::function<Result<void>()> task);

  /// Puts an alarm into SQLite as soon as that takes it. Thread-safe; does not wait.
  void alarm(std::string name, std::string message);

  // Tasks for with_everything_stored.
  Result<WallTime> retention_now() { return retention_clock_.now(db_, clock_); }
  Result<void> erase_stored_frames();

  const Counters& counters() const { return counters_; }
  std::string last_error() const;
  std::size_t backlog_bytes() const;

 private:
  struct Cursor {
    SegmentPool* pool = nullptr;
    std::atomic<std::size_t> offset{kSegmentHeaderBytes};  ///< in the oldest live segment
    std::uint64_t sequence = 0;                            ///< last event in SQLite
    // after the batch at hand:
    std::size_t next_offset = kSegmentHeaderBytes;
    std::uint64_t next_sequence = 0;
    std::size_t finished_segments = 0;
  };
  struct Task {
    std::function<Result<void>()> run;
    Result<void> result;
    bool done = false;
  };

  void run();
  Result<std::size_t> store_batch();
  void collect(Cursor& cursor, std::size_t max_records);
  Result<void> store_up_to_now();
  bool run_tasks();  ///< whether there were any: everything is stored then
  void housekeeping();
  Result<void> store_alarms();
  void failed(const Error& error);

  static constexpr std::uint64_t kRetentionChunk = 512;
  static constexpr std::size_t kMaxRecords = 8192;
  static constexpr std::size_t kMaxBytes = std::size_t{16} << 20;

  Database& db_;
  Importer& importer_;
  Signal& signal_;
  const Clock& clock_;
  const Config config_;
  std::vector<std::unique_ptr<Cursor>> cursors_;
  Batch batch_;
  std::vector<std::shared_ptr<Segment>> held_;  ///< keeps the batch's views alive
  int wal_pages_ = 0;
  std::int64_t next_retention_ns_ = 0;
  RetentionClock retention_clock_;
  Counters counters_;

  mutable std::mutex mutex_;
  std::condition_variable task_done_;
  std::vector<std::shared_ptr<Task>> tasks_;
  struct Alarm {
    std::int64_t time_us = 0;
    std::string name, message;
  };
  std::vector<Alarm> alarms_;
  std::string last_error_;
  bool stopping_ = false;
  bool all_stored_ = false;
  std::thread thread_;
};

}  // namespace understudy::store
