#include "calibration/logistic.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>

namespace understudy::calibration {

namespace {

/// log(1 + e^x) without overflow.
double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }

}  // namespace

double sigmoid(double x) {
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const double e = std::exp(x);
  return e / (1 + e);
}

double logit(double p) {
  p = std::clamp(p, 1e-12, 1 - 1e-12);
  return std::log(p) - std::log1p(-p);
}

Eigen::VectorXd LogisticModel::probabilities(const Eigen::MatrixXd& rows) const {
  Eigen::VectorXd out = (rows * beta).array() + intercept;
  for (double& v : out) v = sigmoid(v);
  return out;
}

Result<LogisticModel> fit_logistic(const Eigen::MatrixXd& x, const Eigen::VectorXd& y, const Eigen::VectorXd& ridge,
                                   const Eigen::VectorXd& weight) {
  const Eigen::Index n = x.rows(), d = x.cols();
  if (n == 0 || y.size() != n || ridge.size() != d || (weight.size() != 0 && weight.size() != n)) {
    return fail(ErrorKind::kInvalidRequest, "logistic fit: rows, outcomes, penalties and weights do not match in number");
  }
  if (!x.allFinite() || !y.allFinite() || !ridge.allFinite() || !weight.allFinite()) {
    return fail(ErrorKind::kInvalidRequest, "logistic fit: a feature, outcome, penalty or weight is not a finite number");
  }
  const Eigen::VectorXd w = weight.size() == n ? weight : Eigen::VectorXd::Ones(n);
  if (w.minCoeff() < 0 || (d > 0 && ridge.minCoeff() < 0)) {
    return fail(ErrorKind::kInvalidRequest, "logistic fit: penalties and weights must not be negative");
  }
  const double total = w.sum();
  const double rate = total > 0 ? w.dot(y) / total : 0;
  if (!(rate > 0 && rate < 1)) {
    return fail(ErrorKind::kInvalidRequest, "logistic fit: all outcomes are the same; rows of both kinds are needed");
  }

  // Column d of the augmented design is the intercept.
  Eigen::MatrixXd design(n, d + 1);
  design << x, Eigen::VectorXd::Ones(n);
  Eigen::VectorXd penalty(d + 1);
  penalty << ridge, 0.0;
  Eigen::VectorXd theta = Eigen::VectorXd::Zero(d + 1);
  theta(d) = logit(rate);

  const auto loss = [&](const Eigen::VectorXd& t) {
    const Eigen::VectorXd z = design * t;
    double sum = 0.5 * (penalty.array() * t.array().square()).sum();
    for (Eigen::Index i = 0; i < n; ++i) sum += w(i) * (softplus(z(i)) - y(i) * z(i));
    return sum;
  };

  double current = loss(theta);
  constexpr int kMostIterations = 100;
  for (int iteration = 0; iteration < kMostIterations; ++iteration) {
    const Eigen::VectorXd z = design * theta;
    Eigen::VectorXd residual(n), curvature(n);
    for (Eigen::Index i = 0; i < n; ++i) {
      const double p = sigmoid(z(i));
      residual(i) = w(i) * (p - y(i));
      curvature(i) = std::max(w(i) * p * (1 - p), 1e-12);
    }
    const Eigen::VectorXd gradient = design.transpose() * residual + penalty.cwiseProduct(theta);
    if (gradient.lpNorm<Eigen::Infinity>() < 1e-9 * std::max(1.0, total)) break;
    Eigen::MatrixXd hessian = design.transpose() * (design.array().colwise() * curvature.array()).matrix();
    hessian.diagonal() += penalty;
    hessian.diagonal().array() += 1e-10 * std::max(1.0, hessian.diagonal().maxCoeff());  // duplicate columns stay solvable
    const Eigen::VectorXd step = hessian.ldlt().solve(gradient);
    double scale = 1;
    double next = current;
    Eigen::VectorXd candidate;
    for (int halving = 0; halving < 50; ++halving, scale /= 2) {
      candidate = theta - scale * step;
      next = loss(candidate);
      if (next < current) break;
    }
    if (!(next < current)) break;  // as low as rounding allows
    const double gained = current - next;
    theta = candidate;
    current = next;
    if (gained < 1e-12 * std::max(1.0, std::fabs(current))) break;
  }
  LogisticModel model;
  model.beta = theta.head(d);
  model.intercept = theta(d);
  return model;
}

Standardiser Standardiser::of(const Eigen::MatrixXd& rows) {
  Standardiser s;
  s.mean = rows.colwise().mean().transpose();
  s.deviation = ((rows.rowwise() - s.mean.transpose()).array().square().colwise().sum() / std::max<double>(1, static_cast<double>(rows.rows())))
                    .sqrt().transpose().matrix();
  for (double& v : s.deviation) {
    if (!(v > 1e-12)) v = 1;
  }
  return s;
}

Eigen::MatrixXd Standardiser::apply(const Eigen::MatrixXd& rows) const {
  return ((rows.rowwise() - mean.transpose()).array().rowwise() / deviation.transpose().array()).matrix();
}

}  // namespace understudy::calibration
