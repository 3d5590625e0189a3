#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/random.h"
#include "cascade/attempt.h"

namespace understudy::cascade {

inline constexpr int kMaxRetries = 2;
inline constexpr std::int64_t kMaxRetryWaitMs = 2'000;  ///< an upstream that wants more time gets its refusal passed on

/// Bounds retries of one reactor to a tenth of its requests, plus three a second, so that they never multiply an outage.
/// Not thread-safe.
class RetryBudget {
 public:
  void on_request() { tokens_ = std::min(tokens_ + 0.1, 100.0); }

  bool take(MonoTime now) {
    tokens_ = std::min(tokens_ + static_cast<double>(now.ns - last_.ns) * 3e-9, 100.0);
    last_ = now;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  double tokens_ = 3;
  MonoTime last_;
};

/// Milliseconds to wait before this failed call may be made again; nullopt where a second try cannot help (the request's
/// fault, an exhausted quota, bytes that had already come) or the upstream wants to be left alone for longer.
/// Full jitter over 100 ms, doubled per try (Brooker 2015), or what the upstream asked for.
std::optional<std::int64_t> retry_wait_ms(const Attempt& attempt, int tries, Random& random);

}  // namespace understudy::cascade
