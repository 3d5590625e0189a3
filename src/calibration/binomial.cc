#include "calibration/binomial.h"

#include <boost/math/special_functions/beta.hpp>
#include <cmath>

#include "base/assert.h"

namespace understudy::calibration {

namespace {

// Arguments are checked before the call: no exceptions, and no promotion to long double (twice as slow, digits not needed).
namespace policies = boost::math::policies;
using Policy = policies::policy<policies::promote_double<false>, policies::domain_error<policies::ignore_error>,
                                policies::overflow_error<policies::ignore_error>, policies::evaluation_error<policies::ignore_error>>;

}  // namespace

double binomial_cdf(std::size_t k, std::size_t n, double p) {
  UNDERSTUDY_ASSERT(p >= 0 && p <= 1);
  if (k >= n || p == 0) return 1;
  if (p == 1) return 0;
  return boost::math::ibetac(static_cast<double>(k) + 1, static_cast<double>(n - k), p, Policy());
}

double binomial_upper_bound(std::size_t bad, std::size_t n, double delta) {
  UNDERSTUDY_ASSERT(delta > 0 && delta < 1 && bad <= n);
  if (bad == n) return 1;
  return boost::math::ibetac_inv(static_cast<double>(bad) + 1, static_cast<double>(n - bad), delta, Policy());
}

double binomial_lower_bound(std::size_t bad, std::size_t n, double delta) {
  UNDERSTUDY_ASSERT(delta > 0 && delta < 1 && bad <= n);
  if (bad == 0) return 0;
  return boost::math::ibeta_inv(static_cast<double>(bad), static_cast<double>(n - bad) + 1, delta, Policy());
}

Interval clopper_pearson(std::size_t bad, std::size_t n, double level) {
  const double each = (1 - level) / 2;
  return {binomial_lower_bound(bad, n, each), binomial_upper_bound(bad, n, each)};
}

std::size_t least_rows(double alpha, double delta, std::size_t bad) {
  UNDERSTUDY_ASSERT(alpha > 0 && alpha < 1 && delta > 0 && delta < 1);
  std::size_t low = bad, high = bad + 1;  // fails at low, where every row is bad
  while (binomial_cdf(bad, high, alpha) > delta) low = high, high *= 2;
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    (binomial_cdf(bad, middle, alpha) > delta ? low : high) = middle;
  }
  return high;
}

std::optional<std::size_t> rows_to_show(double rate, double alpha, double delta) {
  if (!(rate < alpha)) return std::nullopt;
  constexpr std::size_t kMost = 10'000'000;
  const auto passes = [&](std::size_t n) {
    const auto bad = static_cast<std::size_t>(std::ceil(rate * static_cast<double>(n) - 1e-9));
    return binomial_cdf(bad, n, alpha) <= delta;
  };
  std::size_t low = 0, high = least_rows(alpha, delta, 0);
  while (high <= kMost && !passes(high)) low = high, high *= 2;
  while (high <= kMost && high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    (passes(middle) ? high : low) = middle;
  }
  if (high <= kMost) return high;
  return std::nullopt;
}

}  // namespace understudy::calibration
