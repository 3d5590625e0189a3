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
  void unlink();

  ReactorCore& core_;
  std::coroutine_handle<> waiter_;
  WakeSlot* previous_ = nullptr;
  WakeSlot* next_ = nullptr;
  bool woken_ = false;
  Wake wake_ = Wake::kReady;
};

}  // namespace understudy::net::internal
