#include "neural/encoder_pool.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "base/log.h"

namespace understudy::neural {

struct EncoderPool::Impl {
  struct Job {
    std::string text;
    std::move_only_function<void(std::span<const float>)> done;
  };

  std::unique_ptr<TextEncoder> encoder;
  EncoderPoolOptions options;
  std::mutex mutex;
  std::condition_variable woken;
  std::deque<Job> waiting, bulk;                  // guarded by mutex, like all below
  bool stopping = false;
  std::size_t embedded = 0, turned_away = 0, failures = 0;
  std::vector<std::thread> threads;

  void run() {
    std::vector<Job> batch;
    std::vector<std::string_view> texts;
    std::vector<float> vectors;
    while (take(batch)) {
      texts.clear();
      for (const Job& job : batch) texts.push_back(job.text);
      const std::size_t dimension = encoder->dimension();
      vectors.resize(texts.size() * dimension);
      const auto computed = encoder->embed(texts, vectors);
      note(batch.size(), computed);
      for (std::size_t i = 0; i < batch.size(); ++i) {
        batch[i].done(computed ? std::span<const float>(vectors).subspan(i * dimension, dimension) : std::span<const float>());
      }
      batch.clear();
    }
  }

  bool take(std::vector<Job>& batch) {
    std::unique_lock lock(mutex);
    woken.wait(lock, [this] { return stopping || !waiting.empty() || !bulk.empty(); });
    const std::size_t kept = std::min(bulk.size(), std::max<std::size_t>(1, options.batch_texts / 4));
    move(waiting, options.batch_texts - std::min(kept, options.batch_texts - 1), batch);
    move(bulk, options.batch_texts - batch.size(), batch);
    return !batch.empty();
  }

  static void move(std::deque<Job>& from, std::size_t most, std::vector<Job>& batch) {
    for (; most > 0 && !from.empty(); --most) {
      batch.push_back(std::move(from.front()));
      from.pop_front();
    }
  }

  void note(std::size_t texts, const Result<void>& computed) {
    const std::lock_guard lock(mutex);
    if (computed) {
      embedded += texts;
    } else if (failures++ == 0) {
      log::error("the encoder failed: {}; requests go on without its vectors", computed.error().message);
    }
  }
};

EncoderPool::EncoderPool(std::unique_ptr<TextEncoder> encoder, EncoderPoolOptions options) : impl_(std::make_unique<Impl>()) {
  key_ = key_of(encoder->identity());
  impl_->encoder = std::move(encoder);
  impl_->options = options;
  for (unsigned i = 0; i < std::max(1u, options.threads); ++i) impl_->threads.emplace_back([impl = impl_.get()] { impl->run(); });
}

EncoderPool::~EncoderPool() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->woken.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
}

bool EncoderPool::embed(std::string text, std::move_only_function<void(std::span<const float>)> done, Lane lane) {
  {
    const std::lock_guard lock(impl_->mutex);
    auto& queue = lane == Lane::kBulk ? impl_->bulk : impl_->waiting;
    if (impl_->stopping || queue.size() >= (lane == Lane::kBulk ? impl_->options.most_bulk : impl_->options.most_waiting)) {
      ++impl_->turned_away;
      return false;
    }
    queue.push_back({std::move(text), std::move(done)});
  }
  impl_->woken.notify_one();
  return true;
}

std::uint64_t EncoderPool::key_of(const EncoderIdentity& identity) { return std::max<std::uint64_t>(1, hash64(identity.key())); }
const TextEncoder& EncoderPool::encoder() const { return *impl_->encoder; }
const EncoderIdentity& EncoderPool::identity() const { return impl_->encoder->identity(); }

std::size_t EncoderPool::embedded() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->embedded;
}

std::size_t EncoderPool::turned_away() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->turned_away;
}

}  // namespace understudy::neural
