#pragma once
/// Exact binomial tails and bounds (Boost.Math's incomplete beta function). Probabilities are in [0, 1].
/// Pure, thread-safe, about 1 us a call. Source: Clopper and Pearson 1934.

#include <cstddef>
#include <optional>

namespace understudy::calibration {

struct Interval {
  double low = 0;
  double high = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
};

/// P(X <= k) for X ~ Binomial(n, p). @param k may be >= n (gives 1)
double binomial_cdf(std::size_t k, std::size_t n, double p);

/// Smallest u with P(X <= bad | rate u) <= delta: the rate is at most u with confidence 1 - delta. 1 for n = 0.
double binomial_upper_bound(std::size_t bad, std::size_t n, double delta);
/// The mirror image. 0 for n = 0.
double binomial_lower_bound(std::size_t bad, std::size_t n, double delta);
/// Two-sided interval, (1 - level) / 2 on each side.
Interval clopper_pearson(std::size_t bad, std::size_t n, double level = 0.95);

/// Least n at which `bad` bad rows still show a rate of at most alpha with confidence 1 - delta:
/// binomial_cdf(bad, n, alpha) <= delta. (0 bad, .10, .10) gives 22; (5, .10, .10) gives 91.
/// @param alpha, delta in (0, 1)
std::size_t least_rows(double alpha, double delta, std::size_t bad = 0);

/// Rows that a pass needs when the true rate is `rate`: an n at which round-up(n * rate) bad rows pass while n - 1 rows do
/// not (rounding makes a few smaller n pass too); nullopt where rate >= alpha or more than 10 million would be needed.
std::optional<std::size_t> rows_to_show(double rate, double alpha, double delta);

}  // namespace understudy::calibration
