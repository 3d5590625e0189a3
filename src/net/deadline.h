#pragma once
#include <cstdint>
#include <limits>

#include "base/clock.h"

namespace understudy::net {

/// A point in monotonic time by which something must have happened: a value that travels with the request.
struct Deadline {
  MonoTime at{std::numeric_limits<std::int64_t>::max()};

  static constexpr Deadline never() { return {}; }
  static constexpr Deadline after_ms(MonoTime now, std::int64_t ms) { return Deadline{now.plus_ms(ms)}; }

  constexpr bool is_never() const { return at.ns == std::numeric_limits<std::int64_t>::max(); }
  constexpr bool passed(MonoTime now) const { return now >= at; }
  /// Milliseconds left, rounded up, at least 0. Huge for `never`.
  constexpr std::int64_t left_ms(MonoTime now) const { return at <= now ? 0 : (at.ns - now.ns + 999'999) / 1'000'000; }
  friend constexpr Deadline earlier(Deadline a, Deadline b) { return a.at < b.at ? a : b; }
  friend constexpr bool operator==(Deadline, Deadline) = default;
};

}  // namespace understudy::net
