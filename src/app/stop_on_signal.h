#pragma once
/// Ctrl-C for long work: asks it to stop between two steps, so that what was done can be kept.

#include <csignal>
#include <ctime>
#include <stop_token>
#include <thread>

namespace understudy::app {

/// While it lives, SIGINT and SIGTERM ask `token()` to stop; a second one ends the program as usual. Make it before other threads start:
/// they must not take the signals.
class StopOnSignal {
 public:
  StopOnSignal() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
    watcher_ = std::jthread([this](const std::stop_token& over) {
      const timespec wait{0, 100'000'000};
      while (!over.stop_requested()) {
        if (sigtimedwait(&signals_, nullptr, &wait) < 0) continue;
        if (source_.stop_requested()) std::_Exit(130);
        source_.request_stop();
      }
    });
  }
  ~StopOnSignal() {
    watcher_ = {};
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

  std::stop_token token() const { return source_.get_token(); }

 private:
  sigset_t signals_{}, before_{};
  std::stop_source source_;
  std::jthread watcher_;
};

}  // namespace understudy::app
