#pragma once
/// Time comes in through one door so that tests own it. Monotonic time is for deadlines and durations, wall time for
/// records and calendar days.

#include <compare>
#include <cstdint>

namespace understudy {

/// Nanoseconds on a clock that never steps; the origin is arbitrary.
struct MonoTime {
  std::int64_t ns = 0;
  friend constexpr auto operator<=>(MonoTime, MonoTime) = default;
  constexpr MonoTime plus_ms(std::int64_t ms) const { return {ns + ms * 1'000'000}; }
};

/// Microseconds since 1970-01-01T00:00:00Z.
struct WallTime {
  std::int64_t us = 0;
  friend constexpr auto operator<=>(WallTime, WallTime) = default;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonoTime mono() const = 0;
  virtual WallTime wall() const = 0;
};

/// The machine's clocks (vDSO, about 20 ns a call). Thread-safe.
const Clock& system_clock();

/// A clock that moves only when told. Not thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime wall = {1'760'000'000'000'000}) : wall_(wall) {}
  MonoTime mono() const override { return mono_; }
  WallTime wall() const override { return wall_; }
  void advance_ms(std::int64_t ms) {
    mono_.ns += ms * 1'000'000;
    wall_.us += ms * 1'000;
  }
  /// Steps wall time only, as an operator or NTP would.
  void step_wall_us(std::int64_t us) { wall_.us += us; }

 private:
  MonoTime mono_{1'000'000'000};
  WallTime wall_;
};

}  // namespace understudy
