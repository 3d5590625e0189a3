#pragma once
/// Waiting without blocking the reactor, and owned background work.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "net/cancel.h"
#include "net/deadline.h"
#include "net/reactor.h"
#include "net/task.h"

namespace understudy::net {

/// Resumes after `ms` milliseconds (granularity 1 ms, never early) or as soon as `cancel` is cancelled.
/// @return true when the whole time has passed, false when it was cancelled
Awaitable<bool> sleep_for(Reactor& reactor, std::int64_t ms, CancelToken cancel = {});

/// Lets everything else that is ready run first.
Awaitable<void> yield(Reactor& reactor);

/// A flag that coroutines of one reactor can wait for. Another thread sets it through `reactor.post`.
class Event {
 public:
  explicit Event(Reactor& reactor);
  ~Event();  ///< nobody may be waiting
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  bool is_set() const;
  /// Wakes everybody who waits, in a later turn of the loop; stays set until `reset`.
  void set();
  void reset();
  /// @return true once the flag is set (at once if it is), false at the deadline or when cancelled
  Awaitable<bool> wait(Deadline deadline = Deadline::never(), CancelToken cancel = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Owns coroutines that run beside their maker on the same reactor: off-path calls, hedges. A group must be empty when
/// it is destroyed (an assertion): `cancel()`, then `co_await wait()`.
class TaskGroup {
 public:
  explicit TaskGroup(Reactor& reactor);
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// Starts `task` in a later turn of the loop. An exception that leaves it is logged as a bug and ends that task only.
  /// The coroutine must own what it uses (parameters by value) or use what outlives the group.
  void spawn(Awaitable<void> task);
  std::size_t size() const;
  /// Cancelled by `cancel()`; tasks pass it to what they wait for.
  CancelToken token();
  void cancel();
  /// Resumes when no task is left.
  Awaitable<void> wait();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace understudy::net
