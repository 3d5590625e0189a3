#include "calibration/features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "calibration/confidence.h"

namespace understudy::calibration {
namespace {

TEST(LogprobFeatures, NoTokensGiveNoFeatures) {
  EXPECT_FALSE(LogprobAccumulator().finish().has_value());
}

TEST(LogprobFeatures, NumbersThatAreNotLogprobsGiveNoFeatures) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), 0.5f, std::numeric_limits<float>::infinity()}) {
    LogprobAccumulator in_token;
    in_token.add(-0.1f);
    in_token.add(bad);
    EXPECT_FALSE(in_token.finish().has_value());
    LogprobAccumulator in_alternatives;
    const float alternatives[] = {-0.1f, bad};
    in_alternatives.add(-0.1f, alternatives);
    EXPECT_FALSE(in_alternatives.finish().has_value());
    in_alternatives.reset();
    in_alternatives.add(-0.1f);
    EXPECT_TRUE(in_alternatives.finish().has_value());
  }
}

TEST(LogprobFeatures, SummariesOfASmallAnswerByHand) {
  LogprobAccumulator acc;
  for (const float logprob : {-0.4f, -0.1f, -2.0f, -0.3f, -0.2f}) acc.add(logprob);
  const auto f = acc.finish();
  ASSERT_TRUE(f.has_value());
  EXPECT_FLOAT_EQ((*f)[kMinLogprob], -2.0f);
  EXPECT_FLOAT_EQ((*f)[kFirstLogprob], -0.4f);
  EXPECT_FLOAT_EQ((*f)[kMeanLogprob], -0.6f);
  EXPECT_FLOAT_EQ((*f)[kSumLogprob], -3.0f);
  EXPECT_FLOAT_EQ((*f)[kLogprobQ10], -1.36f);  // numpy.quantile([...], .1)
  EXPECT_FLOAT_EQ((*f)[kLogprobQ25], -0.4f);
  EXPECT_FLOAT_EQ((*f)[kLogprobQ50], -0.3f);
  EXPECT_FLOAT_EQ((*f)[kLogprobQ75], -0.2f);
  EXPECT_FLOAT_EQ((*f)[kLogprobQ90], -0.14f);
  EXPECT_FLOAT_EQ((*f)[kTokenCount], 5.0f);
  EXPECT_TRUE(std::isnan((*f)[kMinMargin]));  // no candidates came: absent, not zero
  EXPECT_TRUE(std::isnan((*f)[kMaxEntropy]));
}

TEST(LogprobFeatures, MinusInfinityAndRoundingAboveZeroAreClamped) {
  LogprobAccumulator acc;
  acc.add(-std::numeric_limits<float>::infinity());
  acc.add(0.0001f);
  const auto f = acc.finish();
  ASSERT_TRUE(f.has_value());
  EXPECT_EQ((*f)[kMinLogprob], kLogprobFloor);
  EXPECT_EQ((*f)[kLogprobQ90], -5.0f);
}

TEST(LogprobFeatures, MarginIsToTheBestOtherCandidate) {
  LogprobAccumulator acc;
  const float including[] = {-0.2f, -2.2f, -4.0f};
  acc.add(-0.2f, including);                               // margin 2.0
  const float excluding[] = {-0.1f};
  acc.add(-3.0f, excluding, Alternatives::kExcludeChosen);  // a likelier token was passed over: -2.9
  const float only_chosen[] = {-0.5f};
  acc.add(-0.5f, only_chosen);                              // no other candidate: no margin
  const float tie[] = {-0.7f, -0.7f};
  acc.add(-0.7f, tie);                                      // one of the two is another token: 0
  const auto f = acc.finish();
  ASSERT_TRUE(f.has_value());
  EXPECT_NEAR((*f)[kMinMargin], -2.9f, 1e-6);
  EXPECT_NEAR((*f)[kMeanMargin], (2.0 - 2.9 + 0.0) / 3, 1e-6);
}

TEST(TopKEntropy, IsExactForACompleteDistribution) {
  const float uniform[] = {std::log(0.25f), std::log(0.25f), std::log(0.25f), std::log(0.25f)};
  EXPECT_NEAR(top_k_entropy(uniform), std::log(4.0), 1e-6);
  const float certain[] = {0.0f};
  EXPECT_EQ(top_k_entropy(certain), 0.0f);
}

TEST(TopKEntropy, IsALowerBoundThatGrowsWithK) {
  SeededRandom random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<double> p(20);
    double total = 0;
    for (double& x : p) total += x = std::pow(random.uniform(), 4);
    for (double& x : p) x /= total;
    std::sort(p.rbegin(), p.rend());
    double truth = 0;
    for (const double x : p) truth -= x > 0 ? x * std::log(x) : 0;
    std::vector<float> seen;
    for (const double x : p) {
      seen.push_back(static_cast<float>(std::log(x)));
      EXPECT_LE(top_k_entropy(seen), truth + 1e-4);
    }
    EXPECT_NEAR(top_k_entropy(seen), truth, 1e-4);
  }
}

TEST(ChoiceProbability, IsRenormalisedOverTheKnownOptions) {
  const std::string_view options[] = {"yes", "no", "not sure"};
  const TokenCandidate candidates[] = {{" Yes", std::log(0.5f)}, {"yes", std::log(0.1f)}, {"No", std::log(0.2f)}, {"not", std::log(0.05f)}, {"Well", std::log(0.1f)}};
  EXPECT_NEAR(*choice_probability(candidates, options, "yes"), 0.6 / 0.85, 1e-6);
  EXPECT_NEAR(*choice_probability(candidates, options, "no"), 0.2 / 0.85, 1e-6);  // the whole option wins over a longer one
  EXPECT_NEAR(*choice_probability(candidates, options, "not sure"), 0.05 / 0.85, 1e-6);
  const std::string_view alike[] = {"card_lost", "card_stolen"};
  const TokenCandidate shared[] = {{"card", std::log(0.9f)}};
  EXPECT_FALSE(choice_probability(shared, alike, "card_lost").has_value());  // begins both: says nothing
  EXPECT_FALSE(choice_probability(candidates, options, "maybe").has_value());
  EXPECT_FALSE(choice_probability({}, options, "yes").has_value());
}

TEST(LogprobFeatures, SchemaNamesEveryFeatureAndRestores) {
  EXPECT_EQ(feature_names(kLogprobSchema).size(), std::size_t{kLogprobFeatureCount});
  EXPECT_EQ(feature_names(kLogprobSchema)[kMinLogprob], "min_logprob");
  EXPECT_EQ(feature_names(kLogprobSchema)[kMaxEntropy], "max_entropy");
  EXPECT_TRUE(feature_names(999).empty());
  LogprobAccumulator acc;
  acc.add(-0.25f);
  const auto f = acc.finish();
  EXPECT_TRUE(restore_features(kLogprobSchema, f->span()).has_value());
  EXPECT_FALSE(restore_features(kLogprobSchema, f->span().first(3)).has_value());
  EXPECT_FALSE(restore_features(0, f->span()).has_value());
}

TEST(RawMinLogprob, IsTheLeastLikelyTokensProbability) {
  LogprobAccumulator acc;
  acc.add(std::log(0.9f));
  acc.add(std::log(0.5f));
  EXPECT_NEAR(*RawMinLogprob().confidence(*acc.finish()), 0.5, 1e-6);
  EXPECT_EQ(RawMinLogprob().id(), "raw_min_logprob/1");
}

}  // namespace
}  // namespace understudy::calibration
