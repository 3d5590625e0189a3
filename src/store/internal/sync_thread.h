#pragma once
/// Group durability: one thread fsyncs the segments of all reactors for everyone who waits, as often as the disk allows.
/// A segment whose sync failed is never believed again, whatever later syncs say: its reactor leaves it at the next event, what
/// waits for it is told false, and its events are durable when the writer has them in SQLite, which syncs each commit.

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include "store/internal/segment.h"
#include "store/internal/signal.h"

namespace understudy::store {

class SyncThread {
 public:
  /// `writer`: woken after a failure, so that SQLite soon has what the segment may have lost.
  SyncThread(std::vector<SegmentPool*> pools, Signal& signal, Signal& writer);
  /// Tells those who still wait that it failed.
  ~SyncThread();
  std::uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }

 private:
  void run();
  /// Number of the first event that is not known to be durable; none: all are that were appended before the call.
  std::optional<std::uint64_t> sync(std::size_t pool);

  const std::vector<SegmentPool*> pools_;
  Signal& signal_;
  Signal& writer_;
  std::vector<std::map<std::uint64_t, std::size_t>> synced_;  ///< per pool: segment number -> bytes on disk
  std::atomic<std::uint64_t> failures_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace understudy::store
