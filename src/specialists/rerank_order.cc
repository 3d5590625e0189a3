#include "specialists/rerank_order.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/assert.h"
#include "base/json_writer.h"
#include "calibration/logistic.h"
#include "calibration/paired.h"

namespace understudy::specialists {

double RerankOrder::Line::raw(std::size_t place) const { return intercept - slope * std::log1p(static_cast<double>(place)); }

RerankOrder compare_orders(std::span<const double> came, std::span<const double> reranked) {
  UNDERSTUDY_ASSERT(came.size() == reranked.size());
  RerankOrder out;
  out.queries = came.size();
  if (came.empty()) return out;
  const auto mean = [](std::span<const double> values) { return std::min(std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size()), 1.0); };
  out.came_ndcg10 = mean(came);
  out.reranked_ndcg10 = mean(reranked);
  if (came.size() > 1) out.at_least = std::clamp(calibration::paired_lower_bound(reranked, came, RerankOrder::kConfidence), -1.0, out.difference());
  return out;
}

Result<RerankOrder::Line> fit_place_line(std::span<const double> place, std::span<const double> relevant, std::span<const double> weight) {
  UNDERSTUDY_ASSERT(place.size() == relevant.size() && place.size() == weight.size());
  const auto n = static_cast<Eigen::Index>(place.size());
  const Eigen::Map<const Eigen::VectorXd> places(place.data(), n), y(relevant.data(), n), w(weight.data(), n);
  const Eigen::MatrixXd x = places.array().log1p().matrix();
  const auto model = calibration::fit_logistic(x, y, Eigen::VectorXd::Constant(1, 0.1), w);
  if (!model) return fail(model.error());
  RerankOrder::Line out{model->intercept, -model->beta(0)};
  const double slope = std::clamp(out.slope, RerankOrder::Line::kFlattest, RerankOrder::Line::kSteepest);
  if (slope == out.slope) return out;
  // Another slope than the best one: the intercept at which as many are expected to be relevant as are.
  out.slope = slope;
  double low = -1000, high = 1000;
  while (high - low > 1e-9) {
    out.intercept = (low + high) / 2;
    double too_many = 0;
    for (Eigen::Index i = 0; i < n; ++i) too_many += w(i) * (calibration::sigmoid(out.intercept - slope * x(i, 0)) - y(i));
    (too_many > 0 ? high : low) = out.intercept;
  }
  return out;
}

void append_order(JsonWriter& w, const RerankOrder& order) {
  w.key("order").begin_object().field("kept", order.kept()).field("queries", order.queries).field("came_ndcg10", order.came_ndcg10).field("reranked_ndcg10", order.reranked_ndcg10);
  w.field("difference", order.difference()).field("at_least", order.at_least).key("line");
  if (order.line) w.begin_object().field("intercept", order.line->intercept).field("slope", order.line->slope).end_object();
  else w.null();
  w.end_object();
}

}  // namespace understudy::specialists
