#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "base/budget.h"
#include "cascade/promise.h"
#include "gateway/gateway.h"
#include "gateway/idempotency.h"
#include "gateway/internal/promise_figures.h"
#include "lessons/few_shots.h"
#include "lessons/service.h"
#include "monitors/recheck_service.h"
#include "specialists/score_pool.h"

namespace understudy::gateway::internal {

/// Of answers that are kept for requests with an idempotency key, all together.
inline constexpr std::size_t kKeyedBytes = std::size_t{64} << 20;

/// Answered requests to rerankers and judges, and of how much.
struct PairCounters {
  std::atomic<std::uint64_t> reranks{0}, documents{0}, scores{0}, pairs{0};
};

inline specialists::ScorePoolOptions score_options(const GatewayOptions& options) {
  specialists::ScorePoolOptions out;
  out.cache_bytes = options.score_cache_bytes;
  out.clock = options.server.clock;
  return out;
}

/// What all reactors of one gateway share.
struct Shared {
  GatewayOptions options;
  store::Store* store = nullptr;
  cascade::AnswerCache cache;
  cascade::LabelBudget label_budget;
  BudgetLedger budgets;                                       ///< outlives all who pay from it
  IdempotencyStore keyed{kKeyedBytes};
  std::unique_ptr<lessons::LessonService> lessons;            ///< null where nothing is recorded
  std::unique_ptr<lessons::FewShots> few_shots;               ///< of its book; null where there is none
  std::unique_ptr<cascade::PromiseService> promises;          ///< its thread keeps few_shots up to date, so it goes first
  std::unique_ptr<PromiseFigures> promise_figures;            ///< of it, so it goes first
  std::vector<std::unique_ptr<cascade::Counters>> counters;   ///< one a reactor
  std::atomic<bool> draining{false};
  std::atomic<bool> exporting{false};
  std::atomic<int> admin_running{0};                          ///< questions being answered on threads of their own
  std::atomic<int> work_aside{0};                             ///< large requests about texts, the same
  specialists::ScorePool scores;                              ///< asks rerankers and judges
  PairCounters pair_counters;
  std::atomic<const net::Server*> server{nullptr};            ///< set once it is up
  WallTime started;

  mutable std::mutex mutex;
  Snapshot snapshot;   ///< guarded; reactors hold their own copy

  std::unique_ptr<monitors::RecheckService> rechecks;   ///< its thread uses what stands above, so it goes first; null: none were configured at the start

  explicit Shared(GatewayOptions o) : options(std::move(o)), cache(options.cache_bytes), budgets(options.calendar), scores(options.encoder, score_options(options)) {}
};

/// Prometheus text exposition of everything that is counted.
std::string metrics_text(const Shared& shared);

}  // namespace understudy::gateway::internal
