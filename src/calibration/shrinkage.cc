#include "calibration/shrinkage.h"

#include <array>
#include <cmath>

#include "calibration/logistic.h"

namespace understudy::calibration {

namespace {

struct Row {
  double log_odds;
  bool y;
};

struct Fit {
  double offset = 0;
  double log_marginal = 0;  ///< Laplace, against no offset at all
};

double log_likelihood(const std::vector<Row>& rows, double b) {
  double sum = 0;
  for (const Row& r : rows) {
    const double z = r.y ? r.log_odds + b : -(r.log_odds + b);
    sum -= z > 0 ? std::log1p(std::exp(-z)) : -z + std::log1p(std::exp(z));
  }
  return sum;
}

Fit fit_one(const std::vector<Row>& rows, double tau) {
  if (tau == 0 || rows.empty()) return {0, log_likelihood(rows, 0)};
  double b = 0, curvature = 0;
  for (int i = 0; i < 50; ++i) {
    double gradient = -b / (tau * tau);
    curvature = 1 / (tau * tau);
    for (const Row& r : rows) {
      const double p = sigmoid(r.log_odds + b);
      gradient += (r.y ? 1.0 : 0.0) - p;
      curvature += p * (1 - p);
    }
    const double step = std::min(1.0, std::max(-1.0, gradient / curvature));  // one log-odds at most: Newton may overshoot
    b += step;
    if (std::fabs(step) < 1e-10) break;
  }
  return {b, log_likelihood(rows, b) - b * b / (2 * tau * tau) - 0.5 * std::log(tau * tau * curvature)};
}

}  // namespace

double GroupOffsets::apply(double p, std::size_t group) const {
  if (group >= offset.size() || offset[group] == 0) return p;
  return sigmoid(logit(p) + offset[group]);
}

Result<GroupOffsets> fit_group_offsets(Probabilities p, Outcomes y, std::span<const std::size_t> group, std::size_t groups) {
  if (p.size() != y.size() || p.size() != group.size()) return fail(ErrorKind::kInvalidRequest, "group offsets: probabilities, outcomes and groups do not match in number");
  std::vector<std::vector<Row>> rows(groups);
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (group[i] >= groups || !(p[i] >= 0 && p[i] <= 1)) return fail(ErrorKind::kInvalidRequest, "group offsets: a group index or probability is out of range");
    rows[group[i]].push_back({logit(p[i]), y[i] != 0});
  }
  constexpr std::array kGrid{0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0};
  GroupOffsets best;
  double best_marginal = 0;
  for (const double tau : kGrid) {
    double marginal = 0;
    std::vector<double> offsets;
    for (const auto& members : rows) {
      const Fit fit = fit_one(members, tau);
      marginal += fit.log_marginal;
      offsets.push_back(fit.offset);
    }
    if (tau == 0 || marginal > best_marginal) best = {tau, std::move(offsets)}, best_marginal = marginal;
  }
  return best;
}

}  // namespace understudy::calibration
