#include "net/reactor.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <exception>
#include <limits>

#include "base/assert.h"
#include "base/log.h"
#include "net/internal/descriptor.h"
#include "net/internal/reactor_core.h"

namespace understudy::net {
namespace internal {
namespace {

constexpr std::size_t kScratchBytes = 64 * 1024;

thread_local ReactorCore* current_core = nullptr;

}  // namespace

// ---- WakeSlot ----

WakeSlot::~WakeSlot() {
  if (woken_) unlink();
}

void WakeSlot::unlink() {
  (previous_ != nullptr ? previous_->next_ : core_.woken_first_) = next_;
  (next_ != nullptr ? next_->previous_ : core_.woken_last_) = previous_;
  previous_ = next_ = nullptr;
  woken_ = false;
}

void WakeSlot::wake(Wake wake) {
  if (!armed()) return;
  woken_ = true;
  wake_ = wake;
  previous_ = core_.woken_last_;
  (previous_ != nullptr ? previous_->next_ : core_.woken_first_) = this;
  core_.woken_last_ = this;
}

void WakeSlot::fire(Wake wake) {
  UNDERSTUDY_ASSERT(armed());
  wake_ = wake;
  std::exchange(waiter_, nullptr).resume();
}

bool AfterEvents::await_ready() const noexcept { return !slot_.core_.more_events(); }

// ---- Root ----

struct Root::promise_type {
  promise_type(ReactorCore& c, auto&&...) : core(c), next(c.roots_) {
    if (next != nullptr) next->previous = this;
    core.roots_ = this;
  }
  ~promise_type() {
    (previous != nullptr ? previous->next : core.roots_) = next;
    if (next != nullptr) next->previous = previous;
  }
  Root get_return_object() {
    // The job does not own the frame: the list does.
    core.post([frame = std::coroutine_handle<promise_type>::from_promise(*this)] { frame.resume(); });
    return {};
  }
  std::suspend_always initial_suspend() const noexcept { return {}; }
  std::suspend_never final_suspend() const noexcept { return {}; }
  void return_void() const noexcept {}
  [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }  // `ended` must not throw

