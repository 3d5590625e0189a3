#include "gateway/rate_meter.h"

#include <fmt/format.h>

#include <algorithm>

namespace understudy::gateway {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;

std::int64_t to_ms_up(std::int64_t ns) { return ns <= 0 ? 0 : (ns + kNsPerMs - 1) / kNsPerMs; }

}  // namespace

void RateMeter::put(RateLimit limit) {
  count_.store(limit.count, std::memory_order_relaxed);
  window_ms_.store(limit.window_ms, std::memory_order_relaxed);
  interval_ns_.store(std::max<std::int64_t>(limit.window_ms * kNsPerMs / limit.count, 1), std::memory_order_relaxed);
}

RateState RateMeter::take(MonoTime now, std::int64_t n) {
  const std::int64_t count = count_.load(std::memory_order_relaxed);
  const std::int64_t interval = interval_ns_.load(std::memory_order_relaxed);
  const std::int64_t whole = interval * count;
  const std::int64_t wanted = interval * std::clamp<std::int64_t>(n, 0, count);
  RateState state;
  state.limit = count;
  std::int64_t full_at = full_at_ns_.load(std::memory_order_relaxed);
  for (;;) {
    const std::int64_t used = std::max(full_at, now.ns) - now.ns;
    if (used + wanted > whole) {
      state.admitted = false;
      state.retry_after_ms = to_ms_up(used + wanted - whole);
      state.remaining = std::max<std::int64_t>(0, (whole - used) / interval);
      state.reset_ms = to_ms_up(used);
      refused_.fetch_add(1, std::memory_order_relaxed);
      return state;
    }
    if (full_at_ns_.compare_exchange_weak(full_at, now.ns + used + wanted, std::memory_order_relaxed)) {
      state.remaining = (whole - used - wanted) / interval;
      state.reset_ms = to_ms_up(used + wanted);
      return state;
    }
  }
}

void RateMeter::charge(MonoTime now, std::int64_t n) {
  constexpr std::int64_t kMost = 1'000'000'000;   // a provider may say any number
  const std::int64_t more = interval_ns_.load(std::memory_order_relaxed) * std::clamp(n, -kMost, kMost);
  std::int64_t full_at = full_at_ns_.load(std::memory_order_relaxed);
  while (!full_at_ns_.compare_exchange_weak(full_at, std::max(full_at, now.ns) + more, std::memory_order_relaxed)) {
  }
}

void RateMeter::set_limit(RateLimit limit, MonoTime now) {
  const std::int64_t old_interval = interval_ns_.load(std::memory_order_relaxed);
  put(limit);
  const std::int64_t interval = interval_ns_.load(std::memory_order_relaxed);
  std::int64_t full_at = full_at_ns_.load(std::memory_order_relaxed);
  while (full_at > now.ns) {
    const auto used = static_cast<double>(full_at - now.ns) / static_cast<double>(old_interval);
    if (full_at_ns_.compare_exchange_weak(full_at, now.ns + static_cast<std::int64_t>(used * static_cast<double>(interval)), std::memory_order_relaxed)) return;
  }
}

std::string rate_reset_text(std::int64_t ms) {
  if (ms <= 0) return "0s";
  if (ms < 1'000) return fmt::format("{}ms", ms);
  std::string seconds = fmt::format("{}", ms % 60'000 / 1'000);
  if (ms % 1'000 != 0) {
    seconds += fmt::format(".{:03}", ms % 1'000);
    while (seconds.ends_with('0')) seconds.pop_back();
  }
  return ms < 60'000 ? seconds + "s" : fmt::format("{}m{}s", ms / 60'000, seconds);
}

}  // namespace understudy::gateway
