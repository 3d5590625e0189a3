#include "providers/breaker.h"

#include <gtest/gtest.h>

namespace understudy::providers {
namespace {

using Change = Breaker::Change;

class BreakerTest : public ::testing::Test {
 protected:
  Change call(bool success) {
    const auto pass = breaker_.admit(now());
    EXPECT_TRUE(pass);
    return pass ? breaker_.report(*pass, success, now()) : Change::kNone;
  }
  void fail_until_open() {
    for (int i = 0; i < 4; ++i) EXPECT_EQ(call(false), Change::kNone);
    EXPECT_EQ(call(false), Change::kOpened);
  }
  MonoTime now() const { return clock_.mono(); }
  BreakerState state() const { return breaker_.state(now()); }

  ManualClock clock_;
  Breaker breaker_;
};

TEST_F(BreakerTest, OpensAfterFailuresInARow) {
  fail_until_open();
  EXPECT_EQ(state(), BreakerState::kOpen);
  EXPECT_FALSE(breaker_.admit(now()));
  EXPECT_EQ(breaker_.rest_ms(now()), 2'000);
  EXPECT_EQ(breaker_.opened(), 1u);
  EXPECT_EQ(breaker_.refused(), 1u);
}

TEST_F(BreakerTest, OneSuccessBreaksTheRow) {
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) call(false);
    call(true);
    clock_.advance_ms(11'000);  // so that the share over the window stays out of it
  }
  EXPECT_EQ(state(), BreakerState::kClosed);
}

TEST_F(BreakerTest, OpensOnTheShareOfFailuresAmongEnoughCalls) {
  for (int i = 0; i < 19; ++i) EXPECT_EQ(call(i % 2 == 1), Change::kNone) << i;  // success and failure in turns
  EXPECT_EQ(call(false), Change::kOpened) << "twenty calls, eleven failures";
}

TEST_F(BreakerTest, AFewFailuresAmongManyCallsAreNoReason) {
  for (int i = 0; i < 500; ++i) EXPECT_EQ(call(i % 3 != 0), Change::kNone) << i;
  EXPECT_EQ(state(), BreakerState::kClosed);
}

TEST_F(BreakerTest, ForgetsWhatIsOlderThanTheWindow) {
  for (int i = 0; i < 18; ++i) call(i % 2 == 1);
  clock_.advance_ms(10'000);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(call(i % 2 == 1), Change::kNone);
  EXPECT_EQ(state(), BreakerState::kClosed);
}

TEST_F(BreakerTest, LetsOneTrialThroughAndClosesOnItsSuccess) {
  fail_until_open();
  clock_.advance_ms(1'999);
  EXPECT_FALSE(breaker_.admit(now()));
  clock_.advance_ms(1);
  EXPECT_EQ(state(), BreakerState::kHalfOpen);
  const auto trial = breaker_.admit(now());
  ASSERT_TRUE(trial);
  EXPECT_TRUE(trial->trial);
  EXPECT_FALSE(breaker_.admit(now())) << "one trial at a time";
  EXPECT_EQ(breaker_.report(*trial, true, now()), Change::kClosed);
  EXPECT_EQ(state(), BreakerState::kClosed);
  EXPECT_FALSE(breaker_.admit(now())->trial);
}

TEST_F(BreakerTest, AFailedTrialDoublesTheRestUpToItsBound) {
  fail_until_open();
  for (const std::int64_t rest_ms : {2'000, 4'000, 8'000, 16'000, 30'000, 30'000}) {
    EXPECT_EQ(breaker_.rest_ms(now()), rest_ms);
    clock_.advance_ms(rest_ms);
    EXPECT_EQ(call(false), Change::kOpened);
  }
  clock_.advance_ms(30'000);
  EXPECT_EQ(call(true), Change::kClosed);
  fail_until_open();
  EXPECT_EQ(breaker_.rest_ms(now()), 2'000) << "a success starts over";
}

TEST_F(BreakerTest, ATrialWithoutAnOutcomeDoesNotHoldTheOthersForEver) {
  fail_until_open();
  clock_.advance_ms(2'000);
  ASSERT_TRUE(breaker_.admit(now()));  // its client leaves: nothing is reported
  clock_.advance_ms(999);
  EXPECT_FALSE(breaker_.admit(now()));
  clock_.advance_ms(1);
  EXPECT_EQ(call(true), Change::kClosed);
}

TEST_F(BreakerTest, OutcomesOfEarlierStatesAreIgnored) {
  const auto early = breaker_.admit(now());
  const auto early_too = breaker_.admit(now());
  fail_until_open();
  EXPECT_EQ(breaker_.report(*early, true, now()), Change::kNone) << "it was answered before the trouble";
  clock_.advance_ms(2'000);
  const auto trial = breaker_.admit(now());
  EXPECT_EQ(breaker_.report(*early_too, false, now()), Change::kNone) << "a call that hung since is not the trial";
  EXPECT_EQ(state(), BreakerState::kHalfOpen);
  EXPECT_EQ(breaker_.report(*trial, true, now()), Change::kClosed);
}

}  // namespace
}  // namespace understudy::providers
