#include "specialists/score_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace understudy::specialists {
namespace {

TEST(ScorePool, RunsWhatComesSideBySideAndAnswersAllOfItAtItsEnd) {
  std::atomic<int> ran{0};
  std::promise<void> first, second;   // outlive the pool's threads: set_value may still be at work when the waiter goes on
  {
    ScorePool pool(nullptr, {.threads = 2, .most_waiting = 100});
    EXPECT_EQ(pool.encoder(), nullptr);
    const auto first_is_set = first.get_future().share(), second_is_set = second.get_future().share();
    ASSERT_TRUE(pool.run([&first, second_is_set] {
      first.set_value();
      second_is_set.wait();   // only where both run at the same time
    }));
    ASSERT_TRUE(pool.run([&second, first_is_set] {
      first_is_set.wait();
      second.set_value();
    }));
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(pool.run([&] { ++ran; }));
  }
  EXPECT_EQ(ran, 50);
}

TEST(ScorePool, BeyondItsQueueWorkIsTurnedAway) {
  std::promise<void> begun, go;
  bool ran = false;
  ScorePool pool(nullptr, {.threads = 1, .most_waiting = 2});
  const auto may_go = go.get_future().share();
  ASSERT_TRUE(pool.run([&begun, may_go] {
    begun.set_value();
    may_go.wait();
  }));
  begun.get_future().wait();
  EXPECT_TRUE(pool.run([] {}));
  EXPECT_TRUE(pool.run([] {}));
  EXPECT_FALSE(pool.run([&] { ran = true; }));
  const ScorePoolCounts counts = pool.counts();
  EXPECT_EQ(counts.begun, 1u);
  EXPECT_EQ(counts.waiting, 2u);
  EXPECT_EQ(counts.turned_away, 1u);
  go.set_value();
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace understudy::specialists
