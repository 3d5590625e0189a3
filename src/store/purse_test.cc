#include "store/purse.h"

#include "store/internal/test_support.h"
#include "store/spend.h"

namespace understudy::store {
namespace {

const SpendSubject kPayer{"bot", "intent", "teacher"};

Budget for_all(std::int64_t per_day) { return {BudgetScope::kAll, "", Picousd{per_day}, {}}; }

Int128 stored(const std::filesystem::path& data, const SharedClock& clock) {
  const auto sums = read_spend(data, WallTime{0}, &clock);
  EXPECT_TRUE(sums) << sums.error().message;
  Int128 total = 0;
  for (const SpendSum& sum : *sums) total += sum.amount.value;
  return total;
}

TEST(Purse, WhatIsSetAsideIsInTheStoreBeforeTheCallAndItsCostAfterIt) {
  TempDir dir;
  SharedClock clock;
  auto store = open_store(dir.data(), slow_writer(&clock));
  BudgetLedger ledger;
  ledger.configure({for_all(1'000)}, clock.wall());
  Purse purse(ledger, &store->journal(0));
  const auto hold = purse.reserve(kPayer, Picousd{400}, clock.wall());
  ASSERT_TRUE(hold) << hold.error().message;
  EXPECT_EQ(stored(dir.data(), clock), 400) << "a process that is killed now has spent it";
  purse.settle(kPayer, *hold, Picousd{150});
  EXPECT_EQ(stored(dir.data(), clock), 150);
  ASSERT_TRUE(store->flush());
  EXPECT_EQ(stored(dir.data(), clock), 150) << "the same from SQLite as from the journal";
  ASSERT_TRUE(purse.reserve({"", "", "student"}, Picousd{20}, clock.wall()));
  const auto sums = read_spend(dir.data(), WallTime{0}, &clock);
  ASSERT_EQ(sums->size(), 2u);
  EXPECT_EQ(sums->at(0).model, "student");
  EXPECT_EQ(sums->at(0).key, "");
  EXPECT_EQ(sums->at(1).key, "bot");
  EXPECT_EQ(sums->at(1).task, "intent");
  EXPECT_EQ(sums->at(1).amount.value, 150);
  EXPECT_EQ(read_spend(dir.data(), WallTime{clock.wall().us + 3'600'000'000}, &clock)->size(), 0u) << "of a later period";
}

TEST(Purse, WhatIsNotSettledStaysAtItsUpperBoundOverARestart) {
  TempDir dir;
  SharedClock clock;
  {
    auto store = open_store(dir.data(), slow_writer(&clock));
    BudgetLedger ledger;
    ledger.configure({for_all(1'000)}, clock.wall());
    Purse purse(ledger, &store->journal(0));
    ASSERT_TRUE(purse.reserve(kPayer, Picousd{400}, clock.wall()));
  }
  auto store = open_store(dir.data(), slow_writer(&clock));
  EXPECT_EQ(stored(dir.data(), clock), 400);
}

TEST(Purse, TheCostGoesToTheMomentThatItWasSetAside) {
  TempDir dir;
  SharedClock clock;
  auto store = open_store(dir.data(), slow_writer(&clock));
  BudgetLedger ledger;
  ledger.configure({for_all(1'000)}, clock.wall());
  Purse purse(ledger, &store->journal(0));
  const auto hold = purse.reserve(kPayer, Picousd{400}, clock.wall());
  clock.advance_ms(3'600'000);
  purse.settle(kPayer, *hold, Picousd{100});
  ASSERT_TRUE(store->flush());
  EXPECT_EQ(read_spend(dir.data(), WallTime{clock.wall().us}, &clock)->size(), 0u) << "the later hour has neither the one nor the other";
  EXPECT_EQ(stored(dir.data(), clock), 100);
}

TEST(Purse, WithoutAPlaceToWriteItDownNothingIsPaid) {
  TempDir dir;
  SharedClock clock;
  StoreOptions options = slow_writer(&clock);
  options.segment_bytes = 64 * 1024;
  options.spare_segments = 1;
  options.journal_max_bytes = 128 * 1024;
  auto store = open_store(dir.data(), options);
  BudgetLedger ledger;
  ledger.configure({for_all(1'000'000'000)}, clock.wall());
  Purse purse(ledger, &store->journal(0));
  std::int64_t paid = 0;
  std::optional<Error> refused;
  for (int i = 0; i < 100'000 && !refused; ++i) {
    const auto hold = purse.reserve(kPayer, Picousd{10}, clock.wall());
    if (hold) {
      paid += 10;
    } else {
      refused = hold.error();
    }
  }
  ASSERT_TRUE(refused) << "the journal never was full";
  EXPECT_EQ(refused->kind, ErrorKind::kOverloaded);
  EXPECT_EQ(ledger.report(clock.wall()).at(0).spent_day.value, paid) << "what was refused is not set aside either";
  EXPECT_EQ(stored(dir.data(), clock), paid);
}

TEST(Purse, WithoutBudgetsNothingIsWritten) {
  TempDir dir;
  SharedClock clock;
  auto store = open_store(dir.data(), slow_writer(&clock));
  BudgetLedger ledger;
  Purse purse(ledger, &store->journal(0));
  EXPECT_FALSE(purse.on());
  EXPECT_EQ(store->journal(0).last_sequence(), 0u);
}

TEST(Purse, WhatWasSpentSurvivesTheDeletionOfItsRequests) {
  TempDir dir;
  SharedClock clock;
  auto store = open_store(dir.data(), slow_writer(&clock));
  BudgetLedger ledger;
  ledger.configure({for_all(1'000)}, clock.wall());
  Purse purse(ledger, &store->journal(0));
  ASSERT_TRUE(purse.reserve({"only-here", "nowhere-else", "this-model"}, Picousd{5}, clock.wall()));
  const SampleRequest sample(1);
  ASSERT_TRUE(sample.append_to(store->journal(0)));
  ASSERT_TRUE(store->delete_request(sample.id));
  const auto sums = read_spend(dir.data(), WallTime{0}, &clock);
  ASSERT_EQ(sums->size(), 1u);
  EXPECT_EQ(sums->at(0).key, "only-here") << "its names are kept, too";
}

}  // namespace
}  // namespace understudy::store
