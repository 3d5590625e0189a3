#include "lessons/offer.h"

#include <gtest/gtest.h>

#include "base/daily_budget.h"

namespace understudy::lessons {
namespace {

constexpr WallTime kNow{1'760'000'000'000'000};

LessonOffer offer_of(const char* id, double usd, const char* task = "intent") {
  LessonOffer o;
  o.request_id = id;
  o.scope = {"acme", "default", task, 1};
  o.body = "{}";
  o.answer = "a";
  o.teacher_cost = Picousd{static_cast<std::int64_t>(usd * 1e12)};
  o.student_agrees = false;
  return o;
}

std::string pop(OfferQueue& queue) {
  auto taken = queue.pop();
  return taken ? taken->offer.request_id : "";
}

TEST(OfferQueue, TheMostValuableComesFirst) {
  OfferQueue queue;
  // Each task offers once, so that frequency is the same.
  EXPECT_TRUE(queue.push(offer_of("cheap", 0.001, "a"), kNow));
  EXPECT_TRUE(queue.push(offer_of("dear", 0.1, "b"), kNow));
  LessonOffer right = offer_of("right", 0.1, "c");
  right.student_agrees = true;
  EXPECT_TRUE(queue.push(right, kNow));
  LessonOffer told = offer_of("told", 0.000001, "d");
  told.provenance = Provenance::kFeedback;
  EXPECT_TRUE(queue.push(told, kNow));
  EXPECT_EQ(pop(queue), "told") << "users' corrections first";
  EXPECT_EQ(pop(queue), "dear");
  EXPECT_EQ(pop(queue), "right");
  EXPECT_EQ(pop(queue), "cheap");
  EXPECT_EQ(pop(queue), "");
}

TEST(OfferQueue, WhatComesOftenIsWorthMore) {
  OfferQueue queue;
  queue.push(offer_of("rare", 0.01, "rare"), kNow);
  for (int i = 0; i < 5; ++i) queue.push(offer_of("often", 0.01, "often"), kNow);
  EXPECT_EQ(pop(queue), "often");
}

TEST(OfferQueue, AFullQueueDropsTheLeastAndCounts) {
  OfferQueue queue({2, 1 << 20});
  EXPECT_TRUE(queue.push(offer_of("b", 0.02, "b"), kNow));
  EXPECT_TRUE(queue.push(offer_of("c", 0.03, "c"), kNow));
  EXPECT_FALSE(queue.push(offer_of("a", 0.01, "a"), kNow));
  EXPECT_TRUE(queue.push(offer_of("d", 0.04, "d"), kNow));
  EXPECT_EQ(queue.dropped(), 2u);
  EXPECT_EQ(pop(queue), "d");
  EXPECT_EQ(pop(queue), "c");
  EXPECT_EQ(pop(queue), "");
}

TEST(OfferQueue, BytesAreBoundedToo) {
  OfferQueue queue({100, 10'000});
  LessonOffer large = offer_of("large", 1, "x");
  large.body.assign(20'000, 'x');
  EXPECT_FALSE(queue.push(large, kNow));
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_TRUE(queue.push(offer_of("small", 0.1, "y"), kNow));
}

TEST(OfferQueue, NeedFollowsWhatIsKnown) {
  LessonOffer o = offer_of("x", 1);
  EXPECT_EQ(need_of(o), 1);
  o.student_agrees = true;
  EXPECT_EQ(need_of(o), 0.25);
  o.student_agrees.reset();
  EXPECT_EQ(need_of(o), 0.5);
  o.student_confidence = 0.9;
  EXPECT_NEAR(need_of(o), 0.1, 1e-12);
}

TEST(DailyBudget, IsNeverPassedAndKnowsNoFreeCalls) {
  DailyBudget budget;
  EXPECT_FALSE(budget.reserve(Picousd{100}, std::nullopt, kNow)) << "an unknown price is not zero";
  EXPECT_FALSE(budget.reserve(std::nullopt, Picousd{1}, kNow));
  EXPECT_FALSE(budget.reserve(Picousd{0}, Picousd{1}, kNow));
  EXPECT_TRUE(budget.reserve(Picousd{100}, Picousd{60}, kNow));
  EXPECT_FALSE(budget.reserve(Picousd{100}, Picousd{60}, kNow));
  budget.settle(Picousd{60}, Picousd{30});
  EXPECT_TRUE(budget.reserve(Picousd{100}, Picousd{60}, kNow));
  const WallTime tomorrow{kNow.us + 86'400'000'000};
  EXPECT_EQ(budget.spent_today(tomorrow).value, 0);
  EXPECT_TRUE(budget.reserve(Picousd{100}, Picousd{60}, tomorrow));
  EXPECT_FALSE(budget.reserve(Picousd{100}, Picousd{60}, kNow)) << "a clock that goes back brings nothing";
}

}  // namespace
}  // namespace understudy::lessons
