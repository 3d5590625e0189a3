#pragma once
/// What every waiting function returns, and the statements that pass errors up.
///
/// A `Task<T>` is lazy: nothing happens until it is awaited (or spawned into a TaskGroup), and it may be awaited once.
/// It runs on the reactor that awaits it, never on another thread. Functions take parameters by value or as views that
/// the caller keeps alive until the task has finished.
///
/// Traps of g++ 12 (docs/decisions/0003): never an aggregate `{...}` or a capturing lambda inside a `co_await`
/// expression; give it a name first. A capturing lambda must not itself be a coroutine.

#include <boost/asio/awaitable.hpp>

#include "base/error.h"

namespace understudy::net {

/// A coroutine that cannot fail in a way its caller must handle.
template <typename T>
using Awaitable = boost::asio::awaitable<T>;

/// A coroutine that ends with a value or an Error.
template <typename T>
using Task = boost::asio::awaitable<Result<T>>;

}  // namespace understudy::net

/// `UNDERSTUDY_AWAIT(reply, client.send(request));` declares `reply` as a reference to the task's value, or leaves the
/// coroutine with its error. A statement (two, in fact: not usable as the body of an `if` without braces).
#define UNDERSTUDY_AWAIT(name, task)                                                 \
  auto name##_result = co_await (task);                                              \
  if (!name##_result) co_return ::understudy::fail(std::move(name##_result.error())); \
  [[maybe_unused]] auto& name = *name##_result

/// The same for a Task<void>: `UNDERSTUDY_AWAIT_OK(exchange.write(piece));`
#define UNDERSTUDY_AWAIT_OK(task)                                                                                        \
  do {                                                                                                                   \
    auto understudy_awaited = co_await (task);                                                                           \
    if (!understudy_awaited) co_return ::understudy::fail(std::move(understudy_awaited.error()));                        \
  } while (false)

/// Inside a coroutine, takes the value out of a plain Result: `UNDERSTUDY_UNWRAP(url, parse_url(text));`
#define UNDERSTUDY_UNWRAP(name, expression)                                          \
  auto name##_result = (expression);                                                 \
  if (!name##_result) co_return ::understudy::fail(std::move(name##_result.error())); \
  [[maybe_unused]] auto& name = *name##_result
