#include "base/clock.h"

#include <ctime>

namespace understudy {
namespace {

std::int64_t read_ns(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return std::int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

class SystemClock final : public Clock {
 public:
  MonoTime mono() const override { return {read_ns(CLOCK_MONOTONIC)}; }
  WallTime wall() const override { return {read_ns(CLOCK_REALTIME) / 1000}; }
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

}  // namespace understudy
