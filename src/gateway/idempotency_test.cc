#include "gateway/idempotency.h"

#include <gtest/gtest.h>

namespace understudy::gateway {
namespace {

using Turn = IdempotencyStore::Turn;

constexpr MonoTime kStart{5'000'000'000};
const std::string kName = IdempotencyStore::name_of("bot", "acme", "chat.completions", "k-1");
const Hash128 kBody = hash128("body");

std::shared_ptr<const KeptAnswer> answer(std::string body) {
  KeptAnswer kept;
  kept.body = std::move(body);
  return std::make_shared<const KeptAnswer>(std::move(kept));
}

Turn turn_of(IdempotencyStore& store, const std::string& name, MonoTime now = kStart, const Hash128& body = kBody) { return store.look(name, body, now, [](auto) {}).turn; }

TEST(IdempotencyStore, ARepeatGetsTheFirstAnswerForTenMinutes) {
  IdempotencyStore store(1 << 20);
  EXPECT_EQ(turn_of(store, kName), Turn::kFirst);
  store.finish(kName, answer("one"), kStart);
  const auto repeat = store.look(kName, kBody, kStart.plus_ms(599'999), [](auto) {});
  EXPECT_EQ(repeat.turn, Turn::kReplay);
  EXPECT_EQ(repeat.answer->body, "one");
  EXPECT_EQ(turn_of(store, kName, kStart.plus_ms(600'000)), Turn::kFirst);
}

TEST(IdempotencyStore, AnotherBodyIsAConflictAlsoWhileTheFirstOneRuns) {
  IdempotencyStore store(1 << 20);
  EXPECT_EQ(turn_of(store, kName), Turn::kFirst);
  EXPECT_EQ(turn_of(store, kName, kStart, hash128("other")), Turn::kConflict);
  store.finish(kName, answer("one"), kStart);
  EXPECT_EQ(turn_of(store, kName, kStart, hash128("other")), Turn::kConflict);
}

TEST(IdempotencyStore, CallersAndRoutesDoNotShareKeys) {
  const auto name = [](std::string_view caller, std::string_view tenant, std::string_view route, std::string_view key) { return IdempotencyStore::name_of(caller, tenant, route, key); };
  EXPECT_NE(name("a", "t", "r", "k"), name("b", "t", "r", "k"));
  EXPECT_NE(name("a", "t", "r", "k"), name("a", "u", "r", "k"));
  EXPECT_NE(name("a", "t", "r", "k"), name("a", "t", "s", "k"));
  EXPECT_NE(name("ab", "", "r", "k"), name("a", "b", "r", "k"));
  EXPECT_NE(name("a1:b", "", "r", "k"), name("a", "b", "r", "k"));
}

TEST(IdempotencyStore, ThoseWhoWaitGetTheAnswerOrLookAgain) {
  IdempotencyStore store(1 << 20);
  EXPECT_EQ(turn_of(store, kName), Turn::kFirst);
  std::vector<std::string> got;
  const auto wake = [&](const std::shared_ptr<const KeptAnswer>& kept) { got.push_back(kept ? kept->body : "failed"); };
  EXPECT_EQ(store.look(kName, kBody, kStart, wake).turn, Turn::kWait);
  EXPECT_EQ(store.look(kName, kBody, kStart, wake).turn, Turn::kWait);
  store.finish(kName, nullptr, kStart);
  EXPECT_EQ(got, (std::vector<std::string>{"failed", "failed"}));
  EXPECT_EQ(store.entries(), 0u) << "errors are not kept";
  EXPECT_EQ(store.look(kName, kBody, kStart, wake).turn, Turn::kFirst);
  EXPECT_EQ(store.look(kName, kBody, kStart, wake).turn, Turn::kWait);
  store.finish(kName, answer("two"), kStart);
  EXPECT_EQ(got.back(), "two");
  EXPECT_EQ(got.size(), 3u);
}

TEST(IdempotencyStore, HoldsNoMoreThanItsBound) {
  IdempotencyStore store(100'000);
  for (int i = 0; i < 100; ++i) {
    const std::string name = std::to_string(i);
    ASSERT_EQ(turn_of(store, name), Turn::kFirst);
    store.finish(name, answer(std::string(5'000, 'x')), kStart);
    EXPECT_LE(store.bytes(), 100'000u);
  }
  EXPECT_EQ(turn_of(store, "99"), Turn::kReplay);
  EXPECT_EQ(turn_of(store, "0"), Turn::kFirst) << "the oldest go first";
  EXPECT_EQ(turn_of(store, "big"), Turn::kFirst);
  std::string got;
  EXPECT_EQ(store.look("big", kBody, kStart, [&](const auto& kept) { got = kept->body; }).turn, Turn::kWait);
  store.finish("big", answer(std::string(50'000, 'y')), kStart);
  EXPECT_EQ(got.size(), 50'000u) << "whoever waits gets it";
  EXPECT_EQ(turn_of(store, "big"), Turn::kFirst) << "but it is not kept";
}

}  // namespace
}  // namespace understudy::gateway
