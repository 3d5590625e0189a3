#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "cascade/promise.h"
#include "gateway/gateway.h"

namespace understudy::gateway::internal {

/// What all reactors of one gateway share.
struct Shared {
  GatewayOptions options;
  store::Store* store = nullptr;
  cascade::AnswerCache cache;
  cascade::LabelBudget label_budget;
  std::unique_ptr<cascade::PromiseService> promises;
  std::vector<std::unique_ptr<cascade::Counters>> counters;   ///< one a reactor
  std::atomic<bool> draining{false};
  std::atomic<bool> exporting{false};
  std::atomic<const net::Server*> server{nullptr};            ///< set once it is up
  WallTime started;

  mutable std::mutex mutex;
  Snapshot snapshot;   ///< guarded; reactors hold their own copy

  explicit Shared(GatewayOptions o) : options(std::move(o)), cache(options.cache_bytes) {}
};

/// Prometheus text exposition of everything that is counted.
std::string metrics_text(const Shared& shared);

}  // namespace understudy::gateway::internal
