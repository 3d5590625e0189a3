#include "calibration/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/assert.h"

namespace understudy::calibration {

double ece(Probabilities p, Outcomes y, int bins) {
  UNDERSTUDY_ASSERT(p.size() == y.size() && !p.empty() && bins > 0);
  const auto count = static_cast<std::size_t>(bins);
  std::vector<double> gap(count, 0);
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double at = std::ceil(p[i] * bins) - 1;
    const auto bin = static_cast<std::size_t>(std::clamp(at, 0.0, static_cast<double>(bins - 1)));
    gap[bin] += p[i] - y[i];
  }
  double total = 0;
  for (const double g : gap) total += std::fabs(g);
  return total / static_cast<double>(p.size());
}

double brier(Probabilities p, Outcomes y) {
  UNDERSTUDY_ASSERT(p.size() == y.size() && !p.empty());
  double total = 0;
  for (std::size_t i = 0; i < p.size(); ++i) total += (p[i] - y[i]) * (p[i] - y[i]);
  return total / static_cast<double>(p.size());
}

double log_loss(Probabilities p, Outcomes y) {
  UNDERSTUDY_ASSERT(p.size() == y.size() && !p.empty());
  double total = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double q = std::clamp(p[i], 1e-6, 1 - 1e-6);
    total -= y[i] ? std::log(q) : std::log1p(-q);
  }
  return total / static_cast<double>(p.size());
}

double auroc(std::span<const double> score, Outcomes y) {
  UNDERSTUDY_ASSERT(score.size() == y.size());
  std::vector<std::size_t> order(score.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return score[a] < score[b]; });
  double ranks = 0, ones = 0;
  for (std::size_t i = 0; i < order.size();) {
    std::size_t j = i;
    while (j < order.size() && score[order[j]] == score[order[i]]) ++j;
    const double middle = (static_cast<double>(i + 1) + static_cast<double>(j)) / 2;
    for (std::size_t k = i; k < j; ++k) {
      if (y[order[k]]) ranks += middle, ++ones;
    }
    i = j;
  }
  const double zeros = static_cast<double>(score.size()) - ones;
  if (ones == 0 || zeros == 0) return std::numeric_limits<double>::quiet_NaN();
  return (ranks - ones * (ones + 1) / 2) / (ones * zeros);
}

Interval bootstrap_interval(Probabilities p, Outcomes y, const std::function<double(Probabilities, Outcomes)>& metric, int draws,
                            double level, Random& random) {
  UNDERSTUDY_ASSERT(p.size() == y.size() && !p.empty() && draws >= 2);
  std::vector<double> values, sample(p.size());
  std::vector<std::uint8_t> outcome(p.size());
  for (int d = 0; d < draws; ++d) {
    for (std::size_t i = 0; i < p.size(); ++i) {
      const auto pick = static_cast<std::size_t>(random.below(p.size()));
      sample[i] = p[pick];
      outcome[i] = y[pick];
    }
    const double value = metric(sample, outcome);
    if (std::isfinite(value)) values.push_back(value);
  }
  if (values.empty()) return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  std::sort(values.begin(), values.end());
  const auto at = [&](double q) {
    const double place = q * static_cast<double>(values.size() - 1);
    const auto low = static_cast<std::size_t>(place);
    const std::size_t high = std::min(low + 1, values.size() - 1);
    return values[low] + (place - static_cast<double>(low)) * (values[high] - values[low]);
  };
  return {at((1 - level) / 2), at((1 + level) / 2)};
}

MeanInterval mean_interval(std::span<const double> values, double z) {
  MeanInterval result;
  if (values.empty()) return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  const auto n = static_cast<double>(values.size());
  result.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double v : values) squares += (v - result.mean) * (v - result.mean);
  const double half = values.size() < 2 ? 0 : z * std::sqrt(squares / (n - 1) / n);
  result.low = result.mean - half;
  result.high = result.mean + half;
  return result;
}

}  // namespace understudy::calibration
