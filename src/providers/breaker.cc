#include "providers/breaker.h"

#include <algorithm>

namespace understudy::providers {

std::string_view breaker_state_name(BreakerState state) {
  switch (state) {
    case BreakerState::kClosed: return "closed";
    case BreakerState::kHalfOpen: return "half_open";
    case BreakerState::kOpen: return "open";
  }
  return "closed";
}

std::optional<Breaker::Pass> Breaker::admit(MonoTime now) {
  const std::lock_guard lock(mutex_);
  if (state_ == BreakerState::kClosed) return Pass{epoch_, false};
  if (now < next_trial_) {
    ++refused_;
    return std::nullopt;
  }
  if (state_ == BreakerState::kOpen) {
    state_ = BreakerState::kHalfOpen;
    ++epoch_;
  }
  next_trial_ = now.plus_ms(limits_.trial_ms);
  return Pass{epoch_, true};
}

Breaker::Change Breaker::report(Pass pass, bool success, MonoTime now) {
  const std::lock_guard lock(mutex_);
  if (pass.epoch != epoch_ || state_ == BreakerState::kOpen) return Change::kNone;
  if (state_ == BreakerState::kHalfOpen) {
    if (!success) {
      open(now);
      return Change::kOpened;
    }
    state_ = BreakerState::kClosed;
    ++epoch_;
    wait_ms_ = 0;
    in_a_row_ = 0;
    window_ = {};
    return Change::kClosed;
  }
  const std::int64_t number = now.ns / (limits_.window_ms * 1'000'000 / static_cast<std::int64_t>(kBuckets));
  Bucket& bucket = window_[static_cast<std::size_t>(number) % kBuckets];
  if (bucket.number != number) bucket = {number, 0, 0};
  ++bucket.calls;
  if (success) {
    in_a_row_ = 0;
    return Change::kNone;
  }
  ++bucket.failures;
  ++in_a_row_;
  if (!should_open(now)) return Change::kNone;
  open(now);
  return Change::kOpened;
}

bool Breaker::should_open(MonoTime now) const {
  if (in_a_row_ >= limits_.consecutive) return true;
  const std::int64_t oldest = now.ns / (limits_.window_ms * 1'000'000 / static_cast<std::int64_t>(kBuckets)) - static_cast<std::int64_t>(kBuckets) + 1;
  std::uint32_t calls = 0;
  std::uint32_t failures = 0;
  for (const Bucket& bucket : window_) {
    if (bucket.number < oldest) continue;
    calls += bucket.calls;
    failures += bucket.failures;
  }
  return calls >= limits_.window_calls && failures >= limits_.share * calls;
}

void Breaker::open(MonoTime now) {
  state_ = BreakerState::kOpen;
  ++epoch_;
  ++opened_;
  wait_ms_ = wait_ms_ == 0 ? limits_.open_ms : std::min(2 * wait_ms_, limits_.max_open_ms);
  next_trial_ = now.plus_ms(wait_ms_);
  in_a_row_ = 0;
  window_ = {};
}

BreakerState Breaker::state(MonoTime now) const {
  const std::lock_guard lock(mutex_);
  // With nobody asking, an opening that has run out is told as what the next call would find.
  return state_ == BreakerState::kOpen && now >= next_trial_ ? BreakerState::kHalfOpen : state_;
}

std::int64_t Breaker::rest_ms(MonoTime now) const {
  const std::lock_guard lock(mutex_);
  return state_ == BreakerState::kClosed || now >= next_trial_ ? 0 : (next_trial_.ns - now.ns + 999'999) / 1'000'000;
}

std::uint64_t Breaker::opened() const {
  const std::lock_guard lock(mutex_);
  return opened_;
}

std::uint64_t Breaker::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

}  // namespace understudy::providers
