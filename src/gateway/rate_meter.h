#pragma once
#include <atomic>
#include <cstdint>
#include <string>

#include "base/clock.h"

namespace understudy::gateway {

/// So many in so much time.
struct RateLimit {
  std::int64_t count = 1;            ///< 1 to 1e9
  std::int64_t window_ms = 1'000;
};

/// What one look at a meter found.
struct RateState {
  bool admitted = true;
  std::int64_t limit = 0;            ///< most at once
  std::int64_t remaining = 0;        ///< that would be admitted now
  std::int64_t reset_ms = 0;         ///< until as much is free as ever is, rounded up
  std::int64_t retry_after_ms = 0;   ///< where it was refused: until it would not be, rounded up
};

/// A bucket of `count` that refills evenly over the window, shared by all reactors: after a pause `count` go through at once, then
/// one each window / count. Its whole state is one number, the time at which the bucket will be full again (the generic cell rate
/// algorithm), so taking is one compare-and-swap and never waits. Thread-safe.
class RateMeter {
 public:
  explicit RateMeter(RateLimit limit) { put(limit); }

  /// Takes `n` at once, or says when there will be so many. More than the limit is asked for as the limit.
  RateState take(MonoTime now, std::int64_t n = 1);
  /// Takes `n` more, also where there are not so many: the meter is then in debt, and what comes next waits. Less than 0 gives back.
  void charge(MonoTime now, std::int64_t n);
  /// Another limit from now on; what was used stays used. A request on another reactor may see both limits mixed, once.
  void set_limit(RateLimit limit, MonoTime now);
  RateLimit limit() const { return {count_.load(std::memory_order_relaxed), window_ms_.load(std::memory_order_relaxed)}; }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  void put(RateLimit limit);

  std::atomic<std::int64_t> count_{1}, window_ms_{1'000};
  std::atomic<std::int64_t> interval_ns_{1};
  std::atomic<std::int64_t> full_at_ns_{INT64_MIN};
  std::atomic<std::uint64_t> refused_{0};
};

/// A time as OpenAI's x-ratelimit-reset-* headers write it: "0s", "120ms", "1.5s", "6m0s".
std::string rate_reset_text(std::int64_t ms);

}  // namespace understudy::gateway
