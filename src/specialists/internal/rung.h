#pragma once
#include <cstdint>
#include <vector>

#include "calibration/logistic.h"

namespace understudy::specialists::internal {

/// 0 to count - 1 in an order that the seed alone decides.
std::vector<std::size_t> shuffled(std::size_t count, std::uint64_t seed);

/// A line in the features as they are: standardised for the fit, then written back.
Result<calibration::LogisticModel> fit_line(const Eigen::MatrixXd& x, const Eigen::VectorXd& y, const Eigen::VectorXd& weight, double ridge = 3);
/// With a ridge of its own for each column.
Result<calibration::LogisticModel> fit_line(const Eigen::MatrixXd& x, const Eigen::VectorXd& y, const Eigen::VectorXd& weight, const Eigen::VectorXd& ridge);

}  // namespace understudy::specialists::internal
