#pragma once
#include <thread>
#include <utility>

#include "net/reactor.h"
#include "net/timer.h"

namespace understudy::gateway::internal {

/// Runs blocking work on a thread of its own while a coroutine of the reactor waits: `[[maybe_unused]] const bool ended = co_await
/// aside.done(); aside.join();`. The wait must not be cancelled: the work uses the waiting frame.
class Aside {
 public:
  template <typename Work>
  Aside(net::Reactor& reactor, Work work)
      : done_(reactor), thread_([this, &reactor, work = std::move(work)]() mutable {
          work();
          reactor.post([this] { done_.set(); });
        }) {}

  net::Awaitable<bool> done() { return done_.wait(); }
  void join() { thread_.join(); }

 private:
  net::Event done_;
  std::thread thread_;
};

}  // namespace understudy::gateway::internal