  ReactorCore& core;
  promise_type* previous = nullptr;
  promise_type* next;
};

namespace {

Root run_root(ReactorCore&, Awaitable<void> task, std::move_only_function<void(std::exception_ptr)> ended) {
  std::exception_ptr thrown;
  try {
    co_await std::move(task);
  } catch (...) {
    thrown = std::current_exception();
  }
  ended(thrown);
}

}  // namespace

void ReactorCore::spawn(Awaitable<void> task, std::move_only_function<void(std::exception_ptr)> ended) {
  run_root(*this, std::move(task), std::move(ended));
}

// ---- Ticker, Timer ----

Ticker::Ticker(ReactorCore& core) : ticker_core_(core), next_(core.tickers_) {
  if (next_ == nullptr) core.next_tick_ = core.now_.plus_ms(core.options_.tick_ms);
  if (next_ != nullptr) next_->previous_ = this;
  core.tickers_ = this;
}

Ticker::~Ticker() {
  if (ticker_core_.next_ticker_ == this) ticker_core_.next_ticker_ = next_;
  (previous_ != nullptr ? previous_->next_ : ticker_core_.tickers_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

Timer::Timer(ReactorCore& c, MonoTime t, WakeSlot& s) : core(c), at(t), slot(s) { core.timers_.emplace(at, this); }
Timer::~Timer() { core.timers_.erase({at, this}); }

// ---- Descriptor ----

Result<void> Descriptor::open(int fd, bool writable) {
  UNDERSTUDY_ASSERT(fd_ < 0);
  fd_ = fd;
  readable_ = false;
  writable_ = writable;
  hung_up_ = false;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = this;
  if (::epoll_ctl(core_.epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
    const int error = errno;
    ::close(std::exchange(fd_, -1));
    return fail(ErrorKind::kIo, fmt::format("epoll refused a socket: {}", std::strerror(error)));
  }
  return {};
}

void Descriptor::close() {
  if (fd_ < 0) return;
  core_.forget(*this);
  ::close(std::exchange(fd_, -1));  // also takes it out of the epoll set: nobody else holds it
}

void Descriptor::on_events(std::uint32_t events) {
  const bool broken = (events & (EPOLLHUP | EPOLLERR)) != 0;
  const bool hang_up = (broken || (events & EPOLLRDHUP) != 0) && !hung_up_;
  if (hang_up) hung_up_ = true;
  if (broken || (events & (EPOLLIN | EPOLLRDHUP)) != 0) readable_ = true;
  if (broken || (events & EPOLLOUT) != 0) writable_ = true;

  // What is called last may destroy this descriptor, so nothing follows it.
  if (writable_ && write_.armed()) write_.wake(Wake::kReady);
  if (!readable_) return;
  if (watch_ != nullptr && (hang_up || !read_.armed())) {
    if (read_.armed()) read_.wake(Wake::kReady);
    watch_(watch_context_);
  } else if (read_.armed()) {
    read_.fire(Wake::kReady);
  }
}

// ---- ReactorCore ----

class ReactorCore::ThreadGuard {
 public:
  explicit ThreadGuard(ReactorCore& core) : outer_(std::exchange(current_core, &core)) {}
  ~ThreadGuard() { current_core = outer_; }

 private:
  ReactorCore* outer_;
};

ReactorCore::ReactorCore(ReactorOptions options, int epoll_fd, int wake_fd)
    : options_(options), epoll_fd_(epoll_fd), wake_fd_(wake_fd), now_(options.clock->mono()), scratch_(kScratchBytes) {
  next_tick_ = now_.plus_ms(options_.tick_ms);
}

ReactorCore::~ReactorCore() {
  {
    // What coroutines and jobs hold may post another job when it is dropped.
    const ThreadGuard guard(*this);
    while (roots_ != nullptr) std::coroutine_handle<Root::promise_type>::from_promise(*roots_).destroy();
    foreign_jobs_.clear();
    while (!jobs_.empty()) {
      running_jobs_.swap(jobs_);
      running_jobs_.clear();
    }
  }
  ::close(wake_fd_);
  ::close(epoll_fd_);
}


void ReactorCore::post(std::move_only_function<void()> job) {
  if (current_core == this) {
    jobs_.push_back(std::move(job));
    return;
  }
  bool signal = false;
  {
    const std::lock_guard lock(foreign_mutex_);
    foreign_jobs_.push_back(std::move(job));
    signal = !std::exchange(foreign_signalled_, true);
  }
  if (signal) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
  }
}

void ReactorCore::stop() {
  post([this] { stopped_ = true; });
}

void ReactorCore::run() {
  const ThreadGuard guard(*this);
  stopped_ = false;
  while (!stopped_) turn(true);
}

int ReactorCore::wait_ms(bool may_block) const {
  if (!may_block || stopped_ || !jobs_.empty() || woken_first_ != nullptr) return 0;
  std::int64_t until = std::numeric_limits<std::int64_t>::max();
  if (!timers_.empty()) until = timers_.begin()->first.ns;
  if (tickers_ != nullptr) until = std::min(until, next_tick_.ns);
  if (until == std::numeric_limits<std::int64_t>::max()) return -1;
  const std::int64_t left = until - options_.clock->mono().ns;
  // A clock that tests hold still must not make us wait for ever, nor spin.
  return left <= 0 ? 0 : static_cast<int>(std::min<std::int64_t>((left + 999'999) / 1'000'000, options_.tick_ms));
}

void ReactorCore::turn(bool may_block) {
  int count = ::epoll_wait(epoll_fd_, events_.data(), static_cast<int>(events_.size()), wait_ms(may_block));
  if (count < 0) {
    UNDERSTUDY_ASSERT(errno == EINTR);
    count = 0;
  }
  now_ = options_.clock->mono();
  dispatch(count);
  run_timers();
  run_ticks();
  // Last, so that whoever turns the loop sees what they brought about before it may block again.
  run_woken();
  run_jobs();
}

void ReactorCore::dispatch(int count) {
  event_count_ = count;
  for (event_index_ = 0; event_index_ < event_count_; ++event_index_) {
    const epoll_event event = events_[static_cast<std::size_t>(event_index_)];
    if (event.data.ptr == this) {
      std::uint64_t drained = 0;
      [[maybe_unused]] const auto got = ::read(wake_fd_, &drained, sizeof drained);
      const std::lock_guard lock(foreign_mutex_);
      foreign_signalled_ = false;
      for (auto& job : foreign_jobs_) jobs_.push_back(std::move(job));
      foreign_jobs_.clear();
    } else if (event.data.ptr != nullptr) {
      static_cast<Descriptor*>(event.data.ptr)->on_events(event.events);
    }
  }
  event_count_ = 0;
}

// A descriptor that closes must not be found again in what is left of the batch under dispatch.
void ReactorCore::forget(Descriptor& descriptor) {
  for (int i = event_index_ + 1; i < event_count_; ++i) {
    if (events_[static_cast<std::size_t>(i)].data.ptr == &descriptor) events_[static_cast<std::size_t>(i)].data.ptr = nullptr;
  }
}

void ReactorCore::run_jobs() {
  if (jobs_.empty()) return;
  running_jobs_.swap(jobs_);
  for (auto& job : running_jobs_) {
    job();
    job = nullptr;
  }
  running_jobs_.clear();
}

void ReactorCore::run_woken() {
  // Only those woken before this step: a coroutine that wakes another for ever must not starve the sockets.
  WakeSlot* const last = woken_last_;
  while (woken_first_ != nullptr) {
    WakeSlot& slot = *woken_first_;
    const bool is_last = &slot == last;
    const Wake wake = slot.wake_;
    slot.unlink();
    slot.fire(wake);
    if (is_last) break;
  }
}

void ReactorCore::run_timers() {
  while (!timers_.empty() && timers_.begin()->first <= now_) {
    Timer& timer = *timers_.begin()->second;
    timers_.erase(timers_.begin());
    timer.slot.wake(Wake::kTimeout);
  }
}

void ReactorCore::run_ticks() {
  if (tickers_ == nullptr || now_ < next_tick_) return;
  next_tick_ = now_.plus_ms(options_.tick_ms);
  for (Ticker* ticker = tickers_; ticker != nullptr; ticker = next_ticker_) {
    next_ticker_ = ticker->next_;
    ticker->on_tick(now_);
  }
  next_ticker_ = nullptr;
}

std::string_view ReactorCore::http_date() {
  const std::int64_t second = options_.clock->wall().us / 1'000'000;
  if (second != date_second_) {
    date_second_ = second;
    const std::time_t time = second;
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    fmt::format_to_n(date_.data(), date_.size(), "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[parts.tm_wday], parts.tm_mday,
                     kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
  }
  return {date_.data(), 29};
}

}  // namespace internal

// ---- Reactor ----

Result<std::unique_ptr<Reactor>> Reactor::create(ReactorOptions options) {
  const int epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) return fail(ErrorKind::kIo, fmt::format("cannot create an event queue: {}", std::strerror(errno)));
  const int wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0) {
    const int error = errno;
    ::close(epoll_fd);
    return fail(ErrorKind::kIo, fmt::format("cannot create an event descriptor: {}", std::strerror(error)));
  }
  auto core = std::make_unique<internal::ReactorCore>(options, epoll_fd, wake_fd);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = core.get();
  if (::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &event) != 0) {
    return fail(ErrorKind::kIo, fmt::format("epoll refused an event descriptor: {}", std::strerror(errno)));
  }
  return std::unique_ptr<Reactor>(new Reactor(std::move(core)));
}

Reactor::Reactor(std::unique_ptr<internal::ReactorCore> core) : core_(std::move(core)) {}
Reactor::~Reactor() = default;

unsigned Reactor::index() const { return core_->options().index; }
const Clock& Reactor::clock() const { return *core_->options().clock; }
MonoTime Reactor::now() const { return core_->now(); }
void Reactor::post(std::move_only_function<void()> job) { core_->post(std::move(job)); }
void Reactor::run() { core_->run(); }
void Reactor::stop() { core_->stop(); }

void Reactor::run_until_done(Awaitable<void> task) {
  const internal::ReactorCore::ThreadGuard guard(*core_);
  bool done = false;
  std::exception_ptr thrown;
  core_->spawn(std::move(task), [&](std::exception_ptr exception) {
    thrown = exception;
    done = true;
  });
  while (!done) core_->turn(true);
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace understudy::net
