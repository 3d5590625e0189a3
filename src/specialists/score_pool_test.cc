#include "specialists/score_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace understudy::specialists {
namespace {

TEST(ScorePool, RunsWhatComesSideBySideAndAnswersAllOfItAtItsEnd) {
  std::atomic<int> ran{0};
  {
    ScorePool pool(nullptr, {.threads = 2, .most_waiting = 100});
    EXPECT_EQ(pool.encoder(), nullptr);
    std::promise<void> first, second;
    ASSERT_TRUE(pool.run([&] {
      first.set_value();
      second.get_future().wait();   // only where both run at the same time
    }));
    ASSERT_TRUE(pool.run([&] {
      first.get_future().wait();
      second.set_value();
    }));
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(pool.run([&] { ++ran; }));
  }
  EXPECT_EQ(ran, 50);
}

TEST(ScorePool, BeyondItsQueueWorkIsTurnedAway) {
  ScorePool pool(nullptr, {.threads = 1, .most_waiting = 2});
  std::promise<void> begun, go;
  ASSERT_TRUE(pool.run([&] {
    begun.set_value();
    go.get_future().wait();
  }));
  begun.get_future().wait();
  bool ran = false;
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
