#pragma once
/// The loop behind Reactor: epoll, ready coroutines, timers, ticks, posted jobs. Internal to this module.

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/internal/wake_slot.h"
#include "net/reactor.h"

namespace understudy::net::internal {

class Descriptor;

/// Told once per tick (100 ms) while registered: deadlines and heartbeats look at the clock here, so that no read or
/// write needs a timer of its own. May deregister itself and others.
class Ticker {
 public:
  explicit Ticker(ReactorCore& core);
  virtual ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;
  virtual void on_tick(MonoTime now) = 0;

 private:
  friend class ReactorCore;
  ReactorCore& ticker_core_;
  Ticker* previous_ = nullptr;
  Ticker* next_ = nullptr;
};

/// A coroutine that nobody awaits, at the bottom of a chain of tasks. Owned by its reactor; gone when its task has ended.
class Root {
 public:
  struct promise_type;
};

/// Wakes a slot at a time. Lives where the waiter lives; deregisters itself.
struct Timer {
  Timer(ReactorCore& core, MonoTime at, WakeSlot& slot);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  ReactorCore& core;
  MonoTime at;
  WakeSlot& slot;
};

class ReactorCore {
 public:
  /// Events of one turn: as many as may hold up what is to be sent (AfterEvents).
  static constexpr std::size_t kMostEvents = 32;

  ReactorCore(ReactorOptions options, int epoll_fd, int wake_fd);
  ~ReactorCore();
  ReactorCore(const ReactorCore&) = delete;
  ReactorCore& operator=(const ReactorCore&) = delete;

  const ReactorOptions& options() const { return options_; }
  MonoTime now() const { return now_; }
  void post(std::move_only_function<void()> job);
  /// Starts `task` in a later turn. `ended` gets the exception that left it, else null.
  void spawn(Awaitable<void> task, std::move_only_function<void(std::exception_ptr)> ended);
  void run();
  void stop();
  void turn(bool may_block);
  /// Makes this the calling thread's reactor as long as the returned guard lives.
  class ThreadGuard;

  /// 64 KiB that anyone on this reactor may use between two suspensions; nothing in it survives one.
  std::span<char> scratch() { return scratch_; }
  /// A string with the same rule, for message heads.
  std::string& scratch_head() { return scratch_head_; }
  /// Whether the loop has further events at hand, which it dispatches before it sends what waits for that.
  bool more_events() const { return event_index_ + 1 < event_count_; }
  /// "Sun, 06 Nov 1994 08:49:37 GMT", refreshed once a second.
  std::string_view http_date();

 private:
  friend class Descriptor;
  friend class Ticker;
  friend struct Timer;
  friend class WakeSlot;
  friend struct Root::promise_type;

  void dispatch(int count);
  void run_jobs();
  void run_woken();
  void run_timers();
  void run_ticks();
  int wait_ms(bool may_block) const;
  void forget(Descriptor& descriptor);

  const ReactorOptions options_;
  const int epoll_fd_;
  const int wake_fd_;
  MonoTime now_;
  MonoTime next_tick_;
  bool stopped_ = false;

  std::array<epoll_event, kMostEvents> events_;
  int event_index_ = 0;
  int event_count_ = 0;

  WakeSlot* woken_first_ = nullptr;
  WakeSlot* woken_last_ = nullptr;
  std::vector<std::move_only_function<void()>> jobs_;
  std::vector<std::move_only_function<void()>> running_jobs_;
  std::set<std::pair<MonoTime, Timer*>> timers_;
  Root::promise_type* roots_ = nullptr;
  Ticker* tickers_ = nullptr;
  Ticker* next_ticker_ = nullptr;  // of the scan under way

  std::mutex foreign_mutex_;
  std::vector<std::move_only_function<void()>> foreign_jobs_;  // guarded by foreign_mutex_
  bool foreign_signalled_ = false;                             // guarded by foreign_mutex_

  std::vector<char> scratch_;
  std::string scratch_head_;
  std::array<char, 32> date_{};
  std::int64_t date_second_ = -1;
};

}  // namespace understudy::net::internal
