#include "calibration/ranking_agreement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace understudy::calibration {
namespace {

std::vector<double> clear_first(std::size_t n, std::size_t relevant) {
  std::vector<double> p(n, 0.001);
  std::fill_n(p.begin(), relevant, 0.999);
  return p;
}

TEST(RankingAgreement, ClearScoresAreLikelyToAgreeAndEqualOnesAreNot) {
  const ComparatorSpec top3 = *parse_comparator("ranking:top=3");
  const auto clear = ranking_agreement(clear_first(20, 3), 0, top3);
  EXPECT_GT(clear.chance, 0.95);
  EXPECT_GT(clear.overlap, 0.98);
  EXPECT_NEAR(clear.margin, 0.998, 1e-9);
  const auto equal = ranking_agreement(std::vector<double>(20, 0.5), 0, top3);
  EXPECT_LT(equal.chance, 0.05) << "one set of 1,140";
  EXPECT_NEAR(equal.overlap, 0.15, 0.05) << "3 of 20 by chance";
  EXPECT_EQ(equal.margin, 0);
}

TEST(RankingAgreement, IsTheChanceThatTheModelSays) {
  // Of two documents with log-odds 2 apart, Plackett-Luce puts the better first with probability 1 / (1 + e^-2) = .881.
  const std::vector<double> two{0.5, 1 / (1 + std::exp(-2.0))};
  EXPECT_NEAR(ranking_agreement(two, 0, *parse_comparator("ranking:top=1")).chance, 0.881, 0.05);
  EXPECT_NEAR(ranking_agreement(two, 0, *parse_comparator("ranking:tau=1")).chance, 0.881, 0.05);
  EXPECT_NEAR(ranking_agreement(two, 0, *parse_comparator("text")).chance, 0.881, 0.05) << "the same words are the same order";
}

TEST(RankingAgreement, FollowsTheComparatorsLevel) {
  std::vector<double> p;
  for (int i = 0; i < 30; ++i) p.push_back(1 / (1 + std::exp(0.4 * (i - 5))));
  const double strict = ranking_agreement(p, 0, *parse_comparator("ranking:top=5,level=1")).chance;
  const double four = ranking_agreement(p, 0, *parse_comparator("ranking:top=5,level=0.8")).chance;
  const double three = ranking_agreement(p, 0, *parse_comparator("ranking:top=5,level=0.6")).chance;
  EXPECT_LT(strict, four);
  EXPECT_LT(four, three);
  EXPECT_LT(ranking_agreement(p, 0, *parse_comparator("ranking:tau=0.9")).chance, ranking_agreement(p, 0, *parse_comparator("ranking:tau=0.5")).chance);
}

TEST(RankingAgreement, OnlyWhatAnAnswerNamesCounts) {
  const std::vector<double> p = clear_first(10, 2);
  EXPECT_GT(ranking_agreement(p, 2, *parse_comparator("ranking:top=5")).chance, 0.95) << "the rest is not named";
  EXPECT_LT(ranking_agreement(p, 0, *parse_comparator("ranking:top=5")).chance, 0.2);
  EXPECT_LT(ranking_agreement(p, 2, *parse_comparator("ranking:tau=1")).chance, 0.7) << "which of the two is first nobody knows";
}

TEST(RankingAgreement, TheSmallestAndTheLargest) {
  const ComparatorSpec top3 = *parse_comparator("ranking:top=3");
  EXPECT_GT(ranking_agreement(std::vector<double>{0.3}, 0, top3).chance, 0.99);
  EXPECT_EQ(ranking_agreement(std::vector<double>{0.3, 0.3}, 0, top3).margin, 1) << "all are among the first three";
  EXPECT_GT(ranking_agreement(std::vector<double>{0, 1}, 0, *parse_comparator("ranking:top=1")).chance, 0.99) << "certain scores too";
  const std::vector<double> many(1'000, 0.01);
  EXPECT_LT(ranking_agreement(many, 0, *parse_comparator("ranking:tau=0.9")).chance, 0.1);
  EXPECT_EQ(ranking_agreement(many, 0, top3).chance, ranking_agreement(many, 0, top3).chance);
}

}  // namespace
}  // namespace understudy::calibration
