#pragma once
/// Mapped segment files and the pool that hands them from the keeper (makes them) to a reactor (fills them) to the writer
/// (empties them) and back. Every wait of the reactor is for a mutex held for a few pointer moves.

#include <atomic>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "store/disk.h"
#include "store/internal/frame.h"
#include "store/internal/signal.h"

namespace understudy::store {

/// One journal file, allocated on disk, mapped, every page present and writable without a fault.
struct Segment {
  Segment() = default;
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  std::string_view view() const { return {base, bytes}; }

  std::filesystem::path path;
  int fd = -1;
  char* base = nullptr;
  std::size_t bytes = 0;
  std::uint64_t number = 0;
  std::uint64_t first_sequence = 0;
  std::atomic<std::size_t> committed{kSegmentHeaderBytes};  ///< all before it is written; set by the reactor
  std::atomic<bool> sealed{false};                          ///< the reactor has gone on to the next one
  std::atomic<bool> sync_failed{false};                     ///< a later sync would prove nothing: the reactor leaves it, nobody uses it again
};

struct SegmentConfig {
  std::filesystem::path directory;
  std::size_t segment_bytes = 0;
  std::uint32_t spares = 2;
  std::size_t max_bytes = 0;  ///< of all of a reactor's segments
  FieldLimits limits;
  bool sync = false;          ///< make names durable too
  Disk* disk = nullptr;
};

/// "r003-00000000000000000042.journal"
std::string segment_file_name(std::uint32_t reactor, std::uint64_t number);

class SegmentPool {
 public:
  SegmentPool(SegmentConfig config, std::uint32_t reactor, std::uint64_t next_number, std::uint64_t next_sequence,
              const Clock& clock, Signal& keeper, Signal& writer, Signal& sync);

  const SegmentConfig& config() const { return config_; }
  std::uint32_t reactor() const { return reactor_; }

  // --- the reactor's side
  /// Seals `full` (may be nullptr) and activates the next spare for events from `first_sequence` on. nullptr: none is ready,
  /// and `full` stays active.
  std::shared_ptr<Segment> next(Segment* full, std::uint64_t first_sequence);
  std::uint64_t first_sequence() const { return first_sequence_; }
  void publish(std::uint64_t sequence) { appended_.store(sequence, std::memory_order_release); }

  /// Number of the last event that is wholly in the journal.
  std::uint64_t appended() const { return appended_.load(std::memory_order_acquire); }

  // --- the writer's side
  /// Activated segments that are not released yet, oldest first.
  std::vector<std::shared_ptr<Segment>> live() const;
  /// The oldest live segment, sealed and wholly stored in SQLite, may be used again.
  void release_front();
  /// Bytes in live segments from `front_offset` of the oldest on.
  std::size_t backlog_bytes(std::size_t front_offset) const;

  // --- the keeper's side
  /// Overwrites released segments and makes spares of them, up to the configured number; makes new ones up to the cap.
  /// The first failure is returned (and tried again at the next call). Any thread; one at a time.
  Result<void> refill();
  /// Removes all files, after the threads have stopped and everything is in SQLite.
  void remove_files();

  // --- group durability
  struct Waiter {
    std::uint64_t sequence;
    std::function<void(bool)> done;
  };
  bool group() const { return config_.sync; }
  /// A live segment as it is at one moment: once it is not live any more, all of this may belong to its next life.
  struct SyncPoint {
    std::shared_ptr<Segment> segment;
    std::uint64_t number = 0;
    std::uint64_t first_sequence = 0;
    std::size_t committed = 0;
  };
  /// Of all live segments, oldest first.
  std::vector<SyncPoint> sync_points() const;
  void wait_durable(Waiter waiter);
  std::vector<Waiter> take_waiters();

 private:
  Result<std::shared_ptr<Segment>> create(std::uint64_t number);
  Result<void> recycle(Segment& segment, std::uint64_t number);
  void write_header(Segment& segment, std::uint64_t first_sequence) const;
  void remove(const Segment& segment) const { config_.disk->remove(segment.path); }

  const SegmentConfig config_;
  const std::uint32_t reactor_;
  const std::uint64_t first_sequence_;
  const Clock& clock_;
  Signal& keeper_;
  Signal& writer_;
  Signal& sync_;
  std::atomic<std::uint64_t> appended_;

  std::mutex refill_mutex_;    ///< held over disk work; never by the reactor
  mutable std::mutex mutex_;   ///< of all below; held for pointer moves only
  std::uint64_t next_number_;
  std::deque<std::shared_ptr<Segment>> spares_;
  std::deque<std::shared_ptr<Segment>> live_;
  std::vector<std::shared_ptr<Segment>> released_;
  std::vector<Waiter> waiters_;
};

}  // namespace understudy::store
