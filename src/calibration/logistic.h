#pragma once
/// Logistic regression with ridge.
///
/// Minimises  sum_i w_i * (-y_i log p_i - (1 - y_i) log(1 - p_i)) + 1/2 sum_j ridge_j * beta_j^2,
/// p_i = sigmoid(intercept + x_i . beta), intercept not penalised, by Newton's method. A step is halved until the loss
/// falls: without that one of four real files diverged.
/// Pure, thread-safe; O(n d^2 + d^3) an iteration, usually under ten.

#include <Eigen/Core>
#include <span>

#include "base/error.h"

namespace understudy::calibration {

double sigmoid(double x);
/// log(p / (1 - p)) with p clipped to [1e-12, 1 - 1e-12].
double logit(double p);

struct LogisticModel {
  Eigen::VectorXd beta;  ///< d
  double intercept = 0;

  /// Log-odds. @param x d features
  double log_odds(const Eigen::Ref<const Eigen::VectorXd>& x) const { return intercept + beta.dot(x); }
  double probability(const Eigen::Ref<const Eigen::VectorXd>& x) const { return sigmoid(log_odds(x)); }
  Eigen::VectorXd probabilities(const Eigen::MatrixXd& rows) const;
};

/// @param x      n rows by d columns, finite
/// @param y      n outcomes in [0, 1] (soft labels are fine)
/// @param ridge  d penalties >= 0, in units of the loss (a penalty of 3 weighs like 3 nats at beta = sqrt 2)
/// @param weight n weights >= 0, or empty for all 1
/// @return kInvalidRequest when shapes differ, n = 0, a number is not finite, or all outcomes are the same (no finite fit)
Result<LogisticModel> fit_logistic(const Eigen::MatrixXd& x, const Eigen::VectorXd& y, const Eigen::VectorXd& ridge,
                                   const Eigen::VectorXd& weight = {});

/// Column means and deviations of the fit rows, so that one ridge suits all columns. A constant column keeps deviation 1.
struct Standardiser {
  Eigen::VectorXd mean;
  Eigen::VectorXd deviation;
  static Standardiser of(const Eigen::MatrixXd& rows);
  Eigen::MatrixXd apply(const Eigen::MatrixXd& rows) const;
};

}  // namespace understudy::calibration
