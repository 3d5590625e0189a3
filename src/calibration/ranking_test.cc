#include "calibration/ranking.h"

#include <gtest/gtest.h>

#include <cmath>

namespace understudy::calibration {
namespace {

const std::vector<double> kGains = {0, 3, 0, 1};  // of four documents

TEST(Ranking, BestOrderIsWorthOne) {
  const std::vector<double> best = {0, 9, 1, 5};
  EXPECT_DOUBLE_EQ(ndcg(best, kGains, 10), 1);
  EXPECT_DOUBLE_EQ(reciprocal_rank(best, kGains, 10), 1);
  EXPECT_DOUBLE_EQ(average_precision(best, kGains), 1);
}

TEST(Ranking, CountsByHand) {
  const std::vector<double> score = {4, 3, 2, 1};  // the relevant ones come second and fourth
  const double ideal = 3 + 1 / std::log2(3.0);
  EXPECT_DOUBLE_EQ(ndcg(score, kGains, 10), (3 / std::log2(3.0) + 1 / std::log2(5.0)) / ideal);
  EXPECT_DOUBLE_EQ(ndcg(score, kGains, 3), 3 / std::log2(3.0) / ideal);
  EXPECT_DOUBLE_EQ(reciprocal_rank(score, kGains, 10), 0.5);
  EXPECT_DOUBLE_EQ(reciprocal_rank(score, kGains, 1), 0);
  EXPECT_DOUBLE_EQ(average_precision(score, kGains), (0.5 + 0.5) / 2);
}

TEST(Ranking, EqualScoresKeepTheGivenOrder) {
  EXPECT_DOUBLE_EQ(reciprocal_rank(std::vector<double>(4, 0.5), kGains, 10), 0.5);
  EXPECT_EQ(ranked(std::vector<double>{1, 2, 1, 2}), (std::vector<std::size_t>{1, 3, 0, 2}));
}

TEST(Ranking, NothingRelevantIsWorthNothing) {
  const std::vector<double> score = {2, 1}, none = {0, 0};
  EXPECT_EQ(ndcg(score, none, 10), 0);
  EXPECT_EQ(reciprocal_rank(score, none, 10), 0);
  EXPECT_EQ(average_precision(score, none), 0);
}

}  // namespace
}  // namespace understudy::calibration
