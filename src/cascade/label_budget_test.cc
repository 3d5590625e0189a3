#include "cascade/label_budget.h"

#include <gtest/gtest.h>

namespace understudy::cascade {
namespace {

constexpr std::int64_t kDayUs = std::int64_t{24} * 3600 * 1'000'000;
constexpr std::int64_t kMidnightUs = 20'000 * kDayUs;
constexpr Picousd kLimit{100};

WallTime at(std::int64_t day, std::int64_t us = 0) { return {kMidnightUs + day * kDayUs + us}; }

TEST(LabelBudget, ALaterDayBringsANewOne) {
  LabelBudget budget;
  EXPECT_TRUE(budget.reserve(kLimit, Picousd{60}, at(0)));
  EXPECT_FALSE(budget.reserve(kLimit, Picousd{60}, at(1, -1)));
  EXPECT_TRUE(budget.reserve(kLimit, Picousd{40}, at(1, -1))) << "to the last picodollar";
  EXPECT_TRUE(budget.reserve(kLimit, Picousd{60}, at(1)));
  EXPECT_EQ(budget.spent_today().value, 60);
}

TEST(LabelBudget, AClockThatJumpsForwardAndBackBringsOneNewBudgetNotTwo) {
  LabelBudget budget;
  EXPECT_TRUE(budget.reserve(kLimit, Picousd{100}, at(5)));
  EXPECT_TRUE(budget.reserve(kLimit, Picousd{100}, at(9))) << "it seems to be a later day";
  EXPECT_FALSE(budget.reserve(kLimit, Picousd{1}, at(5)));
  EXPECT_FALSE(budget.reserve(kLimit, Picousd{1}, at(9)));
  EXPECT_FALSE(budget.reserve(kLimit, Picousd{1}, at(8)));
  EXPECT_TRUE(budget.reserve(kLimit, Picousd{1}, at(10)));
}

TEST(LabelBudget, ARestartGoesOnWithTheDay) {
  LabelBudget budget;
  budget.restore(Picousd{70}, at(3));
  EXPECT_EQ(budget.spent_today().value, 70);
  EXPECT_FALSE(budget.reserve(kLimit, Picousd{31}, at(3, 1000)));
  EXPECT_TRUE(budget.reserve(kLimit, Picousd{30}, at(3, 1000)));
  EXPECT_TRUE(budget.reserve(kLimit, Picousd{100}, at(4)));
}

TEST(LabelBudget, SettlingReplacesTheEstimate) {
  LabelBudget budget;
  ASSERT_TRUE(budget.reserve(kLimit, Picousd{80}, at(0)));
  budget.settle(Picousd{80}, Picousd{30});
  EXPECT_EQ(budget.spent_today().value, 30);
  ASSERT_TRUE(budget.reserve(kLimit, Picousd{70}, at(0)));
  budget.settle(Picousd{70}, std::nullopt);
  EXPECT_EQ(budget.spent_today().value, 100) << "an unknown cost counts as what was set aside";
  EXPECT_TRUE(budget.reserve(std::nullopt, Picousd{1}, at(0))) << "no limit";
  EXPECT_TRUE(budget.reserve(kLimit, std::nullopt, at(0))) << "no price";
}

}  // namespace
}  // namespace understudy::cascade
