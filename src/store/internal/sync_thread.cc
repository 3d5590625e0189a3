#include "store/internal/sync_thread.h"

#include "base/log.h"
#include "store/internal/files.h"

namespace understudy::store {

SyncThread::SyncThread(std::vector<SegmentPool*> pools, Signal& signal, Signal& writer)
    : pools_(std::move(pools)), signal_(signal), writer_(writer), synced_(pools_.size()) {
  thread_ = std::thread([this] { run(); });
}

SyncThread::~SyncThread() {
  stopping_.store(true);
  signal_.notify();
  thread_.join();
  for (SegmentPool* pool : pools_) {
    for (auto& waiter : pool->take_waiters()) waiter.done(false);
  }
}

void SyncThread::run() {
  while (!stopping_.load()) {
    signal_.wait_ms(1000);
    for (std::size_t i = 0; i < pools_.size(); ++i) {
      // Their events were appended before they began to wait, so what sync() sees holds all of them.
      auto waiters = pools_[i]->take_waiters();
      if (waiters.empty()) continue;
      const std::optional<std::uint64_t> failed_from = sync(i);
      for (auto& waiter : waiters) waiter.done(!failed_from || waiter.sequence < *failed_from);
    }
  }
}

/// A segment that is not live any more is in SQLite, which is durable before segments are released.
std::optional<std::uint64_t> SyncThread::sync(std::size_t pool) {
  std::optional<std::uint64_t> failed_from;
  std::map<std::uint64_t, std::size_t> synced;
  for (const SegmentPool::SyncPoint& point : pools_[pool]->sync_points()) {
    Segment& segment = *point.segment;
    if (!segment.sync_failed.load(std::memory_order_relaxed)) {
      const auto known = synced_[pool].find(point.number);
      std::size_t& on_disk = synced[point.number];
      if (known != synced_[pool].end()) on_disk = known->second;
      if (on_disk >= point.committed) continue;
      const int error = pools_[pool]->config().disk->sync(segment.fd);
      if (error == 0) {
        on_disk = point.committed;
        continue;
      }
      segment.sync_failed.store(true, std::memory_order_relaxed);
      failures_.fetch_add(1, std::memory_order_relaxed);
      log::error("store: cannot sync a journal segment in {}: {}; {}; its events go to SQLite, and until then a loss of power may take them",
                 pools_[pool]->config().directory.string(), errno_text(error), errno_remedy(error));
      writer_.notify();
    }
    if (!failed_from) failed_from = point.first_sequence;
  }
  synced_[pool] = std::move(synced);
  return failed_from;
}

}  // namespace understudy::store
