#include "calibration/weighting.h"

#include <boost/math/distributions/normal.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace understudy::calibration {

namespace {

void set_interval(RateEstimate& e, double level) {
  const double z = boost::math::quantile(boost::math::normal(), (1 + level) / 2);
  e.interval = {std::max(0.0, e.rate - z * e.standard_error), std::min(1.0, e.rate + z * e.standard_error)};
}

double mean(std::span<const double> v) { return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size()); }

double variance(std::span<const double> v) {
  const double m = mean(v);
  double sum = 0;
  for (const double x : v) sum += (x - m) * (x - m);
  return sum / static_cast<double>(v.size() - 1);
}

bool level_ok(double level) { return level > 0 && level < 1; }

}  // namespace

Result<RateEstimate> weighted_rate(Outcomes bad, std::span<const double> propensity, double level) {
  if (bad.empty() || bad.size() != propensity.size() || !level_ok(level)) {
    return fail(ErrorKind::kInvalidRequest, "weighted rate: outcomes and propensities must be as many, at least one, and the level in (0, 1)");
  }
  double weights = 0, squares = 0, sum = 0;
  for (std::size_t i = 0; i < bad.size(); ++i) {
    if (!(propensity[i] > 0 && propensity[i] <= 1)) return fail(ErrorKind::kInvalidRequest, "weighted rate: a propensity is not in (0, 1]");
    const double w = 1 / propensity[i];
    weights += w, squares += w * w, sum += bad[i] ? w : 0;
  }
  RateEstimate e;
  e.rate = sum / weights;
  e.effective_rows = weights * weights / squares;
  double spread = 0;
  for (std::size_t i = 0; i < bad.size(); ++i) {
    const double r = ((bad[i] ? 1.0 : 0.0) - e.rate) / propensity[i];
    spread += r * r;
  }
  e.standard_error = std::sqrt(spread) / weights;
  set_interval(e, level);
  return e;
}

Result<PredictionPowered> prediction_powered_rate(Outcomes truth, std::span<const double> judge_on_labelled, std::span<const double> judge_elsewhere,
                                                  double level) {
  const std::size_t n = truth.size(), m = judge_elsewhere.size();
  if (n < 2 || m < 2 || judge_on_labelled.size() != n || !level_ok(level)) {
    return fail(ErrorKind::kInvalidRequest, "prediction-powered rate: at least two labelled and two other rows are needed, a verdict for each, and a level in (0, 1)");
  }
  std::vector<double> y(n);
  std::transform(truth.begin(), truth.end(), y.begin(), [](std::uint8_t v) { return v ? 1.0 : 0.0; });
  std::vector<double> all(judge_on_labelled.begin(), judge_on_labelled.end());
  all.insert(all.end(), judge_elsewhere.begin(), judge_elsewhere.end());
  for (const double v : all) {
    if (!(v >= 0 && v <= 1)) return fail(ErrorKind::kInvalidRequest, "prediction-powered rate: a verdict is not in [0, 1]");
  }
  const double my = mean(y), mf = mean(judge_on_labelled), mu = mean(judge_elsewhere);
  double covariance = 0;
  for (std::size_t i = 0; i < n; ++i) covariance += (y[i] - my) * (judge_on_labelled[i] - mf);
  covariance /= static_cast<double>(n - 1);
  const double vf = variance(all), ratio = static_cast<double>(n) / static_cast<double>(m);
  PredictionPowered e;
  e.lambda = vf > 0 ? std::clamp(covariance / ((1 + ratio) * vf), 0.0, 1.0) : 0;
  std::vector<double> residual(n);
  for (std::size_t i = 0; i < n; ++i) residual[i] = y[i] - e.lambda * judge_on_labelled[i];
  e.rate = std::clamp(mean(residual) + e.lambda * mu, 0.0, 1.0);
  e.standard_error = std::sqrt(variance(residual) / static_cast<double>(n) + e.lambda * e.lambda * variance(judge_elsewhere) / static_cast<double>(m));
  e.effective_rows = static_cast<double>(n);
  set_interval(e, level);
  return e;
}

}  // namespace understudy::calibration
