#include "app/share_interval.h"

#include "calibration/binomial.h"

namespace understudy::app {

std::optional<ShareInterval> share_interval(std::int64_t k, std::int64_t n) {
  if (n <= 0) return std::nullopt;
  const calibration::Interval exact = calibration::clopper_pearson(static_cast<std::size_t>(k), static_cast<std::size_t>(n));
  return ShareInterval{static_cast<double>(k) / static_cast<double>(n), exact.low, exact.high, n};
}

std::optional<ShareInterval> agreement_of(std::span<const store::CurveLabels> checks) {
  std::int64_t coins = 0;
  double whole = 0;
  const store::CurveLabels* only = nullptr;
  for (const store::CurveLabels& c : checks) {
    if (c.n <= 0) continue;
    ++coins;
    only = &c;
    whole += static_cast<double>(c.n) / c.propensity;
  }
  if (coins == 0) return std::nullopt;
  if (coins == 1) return share_interval(only->agree, only->n);
  ShareInterval sum;
  for (const store::CurveLabels& c : checks) {
    if (c.n <= 0) continue;
    const double weight = static_cast<double>(c.n) / c.propensity / whole;
    const auto interval = calibration::clopper_pearson(static_cast<std::size_t>(c.agree), static_cast<std::size_t>(c.n), 1 - 0.05 / static_cast<double>(coins));
    sum.share += weight * static_cast<double>(c.agree) / static_cast<double>(c.n);
    sum.low += weight * interval.low;
    sum.high += weight * interval.high;
    sum.n += c.n;
  }
  return sum;
}

}  // namespace understudy::app
