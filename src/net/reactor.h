#pragma once
/// One thread's event loop: sockets (epoll, edge-triggered, registered once), timers, posted jobs, and the executor on
/// which that thread's coroutines run. A Server makes one per worker; tests and command line tools make their own and
/// use `block_on`.
///
/// Everything that belongs to a reactor (coroutines, client pools, exchanges, timers) is used on its thread only;
/// `post` and `stop` are the doors for other threads.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/error.h"
#include "net/task.h"

namespace understudy::net {

namespace internal {
class ReactorCore;
}

struct ReactorOptions {
  unsigned index = 0;                     ///< which worker this is, 0..n-1
  const Clock* clock = &system_clock();   ///< deadlines and timers are read from it; must outlive the reactor
  std::int64_t tick_ms = 100;             ///< how often deadlines are scanned: time-outs fire up to this much late
};

class Reactor {
 public:
  /// kIo when the kernel refuses another epoll or event descriptor.
  static Result<std::unique_ptr<Reactor>> create(ReactorOptions options = {});
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  unsigned index() const;
  const Clock& clock() const;
  /// Monotonic time as of the last return from the kernel: free, and at most one handler's work old.
  MonoTime now() const;
  /// Runs `job` on the reactor's thread in a later turn of the loop. Thread-safe. Jobs posted from one thread run in
  /// order. Costs one system call from a foreign thread, none from the reactor's own.
  void post(std::move_only_function<void()> job);

  /// Turns until `stop()`. The calling thread becomes the reactor's thread.
  void run();
  /// Thread-safe; makes `run` return after the turn it is in. What is suspended stays suspended.
  void stop();
  /// Turns until `task` has finished. An exception that leaves the task is thrown here.
  void run_until_done(Awaitable<void> task);

  /// For this module's other parts.
  internal::ReactorCore& core() { return *core_; }

 private:
  explicit Reactor(std::unique_ptr<internal::ReactorCore> core);
  std::unique_ptr<internal::ReactorCore> core_;
};

namespace internal {
template <typename T>
Awaitable<void> store_result(Awaitable<T> task, std::optional<T>& out) {
  out.emplace(co_await std::move(task));
}
}  // namespace internal

/// Runs a task to its end on a reactor nobody else is running: `auto reply = block_on(*reactor, fetch(...));`
template <typename T>
T block_on(Reactor& reactor, Awaitable<T> task) {
  std::optional<T> out;
  reactor.run_until_done(internal::store_result(std::move(task), out));
  return std::move(*out);
}
inline void block_on(Reactor& reactor, Awaitable<void> task) { reactor.run_until_done(std::move(task)); }

}  // namespace understudy::net
