#pragma once
/// Threads that ask rerankers and judges for those who may not wait, with what they share: the encoder and what is kept of what was computed.
///
///     const bool taken = pool.run([=, &pool] {
///       const CachedEngines engines(*specialist, pool, stop);
///       auto scores = specialist->rerank->score(query, documents, engines.all());
///       ...   // post it to whom it belongs
///     });

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "neural/encoder_pool.h"
#include "specialists/late_interaction.h"
#include "specialists/score_cache.h"

namespace understudy::specialists {

struct ScorePoolOptions {
  unsigned threads = 0;                ///< requests at a time; 0: one a processor, 2 at least, 8 at most
  std::size_t most_waiting = 128;      ///< requests; beyond, one is turned away
  std::size_t cache_bytes = std::size_t{64} << 20;   ///< half of them for vectors and scores, half for texts read token by token; 0: nothing is kept
  const Clock* clock = &system_clock();
};

/// Since the start, but for `waiting`.
struct ScorePoolCounts {
  std::uint64_t begun = 0, turned_away = 0;
  std::int64_t waited_ns = 0;          ///< of all, from their coming to their begin
  std::int64_t worked_ns = 0;          ///< of those that have ended
  std::size_t waiting = 0;
};

/// Thread-safe. Requests run side by side and take turns at the engines, each a few texts at a time: a large one does not hold up small ones for long.
class ScorePool {
 public:
  /// @param encoder  null: none runs here
  explicit ScorePool(std::shared_ptr<neural::EncoderPool> encoder, ScorePoolOptions options = {});
  ~ScorePool();   ///< runs what waits, then joins
  ScorePool(const ScorePool&) = delete;
  ScorePool& operator=(const ScorePool&) = delete;

  /// Calls `work` once on a thread of the pool; threads start with the first one. False: turned away, and `work` is never called.
  [[nodiscard]] bool run(std::move_only_function<void()> work);

  const neural::TextEncoder* encoder() const;   ///< null: none runs here
  void release_encoder();                       ///< at the end, when nothing runs any more: what waits for it is answered by who owns it then
  ScoreCache& cache();
  TextMemory* memory();                         ///< of texts read token by token; null: none are kept
  ScoreCacheCounts kept() const;                ///< of both
  ScorePoolCounts counts() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::specialists
