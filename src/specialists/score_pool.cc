#include "specialists/score_pool.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace understudy::specialists {

struct ScorePool::Impl {
  struct Job {
    std::move_only_function<void()> work;
    MonoTime came;
  };

  std::shared_ptr<neural::EncoderPool> encoder;
  ScorePoolOptions options;
  ScoreCache cache;
  std::unique_ptr<TextMemory> memory;
  mutable std::mutex mutex;
  std::condition_variable woken;
  std::deque<Job> waiting;             // guarded by mutex, like all below
  bool stopping = false;
  ScorePoolCounts counts;              // but for what waits
  std::vector<std::thread> threads;

  Impl(std::shared_ptr<neural::EncoderPool> e, ScorePoolOptions o) : encoder(std::move(e)), options(o), cache(o.cache_bytes / 2) {
    if (encoder && options.cache_bytes > 0) memory = std::make_unique<TextMemory>(options.cache_bytes / 2);
  }

  void run() {
    while (true) {
      Job job;
      MonoTime begun;
      {
        std::unique_lock lock(mutex);
        woken.wait(lock, [this] { return stopping || !waiting.empty(); });
        if (waiting.empty()) return;
        job = std::move(waiting.front());
        waiting.pop_front();
        begun = options.clock->mono();
        ++counts.begun;
        counts.waited_ns += begun.ns - job.came.ns;
      }
      job.work();
      const MonoTime ended = options.clock->mono();
      const std::lock_guard lock(mutex);
      counts.worked_ns += ended.ns - begun.ns;
    }
  }
};

ScorePool::ScorePool(std::shared_ptr<neural::EncoderPool> encoder, ScorePoolOptions options) {
  if (options.threads == 0) options.threads = std::clamp(std::thread::hardware_concurrency(), 2u, 8u);
  impl_ = std::make_unique<Impl>(std::move(encoder), options);
}

ScorePool::~ScorePool() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->woken.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
}

bool ScorePool::run(std::move_only_function<void()> work) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->stopping || impl_->waiting.size() >= impl_->options.most_waiting) {
      ++impl_->counts.turned_away;
      return false;
    }
    impl_->waiting.push_back({std::move(work), impl_->options.clock->mono()});
    if (impl_->threads.empty()) {
      for (unsigned i = 0; i < impl_->options.threads; ++i) impl_->threads.emplace_back([impl = impl_.get()] { impl->run(); });
    }
  }
  impl_->woken.notify_one();
  return true;
}

const neural::TextEncoder* ScorePool::encoder() const { return impl_->encoder ? &impl_->encoder->encoder() : nullptr; }
void ScorePool::release_encoder() { impl_->encoder.reset(); }
ScoreCache& ScorePool::cache() { return impl_->cache; }
TextMemory* ScorePool::memory() { return impl_->memory.get(); }

ScoreCacheCounts ScorePool::kept() const {
  ScoreCacheCounts out = impl_->cache.counts();
  if (!impl_->memory) return out;
  const ScoreCacheCounts texts = impl_->memory->counts();
  out.hits += texts.hits;
  out.misses += texts.misses;
  out.bytes += texts.bytes;
  out.entries += texts.entries;
  return out;
}

ScorePoolCounts ScorePool::counts() const {
  const std::lock_guard lock(impl_->mutex);
  ScorePoolCounts counts = impl_->counts;
  counts.waiting = impl_->waiting.size();
  return counts;
}

}  // namespace understudy::specialists
