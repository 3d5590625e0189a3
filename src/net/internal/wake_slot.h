#pragma once
/// The place where one suspended coroutine waits to be woken. Internal to this module.

#include <coroutine>
#include <cstdint>

#include "base/assert.h"

namespace understudy::net::internal {

class ReactorCore;

enum class Wake : std::uint8_t { kReady, kTimeout, kCancelled };

/// `const Wake wake = co_await slot.wait();` suspends without allocating; at most one waiter at a time.
/// `fire` resumes it at once, on top of the caller's stack: only the loop itself does that, as its last act for an
/// event. Everybody else uses `wake`, which resumes it in the next step of the loop.
class WakeSlot {
 public:
  explicit WakeSlot(ReactorCore& core) : core_(core) {}
  ~WakeSlot();
  WakeSlot(const WakeSlot&) = delete;
  WakeSlot& operator=(const WakeSlot&) = delete;

  bool armed() const { return waiter_ != nullptr && !woken_; }
  void wake(Wake wake);
  void fire(Wake wake);

  auto wait() {
    struct Wait {
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> waiter) const {
        UNDERSTUDY_ASSERT(slot.waiter_ == nullptr);
        slot.waiter_ = waiter;
      }
      Wake await_resume() const noexcept { return slot.wake_; }
      WakeSlot& slot;
    };
    return Wait{.slot = *this};
  }

 private:
  friend class ReactorCore;
  friend class AfterEvents;
  void unlink();

  ReactorCore& core_;
  std::coroutine_handle<> waiter_;
  WakeSlot* previous_ = nullptr;
  WakeSlot* next_ = nullptr;
  bool woken_ = false;
  Wake wake_ = Wake::kReady;
};

/// `AfterEvents turn(core); co_await turn;` goes on when the events that the loop has at hand have been dispatched, at once where
/// none are left. What is sent then goes out in one burst: the peer is woken once for many messages, which costs more than
/// the messages do. At most kMostEvents are dispatched in between.
class AfterEvents {
 public:
  explicit AfterEvents(ReactorCore& core) : slot_(core) {}
  bool await_ready() const noexcept;
  void await_suspend(std::coroutine_handle<> waiter) {
    slot_.waiter_ = waiter;
    slot_.wake(Wake::kReady);
  }
  void await_resume() const noexcept {}

 private:
  WakeSlot slot_;
};

}  // namespace understudy::net::internal
