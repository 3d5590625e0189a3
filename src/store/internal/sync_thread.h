#pragma once
/// Group durability: one thread fsyncs the segments of all reactors for everyone who waits, as often as the disk allows.

#include <atomic>
#include <cstdint>
#include <map>
#include <thread>
#include <vector>

#include "store/internal/segment.h"
#include "store/internal/signal.h"

namespace understudy::store {

class SyncThread {
 public:
  SyncThread(std::vector<SegmentPool*> pools, Signal& signal);
  /// Tells those who still wait that it failed.
  ~SyncThread();
  std::uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }

 private:
  void run();
  bool sync(std::size_t pool);

  const std::vector<SegmentPool*> pools_;
  Signal& signal_;
  std::vector<std::map<std::uint64_t, std::size_t>> synced_;  ///< per pool: segment number -> bytes on disk
  std::atomic<std::uint64_t> failures_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace understudy::store
