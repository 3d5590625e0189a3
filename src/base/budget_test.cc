#include "base/budget.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/time_format.h"

namespace understudy {
namespace {

WallTime at(std::string_view text) { return *parse_rfc3339(text); }
const WallTime kNoon = at("2026-05-11T12:00:00Z");
const SpendSubject kCall{"bot", "intent", "teacher"};

Budget of(BudgetScope scope, std::string name, std::optional<std::int64_t> day, std::optional<std::int64_t> month = {}) {
  Budget budget{scope, std::move(name), {}, {}};
  if (day) budget.per_day = Picousd{*day};
  if (month) budget.per_month = Picousd{*month};
  return budget;
}

Int128 spent_today(const BudgetLedger& ledger, std::size_t i = 0) { return ledger.report(kNoon).at(i).spent_day.value; }

TEST(BudgetLedger, WithoutBudgetsEverythingPasses) {
  BudgetLedger ledger;
  EXPECT_FALSE(ledger.any());
  const auto hold = ledger.reserve(kCall, std::nullopt, kNoon);
  ASSERT_TRUE(hold);
  EXPECT_EQ(hold->count, 0u);
}

TEST(BudgetLedger, SpendsToTheLastPicodollarAndNotOneMore) {
  BudgetLedger ledger;
  ledger.configure({of(BudgetScope::kAll, "", 100)}, kNoon);
  EXPECT_TRUE(ledger.any());
  EXPECT_TRUE(ledger.reserve(kCall, Picousd{60}, kNoon));
  EXPECT_FALSE(ledger.reserve(kCall, Picousd{41}, kNoon));
  EXPECT_TRUE(ledger.reserve(kCall, Picousd{40}, kNoon));
  EXPECT_FALSE(ledger.reserve(kCall, Picousd{1}, kNoon));
  EXPECT_TRUE(ledger.reserve(kCall, Picousd{0}, kNoon)) << "what costs nothing may go on";
  EXPECT_EQ(ledger.report(kNoon).at(0).refused, 2u);
}

TEST(BudgetLedger, AllBudgetsThatApplyAreChargedOrNone) {
  BudgetLedger ledger;
  ledger.configure({of(BudgetScope::kAll, "", 100), of(BudgetScope::kKey, "bot", 50), of(BudgetScope::kTask, "intent", 1000), of(BudgetScope::kModel, "teacher", 30)}, kNoon);
  EXPECT_FALSE(ledger.reserve(kCall, Picousd{31}, kNoon)) << "the model's";
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(spent_today(ledger, i), 0) << "nothing is left set aside";
  EXPECT_TRUE(ledger.reserve(kCall, Picousd{30}, kNoon));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(spent_today(ledger, i), 30);
  EXPECT_TRUE(ledger.reserve({"bot", "other", "student"}, Picousd{20}, kNoon));
  const auto refused = ledger.reserve({"bot", "other", "student"}, Picousd{1}, kNoon);
  ASSERT_FALSE(refused) << "the key's";
  EXPECT_EQ(refused.error().kind, ErrorKind::kBudgetExceeded);
  EXPECT_NE(refused.error().message.find("the key 'bot' for this day"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("2026-05-12T00:00:00Z"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(ledger.reserve({"", "", "student"}, Picousd{50}, kNoon)) << "no key: only the gateway's";
  EXPECT_FALSE(ledger.reserve({"", "", "student"}, Picousd{1}, kNoon));
}

TEST(BudgetLedger, AnAmountThatNobodyKnowsIsRefusedWhereABudgetApplies) {
  BudgetLedger ledger;
  ledger.configure({of(BudgetScope::kModel, "teacher", 100)}, kNoon);
  EXPECT_FALSE(ledger.reserve(kCall, std::nullopt, kNoon));
  EXPECT_TRUE(ledger.reserve({"bot", "intent", "student"}, std::nullopt, kNoon));
}

TEST(BudgetLedger, SettlingReplacesWhatWasSetAside) {
  BudgetLedger ledger;
  ledger.configure({of(BudgetScope::kAll, "", 100, 150)}, kNoon);
  const auto hold = ledger.reserve(kCall, Picousd{100}, kNoon);
  ledger.settle(*hold, Picousd{30});
  EXPECT_EQ(spent_today(ledger), 30);
  EXPECT_EQ(ledger.report(kNoon).at(0).spent_month.value, 30);
  EXPECT_TRUE(ledger.reserve(kCall, Picousd{70}, kNoon));
}

TEST(BudgetLedger, ACallThatCostsMoreThanItsBoundStopsTheNextOne) {
  BudgetLedger ledger;
  ledger.configure({of(BudgetScope::kAll, "", 100)}, kNoon);
  ledger.settle(*ledger.reserve(kCall, Picousd{50}, kNoon), Picousd{130});
  EXPECT_EQ(spent_today(ledger), 130);
  EXPECT_FALSE(ledger.reserve(kCall, Picousd{1}, kNoon));
}

TEST(BudgetLedger, ANewDayIsNewMoneyWithinTheMonths) {
  BudgetLedger ledger;
  ledger.configure({of(BudgetScope::kAll, "", 100, 150)}, kNoon);
  const auto late = ledger.reserve(kCall, Picousd{100}, at("2026-05-11T23:59:59Z"));
  ASSERT_TRUE(late);
  const WallTime tomorrow = at("2026-05-12T00:00:00Z");
  EXPECT_TRUE(ledger.reserve(kCall, Picousd{50}, tomorrow));
  const auto refused = ledger.reserve(kCall, Picousd{1}, tomorrow);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("for this month"), std::string::npos) << refused.error().message;
  ledger.settle(*late, Picousd{10});
  EXPECT_EQ(ledger.report(tomorrow).at(0).spent_day.value, 50) << "yesterday's call takes nothing from today's sum";
  EXPECT_EQ(ledger.report(tomorrow).at(0).spent_month.value, 60);
  EXPECT_TRUE(ledger.reserve(kCall, Picousd{100}, at("2026-06-01T00:00:00Z")));
}

TEST(BudgetLedger, AClockThatJumpsForwardAndBackBringsOneNewBudgetNotTwo) {
  BudgetLedger ledger;
  ledger.configure({of(BudgetScope::kAll, "", 100)}, kNoon);
  EXPECT_TRUE(ledger.reserve(kCall, Picousd{100}, kNoon));
  EXPECT_TRUE(ledger.reserve(kCall, Picousd{100}, at("2026-05-15T00:00:00Z")));
  EXPECT_FALSE(ledger.reserve(kCall, Picousd{1}, kNoon));
  EXPECT_FALSE(ledger.reserve(kCall, Picousd{1}, at("2026-05-14T23:00:00Z")));
}

TEST(BudgetLedger, ARestartGoesOnWithWhatWasSpent) {
  BudgetLedger ledger;
  EXPECT_TRUE(ledger.configure({of(BudgetScope::kAll, "", 100, 1000), of(BudgetScope::kKey, "bot", 100), of(BudgetScope::kModel, "teacher", 100)}, kNoon));
  const std::vector<SpendSum> day{{"bot", "intent", "teacher", {60}}, {"other", "", "student", {10}}};
  const std::vector<SpendSum> month{{"bot", "intent", "teacher", {600}}, {"other", "", "student", {10}}};
  ledger.restore(month, day, kNoon);
  EXPECT_EQ(spent_today(ledger, 0), 70);
  EXPECT_EQ(ledger.report(kNoon).at(0).spent_month.value, 610);
  EXPECT_EQ(spent_today(ledger, 1), 60);
  EXPECT_EQ(spent_today(ledger, 2), 60);
  EXPECT_FALSE(ledger.reserve(kCall, Picousd{31}, kNoon));
  ledger.restore(month, day, kNoon);
  EXPECT_EQ(spent_today(ledger, 0), 70) << "once";
}

TEST(BudgetLedger, AReloadKeepsWhatWasSpentAndRestoresWhatIsNew) {
  BudgetLedger ledger;
  ledger.configure({of(BudgetScope::kAll, "", 100)}, kNoon);
  ledger.restore({}, {}, kNoon);
  ASSERT_TRUE(ledger.reserve(kCall, Picousd{90}, kNoon));
  EXPECT_FALSE(ledger.configure({of(BudgetScope::kAll, "", 95)}, kNoon)) << "it is known";
  EXPECT_FALSE(ledger.reserve(kCall, Picousd{6}, kNoon));
  EXPECT_TRUE(ledger.configure({of(BudgetScope::kAll, "", 95), of(BudgetScope::kKey, "bot", 95)}, kNoon));
  const std::vector<SpendSum> stored{{"bot", "", "teacher", {90}}};
  ledger.restore(stored, stored, kNoon);
  EXPECT_EQ(spent_today(ledger, 0), 90);
  EXPECT_EQ(spent_today(ledger, 1), 90);
  // One that goes and comes back has counted nothing meanwhile: it is restored, too.
  EXPECT_FALSE(ledger.configure({}, kNoon));
  EXPECT_FALSE(ledger.any());
  EXPECT_TRUE(ledger.configure({of(BudgetScope::kAll, "", 95)}, kNoon));
  ledger.restore(stored, stored, kNoon);
  EXPECT_EQ(spent_today(ledger, 0), 90);
}

TEST(BudgetLedger, ManyThreadsSpendABudgetExactly) {
  BudgetLedger ledger;
  ledger.configure({of(BudgetScope::kAll, "", 1000), of(BudgetScope::kKey, "bot", 700)}, kNoon);
  std::atomic<int> passed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const auto hold = ledger.reserve(kCall, Picousd{7}, kNoon);
        if (!hold) continue;
        if (i % 3 == 0) {
          ledger.settle(*hold, Picousd{0});   // came to nothing
        } else {
          ++passed;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  while (ledger.reserve(kCall, Picousd{7}, kNoon)) ++passed;
  EXPECT_EQ(passed, 100);
  EXPECT_EQ(spent_today(ledger, 0), 700);
}

}  // namespace
}  // namespace understudy
