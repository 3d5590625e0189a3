#include "store/internal/sync_thread.h"

#include <unistd.h>

namespace understudy::store {

SyncThread::SyncThread(std::vector<SegmentPool*> pools, Signal& signal) : pools_(std::move(pools)), signal_(signal), synced_(pools_.size()) {
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
      const bool ok = sync(i);
      if (!ok) failures_.fetch_add(1, std::memory_order_relaxed);
      for (auto& waiter : waiters) waiter.done(ok);
    }
  }
}

/// A segment that is not live any more is in SQLite, which is durable before segments are released.
bool SyncThread::sync(std::size_t pool) {
  bool ok = true;
  std::map<std::uint64_t, std::size_t> synced;
  for (const auto& segment : pools_[pool]->live()) {
    const std::size_t committed = segment->committed.load(std::memory_order_acquire);
    const auto known = synced_[pool].find(segment->number);
    std::size_t& on_disk = synced[segment->number];
    if (known != synced_[pool].end()) on_disk = known->second;
    if (on_disk >= committed) continue;
    if (fdatasync(segment->fd) == 0) {
      on_disk = committed;
    } else {
      ok = false;
    }
  }
  synced_[pool] = std::move(synced);
  return ok;
}

}  // namespace understudy::store
