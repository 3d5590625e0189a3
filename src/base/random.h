#pragma once
/// Seeded randomness. Everything that draws takes a Random&, so that a run can be repeated from its printed seed.

#include <cstdint>

namespace understudy {

class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;

  /// Uniform in [0, 1) with 53 random bits.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  /// Uniform in [0, n), n > 0, unbiased (Lemire 2019, with rejection).
  std::uint64_t below(std::uint64_t n);
  /// True with probability p.
  bool coin(double p) { return uniform() < p; }
};

/// xoshiro256** (Blackman and Vigna 2018), seeded through splitmix64. Not for secrets. Not thread-safe.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed);
  std::uint64_t next() override;

 private:
  std::uint64_t s_[4];
};

/// 64 bits from the kernel, for seeds and secrets.
std::uint64_t entropy64();

}  // namespace understudy
