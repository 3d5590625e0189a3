#include "gateway/rate_meter.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace understudy::gateway {
namespace {

constexpr MonoTime kStart{5'000'000'000};

TEST(RateMeter, AdmitsABurstThenOneEachInterval) {
  RateMeter meter({3, 60'000});
  for (const std::int64_t left : {2, 1, 0}) {
    const RateState state = meter.take(kStart);
    EXPECT_TRUE(state.admitted);
    EXPECT_EQ(state.limit, 3);
    EXPECT_EQ(state.remaining, left);
  }
  const RateState refused = meter.take(kStart.plus_ms(1));
  EXPECT_FALSE(refused.admitted);
  EXPECT_EQ(refused.retry_after_ms, 19'999);
  EXPECT_EQ(refused.reset_ms, 59'999);
  EXPECT_FALSE(meter.take(kStart.plus_ms(19'999)).admitted);
  EXPECT_TRUE(meter.take(kStart.plus_ms(20'000)).admitted) << "waiting as long as was said is enough";
  EXPECT_FALSE(meter.take(kStart.plus_ms(20'000)).admitted);
  EXPECT_EQ(meter.refused(), 3u);
  EXPECT_EQ(meter.take(kStart.plus_ms(600'000)).remaining, 2) << "never more than the limit is saved up";
}

TEST(RateMeter, AnotherLimitKeepsWhatWasUsed) {
  RateMeter meter({10, 60'000});
  for (int i = 0; i < 8; ++i) meter.take(kStart);
  meter.set_limit({20, 60'000}, kStart);
  EXPECT_EQ(meter.take(kStart).remaining, 20 - 8 - 1);
  meter.set_limit({5, 60'000}, kStart);
  EXPECT_FALSE(meter.take(kStart).admitted) << "9 are more than 5";
  EXPECT_FALSE(meter.take(kStart.plus_ms(59'999)).admitted) << "9 used at 12 s each: 4 over the limit and one more";
  EXPECT_TRUE(meter.take(kStart.plus_ms(60'000)).admitted);
}

TEST(RateMeter, ThreadsTogetherGetNoMoreThanTheLimit) {
  RateMeter meter({1'000, 3'600'000});
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) admitted += meter.take(kStart).admitted ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(admitted, 1'000);
}

TEST(RateMeter, ResetTimesAreWrittenAsOpenAiDoes) {
  EXPECT_EQ(rate_reset_text(0), "0s");
  EXPECT_EQ(rate_reset_text(120), "120ms");
  EXPECT_EQ(rate_reset_text(1'000), "1s");
  EXPECT_EQ(rate_reset_text(1'500), "1.5s");
  EXPECT_EQ(rate_reset_text(20'000), "20s");
  EXPECT_EQ(rate_reset_text(360'000), "6m0s");
  EXPECT_EQ(rate_reset_text(61'250), "1m1.25s");
}

TEST(RateMeter, TakesManyAtOnceAndCorrectsThem) {
  RateMeter meter({1'000, 60'000});
  EXPECT_EQ(meter.take(kStart, 400).remaining, 600);
  const RateState refused = meter.take(kStart, 700);
  EXPECT_FALSE(refused.admitted);
  EXPECT_EQ(refused.remaining, 600);
  EXPECT_EQ(refused.retry_after_ms, 6'000) << "100 more come in";
  meter.charge(kStart, -300);
  EXPECT_EQ(meter.take(kStart, 900).remaining, 0) << "less was used than taken";
  meter.charge(kStart, 500);
  EXPECT_EQ(meter.take(kStart, 1).retry_after_ms, 30'060) << "more was used than there was: the debt is waited off first";
  EXPECT_TRUE(meter.take(kStart.plus_ms(30'060), 1).admitted);
}

TEST(RateMeter, WhatIsMoreThanTheLimitWaitsForAFullMeter) {
  RateMeter meter({1'000, 60'000});
  EXPECT_TRUE(meter.take(kStart, 1).admitted);
  EXPECT_EQ(meter.take(kStart, 5'000).retry_after_ms, 60);
  EXPECT_TRUE(meter.take(kStart.plus_ms(60), 5'000).admitted);
}

}  // namespace
}  // namespace understudy::gateway
