#include "neural/encoder_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace understudy::neural {
namespace {

/// A vector of a text's length and batch size; can be held up.
class Lengths final : public TextEncoder {
 public:
  const EncoderIdentity& identity() const override { return identity_; }
  std::size_t dimension() const override { return 2; }
  std::size_t max_tokens() const override { return 8; }
  const WordPiece& tokenizer() const override { std::abort(); }
  Result<void> embed(std::span<const std::string_view> texts, std::span<float> vectors) const override {
    {
      std::unique_lock lock(mutex);
      ++begun;
      changed.notify_all();
      changed.wait(lock, [this] { return !held; });
    }
    if (std::ranges::count(texts, std::string_view("fail")) > 0) return fail(ErrorKind::kInternal, "told to");
    for (std::size_t i = 0; i < texts.size(); ++i) {
      vectors[2 * i] = static_cast<float>(texts[i].size());
      vectors[2 * i + 1] = static_cast<float>(texts.size());
    }
    return {};
  }
  Result<std::vector<float>> token_vectors(const Tokens&) const override { return fail(ErrorKind::kUnsupported, "no"); }

  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  mutable int begun = 0;
  bool held = false;

 private:
  EncoderIdentity identity_{"lengths", "w", "t", "s", "fp32", "avx2", "none"};
};

TEST(EncoderPool, TextsInBulkLetRequestsPassButDoNotWaitForEver) {
  auto owned = std::make_unique<Lengths>();
  Lengths& encoder = *owned;
  encoder.held = true;
  std::mutex mutex;
  std::vector<std::size_t> order;
  {
    EncoderPool pool(std::move(owned), {.threads = 1, .most_waiting = 20, .most_bulk = 30, .batch_texts = 8});
    const auto ask = [&](std::size_t size, Lane lane) {
      return pool.embed(
          std::string(size, 'x'),
          [&, size](std::span<const float>) {
            const std::lock_guard lock(mutex);
            order.push_back(size);
          },
          lane);
    };
    ASSERT_TRUE(ask(1, Lane::kRequest));
    {
      std::unique_lock lock(encoder.mutex);
      encoder.changed.wait(lock, [&] { return encoder.begun == 1; });
    }
    for (int i = 0; i < 30; ++i) EXPECT_TRUE(ask(1'000, Lane::kBulk));
    EXPECT_FALSE(ask(1'000, Lane::kBulk)) << "a limit of its own";
    for (int i = 0; i < 12; ++i) EXPECT_TRUE(ask(2, Lane::kRequest));
    {
      const std::lock_guard lock(encoder.mutex);
      encoder.held = false;
    }
    encoder.changed.notify_all();
  }
  ASSERT_EQ(order.size(), 43u);
  EXPECT_EQ(std::count(order.begin() + 1, order.begin() + 9, 2u), 6) << "six of the first batch of eight";
  EXPECT_EQ(std::count(order.begin() + 9, order.begin() + 17, 2u), 6);
  EXPECT_EQ(std::count(order.begin() + 17, order.end(), 1'000u), 26);
}

TEST(EncoderPool, AnswersEachOnceInBatchesAndTurnsAwayWhatIsTooMuch) {
  auto owned = std::make_unique<Lengths>();
  Lengths& encoder = *owned;
  encoder.held = true;
  std::mutex mutex;
  std::vector<std::pair<std::size_t, std::vector<float>>> got;
  std::size_t accepted = 0;
  ManualClock clock;
  EncoderPoolCounts after;
  {
    EncoderPool pool(std::move(owned), {.threads = 1, .most_waiting = 20, .batch_texts = 16, .clock = &clock});
    EXPECT_NE(pool.key(), 0u);
    const auto ask = [&](std::size_t size) {
      return pool.embed(std::string(size, 'x'), [&, size](std::span<const float> v) {
        const std::lock_guard lock(mutex);
        got.emplace_back(size, std::vector<float>(v.begin(), v.end()));
      });
    };
    ASSERT_TRUE(ask(1));
    {
      std::unique_lock lock(encoder.mutex);
      encoder.changed.wait(lock, [&] { return encoder.begun == 1; });
    }
    for (std::size_t i = 2; i < 40; ++i) accepted += ask(i);
    EXPECT_EQ(accepted, 20u);
    const EncoderPoolCounts meanwhile = pool.counts();
    EXPECT_EQ(meanwhile.turned_away, 18u);
    EXPECT_EQ(meanwhile.waiting, 20u);
    EXPECT_EQ(meanwhile.batches, 1u);
    clock.advance_ms(3);
    {
      const std::lock_guard lock(encoder.mutex);
      encoder.held = false;
    }
    encoder.changed.notify_all();
    while ((after = pool.counts()).texts < 21) std::this_thread::yield();
  }
  ASSERT_EQ(got.size(), 21u);
  for (const auto& [size, vector] : got) {
    ASSERT_EQ(vector.size(), 2u);
    EXPECT_EQ(vector[0], static_cast<float>(size));
  }
  EXPECT_EQ(got[1].second[1], 16) << "those who came meanwhile share a batch";
  EXPECT_EQ(after.batches, 3u);
  EXPECT_EQ(after.waiting, 0u);
  EXPECT_EQ(after.waited_ns, 20 * 3'000'000);
}

TEST(EncoderPool, AFailureIsAnEmptyVector) {
  EncoderPool pool(std::make_unique<Lengths>());
  std::mutex mutex;
  std::condition_variable changed;
  int empty = -1;
  ASSERT_TRUE(pool.embed("fail", [&](std::span<const float> v) {
    const std::lock_guard lock(mutex);
    empty = v.empty();
    changed.notify_all();
  }));
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return empty >= 0; });
  EXPECT_EQ(empty, 1);
  EXPECT_EQ(pool.counts().texts, 0u);
  EXPECT_EQ(pool.counts().failed, 1u);
}

}  // namespace
}  // namespace understudy::neural
