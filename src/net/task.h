#pragma once
/// What every waiting function returns, and the statements that pass errors up.
///
/// A `Task<T>` is lazy: nothing happens until it is awaited (or spawned into a TaskGroup), and it may be awaited once.
/// It runs on the reactor that awaits it, never on another thread. Functions take parameters by value or as views that
/// the caller keeps alive until the task has finished.
///
/// A task that ends without having waited goes on in its caller without growing the stack, in every build: the caller
/// starts it like a function and looks afterwards whether it is done (docs/decisions/0009).
///
/// Traps of g++ 12 (docs/decisions/0003): never an aggregate `{...}` or a capturing lambda inside a `co_await`
/// expression; give it a name first. A capturing lambda must not itself be a coroutine.

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/error.h"

namespace understudy::net {

template <typename T>
class Awaitable;

namespace internal {

/// What the promises of all tasks share: who goes on when the task has ended, and how it ended.
class PromiseBase {
 public:
  std::suspend_always initial_suspend() const noexcept { return {}; }
  auto final_suspend() const noexcept {
    struct Resume {
      bool await_ready() const noexcept { return false; }
      // Without a continuation the caller is still inside `start` and sees for itself that we are done. The frame may be
      // destroyed by whom we resume, so nothing follows.
      void await_suspend(std::coroutine_handle<>) const noexcept {
        if (next) next.resume();
      }
      void await_resume() const noexcept {}
      std::coroutine_handle<> next;
    };
    return Resume{.next = continuation_};
  }
  void unhandled_exception() noexcept { thrown_ = std::current_exception(); }

  void set_continuation(std::coroutine_handle<> next) noexcept { continuation_ = next; }
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  std::coroutine_handle<> continuation_;
  std::exception_ptr thrown_;
};

template <typename T>
class Promise final : public PromiseBase {
 public:
  Awaitable<T> get_return_object() noexcept;
  template <typename U = T>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T take() {
    rethrow();
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};

template <>
class Promise<void> final : public PromiseBase {
 public:
  Awaitable<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void take() const { rethrow(); }
};

}  // namespace internal

/// A coroutine that cannot fail in a way its caller must handle. Owns its frame: destroyed early, it takes everything that
/// it waits for along.
template <typename T>
class [[nodiscard]] Awaitable {
 public:
  using promise_type = internal::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Awaitable(Handle handle) noexcept : handle_(handle) {}
  Awaitable(Awaitable&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Awaitable& operator=(Awaitable&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Awaitable() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept {
    UNDERSTUDY_ASSERT(handle_ && !handle_.done());
    return false;
  }
  bool await_suspend(std::coroutine_handle<> caller) const {
    handle_.resume();
    if (handle_.done()) return false;
    handle_.promise().set_continuation(caller);
    return true;
  }
  T await_resume() const { return handle_.promise().take(); }

 private:
  Handle handle_;
};

namespace internal {

template <typename T>
Awaitable<T> Promise<T>::get_return_object() noexcept {
  return Awaitable<T>(std::coroutine_handle<Promise>::from_promise(*this));
}
inline Awaitable<void> Promise<void>::get_return_object() noexcept {
  return Awaitable<void>(std::coroutine_handle<Promise>::from_promise(*this));
}

}  // namespace internal

/// A coroutine that ends with a value or an Error.
template <typename T>
using Task = Awaitable<Result<T>>;

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
