#pragma once
/// The circuit breaker of one upstream model, shared by all reactors: a model that fails again and again is not asked for a
/// while, so that requests do not wait for it and it is not buried under them.
///
///     const auto pass = breaker.admit(now);
///     if (!pass) ...                          // not asked: breaker.rest_ms(now) says for how long
///     breaker.report(*pass, answered, now);   // or not at all, where the call says nothing about the upstream
///
/// Closed: all calls pass. It opens after `consecutive` failures in a row, or when of at least `window_calls` calls in the last
/// `window_ms` a share of `share` failed. Open: none passes for `open_ms`, which doubles with each trial that fails, up to
/// `max_open_ms`. Half-open: one call passes as a trial, another each `trial_ms` while none has an outcome (a long stream must not
/// hold the others back); a success closes, a failure opens. Outcomes of calls that were admitted in an earlier state are ignored.

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>

#include "base/clock.h"

namespace understudy::providers {

struct BreakerLimits {
  std::uint32_t consecutive = 5;
  std::uint32_t window_calls = 20;
  double share = 0.5;
  std::int64_t window_ms = 10'000;
  std::int64_t open_ms = 2'000;
  std::int64_t max_open_ms = 30'000;
  std::int64_t trial_ms = 1'000;
};

enum class BreakerState : std::uint8_t { kClosed, kHalfOpen, kOpen };
std::string_view breaker_state_name(BreakerState state);   ///< closed, half_open, open

/// Thread-safe; a call takes an uncontended lock.
class Breaker {
 public:
  /// An admitted call.
  struct Pass {
    std::uint32_t epoch = 0;
    bool trial = false;   ///< the call decides whether the breaker closes
  };
  enum class Change : std::uint8_t { kNone, kOpened, kClosed };

  explicit Breaker(BreakerLimits limits = {}) : limits_(limits) {}

  /// nullopt: do not call. Counted.
  std::optional<Pass> admit(MonoTime now);
  /// What came of it, at most once a pass. Tells whether that moved the breaker, for the log.
  Change report(Pass pass, bool success, MonoTime now);

  BreakerState state(MonoTime now) const;
  /// Milliseconds until the next trial may pass; 0 where one may now.
  std::int64_t rest_ms(MonoTime now) const;
  std::uint64_t opened() const;    ///< times
  std::uint64_t refused() const;   ///< calls

 private:
  static constexpr std::size_t kBuckets = 10;
  struct Bucket {
    std::int64_t number = -1;   // of its stretch of time
    std::uint32_t calls = 0;
    std::uint32_t failures = 0;
  };

  void open(MonoTime now);
  bool should_open(MonoTime now) const;

  const BreakerLimits limits_;
  mutable std::mutex mutex_;   // guards all below
  BreakerState state_ = BreakerState::kClosed;
  std::uint32_t epoch_ = 0;            // one more with each change of state
  std::uint32_t in_a_row_ = 0;
  std::int64_t wait_ms_ = 0;           // of the opening under way
  MonoTime next_trial_;
  std::array<Bucket, kBuckets> window_;
  std::uint64_t opened_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace understudy::providers
