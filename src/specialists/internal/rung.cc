#include "specialists/internal/rung.h"

#include <numeric>
#include <utility>

#include "base/random.h"

namespace understudy::specialists::internal {

std::vector<std::size_t> shuffled(std::size_t count, std::uint64_t seed) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  SeededRandom random(seed);
  for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

Result<calibration::LogisticModel> fit_line(const Eigen::MatrixXd& x, const Eigen::VectorXd& y, const Eigen::VectorXd& weight, const Eigen::VectorXd& ridge) {
  const auto standard = calibration::Standardiser::of(x);
  auto model = calibration::fit_logistic(standard.apply(x), y, ridge, weight);
  if (!model) return model;
  model->beta = model->beta.cwiseQuotient(standard.deviation).eval();
  model->intercept -= model->beta.dot(standard.mean);
  return model;
}

Result<calibration::LogisticModel> fit_line(const Eigen::MatrixXd& x, const Eigen::VectorXd& y, const Eigen::VectorXd& weight, double ridge) {
  return fit_line(x, y, weight, Eigen::VectorXd::Constant(x.cols(), ridge));
}

}  // namespace understudy::specialists::internal
