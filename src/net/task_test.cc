#include "net/task.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "net/internal/reactor_core.h"
#include "net/reactor.h"
#include "net/timer.h"

namespace understudy::net {
namespace {

std::unique_ptr<Reactor> make_reactor() {
  auto reactor = Reactor::create();
  EXPECT_TRUE(reactor) << reactor.error().message;
  return std::move(*reactor);
}

Awaitable<int> at_once(int value) { co_return value; }

Awaitable<std::int64_t> sum(int count) {
  std::int64_t total = 0;
  for (int i = 0; i < count; ++i) total += co_await at_once(1);
  co_return total;
}

TEST(TaskTest, CompletionsThatNeverWaitNeedNoStack) {
  const auto reactor = make_reactor();
  EXPECT_EQ(block_on(*reactor, sum(3'000'000)), 3'000'000);
}

Awaitable<int> yields(Reactor& reactor, int count) {
  for (int i = 0; i < count; ++i) co_await yield(reactor);
  co_return count;
}

Awaitable<int> yields_twice(Reactor& reactor) {
  const int first = co_await yields(reactor, 3);
  const int second = co_await yields(reactor, 4);
  co_return first * 10 + second;
}

TEST(TaskTest, GoesOnWhereItWaited) {
  const auto reactor = make_reactor();
  EXPECT_EQ(block_on(*reactor, yields_twice(*reactor)), 34);
}

Awaitable<int> throws(Reactor& reactor, bool waits_first) {
  if (waits_first) co_await yield(reactor);
  throw std::runtime_error("thrown");
}

Awaitable<bool> catches(Reactor& reactor, bool waits_first) {
  try {
    co_await throws(reactor, waits_first);
  } catch (const std::runtime_error&) {
    co_return true;
  }
  co_return false;
}

TEST(TaskTest, AnExceptionReachesWhoAwaits) {
  const auto reactor = make_reactor();
  for (const bool waits_first : {false, true}) {
    EXPECT_TRUE(block_on(*reactor, catches(*reactor, waits_first)));
    EXPECT_THROW(block_on(*reactor, throws(*reactor, waits_first)), std::runtime_error);
  }
}

Awaitable<void> holds(std::shared_ptr<int> held, bool* started, Reactor& reactor) {
  *started = true;
  co_await sleep_for(reactor, 1'000'000);
  EXPECT_EQ(held.use_count(), -1) << "nobody may come here";
}

Awaitable<void> holds_below(std::shared_ptr<int> held, bool* started, Reactor& reactor) { co_await holds(held, started, reactor); }

TEST(TaskTest, WhatStillWaitsGoesWithItsReactor) {
  const auto held = std::make_shared<int>(1);
  bool started = false;
  {
    auto reactor = make_reactor();
    // A TaskGroup would insist on being waited for, so the task is started as a server starts a connection.
    reactor->core().spawn(holds_below(held, &started, *reactor), [](std::exception_ptr) {});
    block_on(*reactor, yields(*reactor, 3));
    EXPECT_TRUE(started);
    EXPECT_GT(held.use_count(), 1);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(TaskTest, ATaskThatIsNeverAwaitedDoesNothingAndLeaksNothing) {
  const auto held = std::make_shared<int>(1);
  bool started = false;
  const auto reactor = make_reactor();
  { const auto task = holds(held, &started, *reactor); }
  EXPECT_FALSE(started);
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace understudy::net
