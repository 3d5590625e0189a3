#include "net/timer.h"

#include <exception>
#include <list>

#include "base/assert.h"
#include "base/log.h"
#include "net/internal/reactor_core.h"

namespace understudy::net {

using internal::Timer;
using internal::Wake;
using internal::WakeSlot;

Awaitable<bool> sleep_for(Reactor& reactor, std::int64_t ms, CancelToken cancel) {
  if (cancel.cancelled()) co_return false;
  WakeSlot slot(reactor.core());
  const Timer timer(reactor.core(), reactor.clock().mono().plus_ms(ms), slot);
  const CancelHook hook(cancel, [&slot] { slot.wake(Wake::kCancelled); });
  const Wake wake = co_await slot.wait();
  co_return wake == Wake::kTimeout;
}

Awaitable<void> yield(Reactor& reactor) {
  WakeSlot slot(reactor.core());
  reactor.post([&slot] { slot.wake(Wake::kReady); });
  co_await slot.wait();
}

// ---- Event ----

struct Event::State {
  explicit State(Reactor& r) : reactor(r) {}
  Reactor& reactor;
  bool set = false;
  std::list<WakeSlot*> waiters;
};

Event::Event(Reactor& reactor) : state_(std::make_unique<State>(reactor)) {}
Event::~Event() { UNDERSTUDY_ASSERT(state_->waiters.empty()); }
bool Event::is_set() const { return state_->set; }
void Event::reset() { state_->set = false; }

void Event::set() {
  state_->set = true;
  // Each leaves the list now: the event may be gone before they run.
  for (WakeSlot* slot : std::exchange(state_->waiters, {})) slot->wake(Wake::kReady);
}

namespace {

/// In the list of waiters until woken by `set` or until this scope ends.
class Waiting {
 public:
  Waiting(std::list<WakeSlot*>& list, WakeSlot& slot) : list_(list), slot_(slot) { list_.push_back(&slot); }
  ~Waiting() {
    if (!removed_) list_.remove(&slot_);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  void removed() { removed_ = true; }

 private:
  std::list<WakeSlot*>& list_;
  WakeSlot& slot_;
  bool removed_ = false;
};

}  // namespace

Awaitable<bool> Event::wait(Deadline deadline, CancelToken cancel) {
  if (state_->set) co_return true;
  if (cancel.cancelled()) co_return false;
  WakeSlot slot(state_->reactor.core());
  std::optional<Timer> timer;
  if (!deadline.is_never()) timer.emplace(state_->reactor.core(), deadline.at, slot);
  const CancelHook hook(cancel, [&slot] { slot.wake(Wake::kCancelled); });
  Waiting waiting(state_->waiters, slot);
  const Wake wake = co_await slot.wait();
  if (wake == Wake::kReady) waiting.removed();
  co_return wake == Wake::kReady;
}

// ---- TaskGroup ----

struct TaskGroup::State {
  explicit State(Reactor& r) : reactor(r), empty(r) { empty.set(); }
  Reactor& reactor;
  std::size_t running = 0;
  CancelSource cancel;
  Event empty;
};

TaskGroup::TaskGroup(Reactor& reactor) : state_(std::make_unique<State>(reactor)) {}
TaskGroup::~TaskGroup() { UNDERSTUDY_ASSERT(state_->running == 0); }

void TaskGroup::spawn(Awaitable<void> task) {
  ++state_->running;
  state_->empty.reset();
  state_->reactor.core().spawn(std::move(task), [state = state_.get()](std::exception_ptr thrown) {
    if (thrown) {
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& e) {
        log::error("a background task ended with an exception: {}", e.what());
      } catch (...) {
        log::error("a background task ended with an unknown exception");
      }
    }
    if (--state->running == 0) state->empty.set();
  });
}

std::size_t TaskGroup::size() const { return state_->running; }
CancelToken TaskGroup::token() { return state_->cancel.token(); }
void TaskGroup::cancel() { state_->cancel.cancel(); }

Awaitable<void> TaskGroup::wait() {
  while (state_->running > 0) co_await state_->empty.wait();
}

}  // namespace understudy::net
