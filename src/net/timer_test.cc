#include "net/timer.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>
#include <vector>

namespace understudy::net {
namespace {

std::unique_ptr<Reactor> make_reactor() {
  auto reactor = Reactor::create();
  EXPECT_TRUE(reactor);
  return std::move(*reactor);
}

Task<int> add_one(Result<int> value) {
  UNDERSTUDY_UNWRAP(number, value);
  co_return number + 1;
}

Task<int> add_two(Result<int> value) {
  UNDERSTUDY_AWAIT(one, add_one(std::move(value)));
  UNDERSTUDY_AWAIT(two, add_one(one));
  co_return two;
}

TEST(Task, CarriesValuesAndErrors) {
  auto reactor = make_reactor();
  EXPECT_EQ(*block_on(*reactor, add_two(1)), 3);
  auto failed = block_on(*reactor, add_two(fail(ErrorKind::kConflict, "no")));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, ErrorKind::kConflict);
}

Awaitable<void> throws() {
  throw std::runtime_error("boom");
  co_return;
}

TEST(Reactor, RethrowsWhatLeavesTheTask) {
  auto reactor = make_reactor();
  EXPECT_THROW(block_on(*reactor, throws()), std::runtime_error);
}

TEST(Reactor, RunsJobsOfOtherThreadsInOrder) {
  auto reactor = make_reactor();
  std::vector<int> seen;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) {
      reactor->post([&seen, i] { seen.push_back(i); });
    }
    reactor->stop();
  });
  reactor->run();
  other.join();
  ASSERT_EQ(seen.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
}

Awaitable<void> sleep_in_order(Reactor& reactor, std::vector<int>& order, int id, std::int64_t ms) {
  const bool slept = co_await sleep_for(reactor, ms);
  EXPECT_TRUE(slept);
  order.push_back(id);
}

Awaitable<void> sleepers(Reactor& reactor, std::vector<int>& order) {
  TaskGroup group(reactor);
  group.spawn(sleep_in_order(reactor, order, 3, 30));
  group.spawn(sleep_in_order(reactor, order, 1, 1));
  group.spawn(sleep_in_order(reactor, order, 2, 15));
  EXPECT_EQ(group.size(), 3u);
  co_await group.wait();
  EXPECT_EQ(group.size(), 0u);
}

TEST(SleepFor, WakesInOrderOfTime) {
  auto reactor = make_reactor();
  std::vector<int> order;
  block_on(*reactor, sleepers(*reactor, order));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

Awaitable<void> sleep_long(Reactor& reactor, CancelToken token, int& cancelled) {
  const bool slept = co_await sleep_for(reactor, 3'600'000, token);
  if (!slept) ++cancelled;
}

Awaitable<void> cancel_sleepers(Reactor& reactor, int& cancelled) {
  TaskGroup group(reactor);
  for (int i = 0; i < 10; ++i) group.spawn(sleep_long(reactor, group.token(), cancelled));
  co_await yield(reactor);
  co_await yield(reactor);
  group.cancel();
  group.spawn(sleep_long(reactor, group.token(), cancelled));  // cancelled already
  co_await group.wait();
}

TEST(TaskGroup, CancelsAndAwaitsItsTasks) {
  auto reactor = make_reactor();
  int cancelled = 0;
  block_on(*reactor, cancel_sleepers(*reactor, cancelled));
  EXPECT_EQ(cancelled, 11);
}

Awaitable<void> group_with_failure(Reactor& reactor) {
  TaskGroup group(reactor);
  group.spawn(throws());
  co_await group.wait();
}

TEST(TaskGroup, SurvivesATaskThatThrows) {
  auto reactor = make_reactor();
  block_on(*reactor, group_with_failure(*reactor));
}

Awaitable<void> wait_for_event(Event& event, int& woken) {
  const bool set = co_await event.wait();
  if (set) ++woken;
}

Awaitable<void> use_event(Reactor& reactor, int& woken) {
  Event event(reactor);
  TaskGroup group(reactor);
  for (int i = 0; i < 3; ++i) group.spawn(wait_for_event(event, woken));
  const bool timed = co_await event.wait(Deadline::after_ms(reactor.clock().mono(), 1));
  EXPECT_FALSE(timed);
  CancelSource source;
  source.cancel();
  const bool cancelled = co_await event.wait(Deadline::never(), source.token());
  EXPECT_FALSE(cancelled);
  std::thread other([&] { reactor.post([&event] { event.set(); }); });
  co_await group.wait();
  other.join();
  const bool at_once = co_await event.wait();
  EXPECT_TRUE(at_once);
}

TEST(Event, WakesEverybodyAlsoFromAnotherThread) {
  auto reactor = make_reactor();
  int woken = 0;
  block_on(*reactor, use_event(*reactor, woken));
  EXPECT_EQ(woken, 3);
}

TEST(Cancel, CallsHooksOnceInOrderAndFollowsTheParent) {
  CancelSource parent;
  CancelSource child(parent.token());
  std::vector<int> seen;
  CancelHook first(child.token(), [&] { seen.push_back(1); });
  CancelHook second(child.token(), [&] { seen.push_back(2); });
  CancelHook dropped(child.token(), [&] { seen.push_back(3); });
  dropped.reset();
  EXPECT_FALSE(child.cancelled());
  parent.cancel();
  parent.cancel();
  EXPECT_TRUE(child.token().cancelled());
  EXPECT_EQ(seen, (std::vector<int>{1, 2}));
  CancelHook late(child.token(), [&] { seen.push_back(4); });
  EXPECT_EQ(seen.back(), 4);
  EXPECT_FALSE(CancelToken().cancelled());
}

TEST(Cancel, ACallbackMayDestroyHooks) {
  CancelSource source;
  int calls = 0;
  auto second = std::make_unique<CancelHook>();
  auto first = std::make_unique<CancelHook>();
  first->set(source.token(), [&] {
    ++calls;
    first.reset();
    second.reset();
  });
  second->set(source.token(), [&] { ++calls; });
  source.cancel();
  EXPECT_EQ(calls, 1);
}

TEST(Cancel, AHookMayOutliveItsSource) {
  CancelHook hook;
  {
    CancelSource source;
    hook.set(source.token(), [] { FAIL(); });
  }
  hook.reset();
}

Task<int> ready(int value) { co_return value; }

Awaitable<void> many_awaits(int& sum) {
  for (int i = 0; i < 1'000'000; ++i) {
    auto value = co_await ready(1);
    sum += *value;
  }
}

TEST(Task, MillionsWithoutSuspensionDoNotGrowTheStack) {
  auto reactor = make_reactor();
  int sum = 0;
  block_on(*reactor, many_awaits(sum));
  EXPECT_EQ(sum, 1'000'000);
}

}  // namespace
}  // namespace understudy::net
