#pragma once
/// Work on threads that may compute, while the reactor serves others.

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "net/reactor.h"
#include "net/task.h"
#include "net/timer.h"
#include "specialists/score_pool.h"

namespace understudy::cascade::internal {

/// What `work` says; nullopt where it says so, or where the pool is full and it was never called. Runs on a thread of the pool: it must own all that it
/// touches. Resumes on `reactor`.
template <class T>
net::Awaitable<std::optional<T>> on_pool(specialists::ScorePool& pool, net::Reactor& reactor, std::move_only_function<std::optional<T>()> work) {
  struct Waiting {
    Waiting(net::Reactor& r, std::move_only_function<std::optional<T>()> w) : ready(r), work(std::move(w)) {}
    net::Event ready;
    std::move_only_function<std::optional<T>()> work;
    std::optional<T> said;
  };
  auto waiting = std::make_shared<Waiting>(reactor, std::move(work));
  net::Reactor* const here = &reactor;
  // The event moves along, so that it is let go of on its own reactor.
  auto run = [here, waiting]() mutable {
    waiting->said = waiting->work();
    here->post([waiting = std::move(waiting)] { waiting->ready.set(); });
  };
  if (!pool.run(std::move(run))) co_return std::nullopt;
  [[maybe_unused]] const bool set = co_await waiting->ready.wait();
  co_return std::move(waiting->said);
}

}  // namespace understudy::cascade::internal
