#include "calibration/ranking.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "base/assert.h"

namespace understudy::calibration {
namespace {

double discounted(std::span<const std::size_t> order, std::span<const double> gain, std::size_t depth) {
  double sum = 0;
  for (std::size_t r = 0; r < std::min(depth, order.size()); ++r) sum += gain[order[r]] / std::log2(static_cast<double>(r + 2));
  return sum;
}

}  // namespace

std::vector<std::size_t> ranked(std::span<const double> score) {
  std::vector<std::size_t> order(score.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return score[a] > score[b]; });
  return order;
}

double ndcg(std::span<const double> score, std::span<const double> gain, std::size_t depth) {
  UNDERSTUDY_ASSERT(score.size() == gain.size());
  const double best = discounted(ranked(gain), gain, depth);
  return best > 0 ? discounted(ranked(score), gain, depth) / best : 0;
}

double reciprocal_rank(std::span<const double> score, std::span<const double> gain, std::size_t depth) {
  UNDERSTUDY_ASSERT(score.size() == gain.size());
  const auto order = ranked(score);
  for (std::size_t r = 0; r < std::min(depth, order.size()); ++r)
    if (gain[order[r]] > 0) return 1 / static_cast<double>(r + 1);
  return 0;
}

double average_precision(std::span<const double> score, std::span<const double> gain) {
  UNDERSTUDY_ASSERT(score.size() == gain.size());
  const auto order = ranked(score);
  double sum = 0;
  std::size_t relevant = 0;
  for (std::size_t r = 0; r < order.size(); ++r) {
    if (gain[order[r]] <= 0) continue;
    ++relevant;
    sum += static_cast<double>(relevant) / static_cast<double>(r + 1);
  }
  return relevant > 0 ? sum / static_cast<double>(relevant) : 0;
}

}  // namespace understudy::calibration
