#pragma once
/// The place where one suspended coroutine waits to be woken. Internal to this module.

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

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

  bool armed() const { return resume_ != nullptr && !woken_; }
  void wake(Wake wake);
  void fire(Wake wake);

  /// Asio's form of an asynchronous operation, which a coroutine awaits without a frame of its own.
  struct WaitOp {
    struct Initiation {
      WakeSlot* slot;
      template <typename Handler>
      void operator()(Handler handler) const {
        slot->store(std::move(handler));
      }
    };
    WakeSlot* slot;
    template <typename Token>
    auto operator()(Token&& token)
        -> decltype(boost::asio::async_initiate<Token, void(Wake)>(std::declval<Initiation>(), token)) {
      return boost::asio::async_initiate<Token, void(Wake)>(Initiation{slot}, token);
    }
  };
  WaitOp wait() { return WaitOp{this}; }

 private:
  friend class ReactorCore;

  template <typename Handler>
  void store(Handler handler) {
    static_assert(sizeof(Handler) <= sizeof(storage_) && alignof(Handler) <= alignof(std::max_align_t));
    ::new (static_cast<void*>(storage_)) Handler(std::move(handler));
    resume_ = [](void* storage, const Wake* wake) {
      Handler taken(std::move(*static_cast<Handler*>(storage)));
      static_cast<Handler*>(storage)->~Handler();
      if (wake != nullptr) std::move(taken)(Wake(*wake));
    };
  }
  void unlink();

  ReactorCore& core_;
  void (*resume_)(void* storage, const Wake* wake) = nullptr;  // null wake: destroy only
  WakeSlot* previous_ = nullptr;
  WakeSlot* next_ = nullptr;
  bool woken_ = false;
  Wake wake_ = Wake::kReady;
  alignas(std::max_align_t) std::byte storage_[32];
};

}  // namespace understudy::net::internal
