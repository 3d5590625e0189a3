// Fits, metrics and bounds against scikit-learn, scipy and closed forms (testdata/make_golden.py).
#include <gtest/gtest.h>
#include <simdjson.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "calibration/binomial.h"
#include "calibration/boosted_trees.h"
#include "calibration/calibrators.h"
#include "calibration/logistic.h"
#include "calibration/metrics.h"

namespace understudy::calibration {
namespace {

class Golden : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string path = std::string(UNDERSTUDY_SOURCE_DIR) + "/src/calibration/testdata/golden.json";
    ASSERT_EQ(parser_.load(path).get(root_), simdjson::SUCCESS) << path;
    p_ = numbers("p");
    for (const double v : numbers("y")) y_.push_back(v > 0);
    probe_ = numbers("probe");
  }
  std::vector<double> numbers(const char* key) {
    std::vector<double> out;
    for (const auto v : simdjson::dom::array(root_[key])) out.push_back(double(v));
    return out;
  }
  double number(const char* key) { return double(root_[key]); }
  void expect_map(const char* method, const char* key, double tolerance, double clip = 0) {
    const auto fitted = fit_calibrator(method, p_, y_);
    ASSERT_TRUE(fitted.has_value());
    const auto want = numbers(key);
    for (std::size_t i = 0; i < probe_.size(); ++i) {
      EXPECT_NEAR((**fitted)(probe_[i]), std::min(std::max(want[i], clip), 1 - clip), tolerance) << method << " at " << probe_[i];
    }
  }

  simdjson::dom::parser parser_;
  simdjson::dom::element root_;
  std::vector<double> p_, probe_;
  std::vector<std::uint8_t> y_;
};

TEST_F(Golden, MetricsMatchScikitLearn) {
  EXPECT_NEAR(brier(p_, y_), number("brier"), 1e-12);
  EXPECT_NEAR(log_loss(p_, y_), number("log_loss"), 1e-9);
  EXPECT_NEAR(auroc(p_, y_), number("auroc"), 1e-12);
}

TEST_F(Golden, CalibratorsMatchScikitLearn) {
  expect_map("isotonic", "isotonic", 1e-9, 0.5 / 240);
  expect_map("platt", "platt", 2e-5);
  expect_map("beta", "beta", 2e-3);  // our hair of ridge
  expect_map("venn_abers", "venn_abers", 1e-9);
}

TEST_F(Golden, WeightedRidgeLogisticMatchesScikitLearn) {
  const auto flat = numbers("x"), label = numbers("label"), weight = numbers("weight"), want = numbers("logistic");
  const auto n = static_cast<Eigen::Index>(label.size());
  Eigen::MatrixXd x(n, 3);
  Eigen::VectorXd y(n), w(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    for (Eigen::Index j = 0; j < 3; ++j) x(i, j) = flat[static_cast<std::size_t>(i * 3 + j)];
    y(i) = label[static_cast<std::size_t>(i)];
    w(i) = weight[static_cast<std::size_t>(i)];
  }
  const auto model = fit_logistic(x, y, Eigen::VectorXd::Constant(3, 3.0), w);
  ASSERT_TRUE(model.has_value());
  for (Eigen::Index j = 0; j < 3; ++j) EXPECT_NEAR(model->beta(j), want[static_cast<std::size_t>(j)], 1e-5);
  EXPECT_NEAR(model->intercept, want[3], 1e-5);
}

TEST_F(Golden, WeightedBoostedTreesMatchXgboost) {
  const auto flat = numbers("coarse"), label = numbers("label"), weight = numbers("weight"), want = numbers("trees");
  const auto n = static_cast<Eigen::Index>(label.size());
  const Eigen::MatrixXd x = Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, 3, Eigen::RowMajor>>(flat.data(), n, 3);
  const auto model = fit_boosted_trees(x, Eigen::Map<const Eigen::VectorXd>(label.data(), n), {.rounds = 40, .depth = 3, .rate = 0.2, .ridge = 1.5, .least_weight = 2},
                                       Eigen::Map<const Eigen::VectorXd>(weight.data(), n));
  ASSERT_TRUE(model.has_value()) << model.error().message;
  const Eigen::VectorXd p = model->probabilities(x);
  for (Eigen::Index i = 0; i < n; ++i) EXPECT_NEAR(p(i), want[static_cast<std::size_t>(i)], 2e-4) << i;
}

TEST_F(Golden, BinomialTailsAndBoundsMatchScipy) {
  for (const auto row : simdjson::dom::array(root_["tails"])) {
    EXPECT_NEAR(binomial_cdf(std::uint64_t(row.at(0)), std::uint64_t(row.at(1)), double(row.at(2))), double(row.at(3)), 1e-12);
  }
  for (const auto row : simdjson::dom::array(root_["upper"])) {
    EXPECT_NEAR(binomial_upper_bound(std::uint64_t(row.at(0)), std::uint64_t(row.at(1)), double(row.at(2))), double(row.at(3)), 1e-10);
  }
  for (const auto row : simdjson::dom::array(root_["lower"])) {
    EXPECT_NEAR(binomial_lower_bound(std::uint64_t(row.at(0)), std::uint64_t(row.at(1)), double(row.at(2))), double(row.at(3)), 1e-10);
  }
}

TEST(Binomial, CdfIsTheSumOfItsTerms) {
  for (const double p : {0.01, 0.1, 0.5, 0.93}) {
    for (std::size_t n = 1; n <= 30; ++n) {
      double sum = 0, term = std::pow(1 - p, static_cast<double>(n));
      for (std::size_t k = 0; k <= n; ++k) {
        sum += term;
        EXPECT_NEAR(binomial_cdf(k, n, p), sum, 1e-10);
        term *= static_cast<double>(n - k) / static_cast<double>(k + 1) * p / (1 - p);
      }
    }
  }
}

TEST(Binomial, LeastRowsIsTheFirstThatPasses) {
  EXPECT_EQ(least_rows(0.10, 0.10, 0), 22u);
  EXPECT_EQ(least_rows(0.10, 0.10, 5), 91u);
  for (const double alpha : {0.01, 0.05, 0.2}) {
    for (std::size_t bad = 0; bad < 12; ++bad) {
      const std::size_t n = least_rows(alpha, 0.05, bad);
      EXPECT_LE(binomial_cdf(bad, n, alpha), 0.05);
      EXPECT_GT(binomial_cdf(bad, n - 1, alpha), 0.05);
    }
  }
  EXPECT_FALSE(rows_to_show(0.10, 0.10, 0.10).has_value());
  EXPECT_EQ(rows_to_show(0, 0.10, 0.10), 22u);
  const auto n = rows_to_show(0.08, 0.10, 0.10);
  ASSERT_TRUE(n.has_value());
  EXPECT_LE(binomial_cdf(static_cast<std::size_t>(std::ceil(0.08 * static_cast<double>(*n))), *n, 0.10), 0.10);
}

TEST(Metrics, EceByHand) {
  // Two bins of two: |0.9 - 1| and |0.15 - 0.5| weigh half each.
  const std::vector<double> p{0.9, 0.9, 0.1, 0.2};
  const std::vector<std::uint8_t> y{1, 1, 0, 1};
  EXPECT_NEAR(ece(p, y, 2), 0.5 * 0.1 + 0.5 * 0.35, 1e-12);
  EXPECT_NEAR(ece(p, y, 15), 0.25 * (2 * 0.1 + 0.1 + 0.8), 1e-12);
  const std::vector<double> half(4, 0.75);
  EXPECT_NEAR(ece(half, y), 0, 1e-12);  // a constant at the base rate: low, and worthless
}

TEST(Metrics, BootstrapIntervalCoversTheTruth) {
  SeededRandom random(11);
  int covered = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<double> p(150);
    std::vector<std::uint8_t> y(150);
    for (std::size_t i = 0; i < p.size(); ++i) {
      p[i] = 0.3;
      y[i] = random.coin(0.3);
    }
    const Interval interval = bootstrap_interval(p, y, brier, 200, 0.95, random);
    covered += interval.low <= 0.21 && 0.21 <= interval.high;
  }
  EXPECT_GE(covered, 178);  // 95 % of 200 less four standard errors
}

TEST(Logistic, RefusesWhatCannotBeFitted) {
  const Eigen::MatrixXd x = Eigen::MatrixXd::Random(5, 2);
  const Eigen::VectorXd ridge = Eigen::VectorXd::Ones(2);
  EXPECT_NE(fit_logistic(x, Eigen::VectorXd::Ones(5), ridge).error().message.find("same"), std::string::npos);
  Eigen::MatrixXd bad = x;
  bad(1, 1) = std::nan("");
  Eigen::VectorXd y(5);
  y << 0, 1, 0, 1, 1;
  EXPECT_NE(fit_logistic(bad, y, ridge).error().message.find("finite"), std::string::npos);
  EXPECT_FALSE(fit_logistic(x, y, Eigen::VectorXd::Constant(2, -1.0)).has_value());
  EXPECT_FALSE(fit_logistic(x, y, Eigen::VectorXd::Ones(3)).has_value());
  EXPECT_TRUE(fit_logistic(x, y, ridge).has_value());
}

TEST(Logistic, StepHalvingSurvivesSeparableRowsAtTinyRidge) {
  Eigen::MatrixXd x(6, 1);
  x << -1e3, -2, -1, 1, 2, 1e3;
  Eigen::VectorXd y(6);
  y << 0, 0, 0, 1, 1, 1;
  const auto model = fit_logistic(x, y, Eigen::VectorXd::Constant(1, 1e-8));
  ASSERT_TRUE(model.has_value());
  EXPECT_TRUE(std::isfinite(model->beta(0)));
  EXPECT_GT(model->probability(x.row(3).transpose()), 0.99);
}

TEST(BoostedTrees, OneStumpIsTheBestOfAllSplitsByBruteForce) {
  SeededRandom random(11);
  for (int round = 0; round < 50; ++round) {
    constexpr Eigen::Index n = 40;
    Eigen::MatrixXd x(n, 3);
    Eigen::VectorXd y(n);
    for (Eigen::Index i = 0; i < n; ++i) {
      for (Eigen::Index j = 0; j < 3; ++j) x(i, j) = static_cast<double>(random.below(9));  // many ties
      y(i) = random.coin(0.1 + 0.08 * x(i, 1)) ? 1 : 0;
    }
    if (y.minCoeff() == y.maxCoeff()) continue;
    const auto model = fit_boosted_trees(x, y, {.rounds = 1, .depth = 1, .rate = 1, .ridge = 1, .least_weight = 1});
    ASSERT_TRUE(model.has_value());
    // The loss to second order of every split with its best leaves: minus half of the sum of G^2 / (H + 1).
    const double p = y.mean(), h = p * (1 - p);
    const auto leaf = [&](double count, double ones) { return std::pair{count * p - ones, count * h}; };
    const auto value = [](std::pair<double, double> s) { return s.first * s.first / (s.second + 1); };
    double best = value(leaf(n, y.sum()));
    for (Eigen::Index j = 0; j < 3; ++j) {
      for (double split = 0.5; split < 8; ++split) {
        double count = 0, ones = 0;
        for (Eigen::Index i = 0; i < n; ++i) {
          if (x(i, j) < split) ++count, ones += y(i);
        }
        const auto left = leaf(count, ones), right = leaf(n - count, y.sum() - ones);
        if (left.second >= 1 && right.second >= 1) best = std::max(best, value(left) + value(right));
      }
    }
    // What the fitted stump gained, from its own log-odds: a leaf that adds v has G^2 / (H + 1) = v^2 (H + 1).
    double got = 0;
    std::map<double, double> curvature;
    for (Eigen::Index i = 0; i < n; ++i) curvature[model->log_odds(x.row(i).transpose()) - logit(p)] += h;
    for (const auto& [v, sum] : curvature) got += v * v * (sum + 1);
    EXPECT_NEAR(got, best, 1e-9);
  }
}

TEST(BoostedTrees, LearnWhatNoLineCan) {
  // Bad in two opposite corners: the ridge sees nothing.
  SeededRandom random(12);
  Eigen::MatrixXd x(800, 2);
  Eigen::VectorXd y(800);
  for (Eigen::Index i = 0; i < 800; ++i) {
    x(i, 0) = random.uniform() - 0.5, x(i, 1) = random.uniform() - 0.5;
    y(i) = random.coin(x(i, 0) * x(i, 1) > 0 ? 0.9 : 0.1) ? 1 : 0;
  }
  const auto trees = fit_boosted_trees(x, y, {.rounds = 60, .depth = 3});
  const auto line = fit_logistic(x, y, Eigen::VectorXd::Constant(2, 1.0));
  const auto hits = [&](const Eigen::VectorXd& p) {
    double right = 0;
    for (Eigen::Index i = 0; i < 800; ++i) right += (p(i) > 0.5) == (x(i, 0) * x(i, 1) > 0);
    return right / 800;
  };
  EXPECT_GT(hits(trees->probabilities(x)), 0.85);
  EXPECT_LT(hits(line->probabilities(x)), 0.65);
}

TEST(BoostedTrees, ComeBackFromTheirParts) {
  SeededRandom random(3);
  Eigen::MatrixXd x(200, 3);
  Eigen::VectorXd y(200);
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    for (Eigen::Index c = 0; c < x.cols(); ++c) x(i, c) = random.uniform();
    y(i) = (x(i, 0) > 0.5) != (x(i, 1) > 0.5) ? 1 : 0;
  }
  const auto trees = fit_boosted_trees(x, y);
  ASSERT_TRUE(trees);
  BoostedTrees::Parts parts = trees->parts();
  const auto again = BoostedTrees::from_parts(parts, 3);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->probabilities(x), trees->probabilities(x));
  EXPECT_FALSE(BoostedTrees::from_parts(parts, 1)) << "a column that there is not";
  parts.left[0] = 0;
  EXPECT_FALSE(BoostedTrees::from_parts(parts, 3)) << "a walk that would not end";
}

TEST(BoostedTrees, RefuseWhatCannotBeFitted) {
  const Eigen::MatrixXd x = Eigen::MatrixXd::Random(4, 2);
  const Eigen::VectorXd y = Eigen::Vector4d(0, 1, 0, 1);
  EXPECT_TRUE(fit_boosted_trees(x, y).has_value());
  EXPECT_FALSE(fit_boosted_trees(x, Eigen::VectorXd::Ones(4)).has_value());
  EXPECT_FALSE(fit_boosted_trees(x, Eigen::VectorXd::Ones(3)).has_value());
  EXPECT_FALSE(fit_boosted_trees(Eigen::MatrixXd(0, 2), Eigen::VectorXd(0)).has_value());
  Eigen::MatrixXd broken = x;
  broken(2, 1) = std::nan("");
  EXPECT_FALSE(fit_boosted_trees(broken, y).has_value());
  for (const BoostOptions& bad : {BoostOptions{.rounds = 0}, BoostOptions{.depth = 0}, BoostOptions{.rate = 1.5}, BoostOptions{.ridge = -1}}) {
    EXPECT_EQ(fit_boosted_trees(x, y, bad).error().kind, ErrorKind::kUsage);
  }
}

TEST(Calibrators, NameWhatIsWrongWithTheirRows) {
  const std::vector<double> p{0.2, 0.9}, nan{0.2, std::nan("")};
  const std::vector<std::uint8_t> same{1, 1}, both{0, 1};
  for (const char* method : {"platt", "beta", "isotonic", "venn_abers", "average", "average_8"}) {
    EXPECT_NE(fit_calibrator(method, p, same).error().message.find("same outcome"), std::string::npos) << method;
    EXPECT_FALSE(fit_calibrator(method, nan, both).has_value()) << method;
    EXPECT_TRUE(fit_calibrator(method, p, both).has_value()) << method;
  }
  EXPECT_FALSE(fit_calibrator("temperature", p, both).has_value());
}

TEST(Calibrators, NeverFall) {
  SeededRandom random(3);
  std::vector<double> p(200);
  std::vector<std::uint8_t> y(200);
  for (std::size_t i = 0; i < p.size(); ++i) {
    p[i] = 1 - std::pow(random.uniform(), 6);
    y[i] = random.coin(0.4 + 0.5 * p[i]);
  }
  for (const char* method : {"platt", "beta", "isotonic", "venn_abers", "average", "average_8"}) {
    const auto map = *fit_calibrator(method, p, y);
    EXPECT_EQ(map->method(), method);
    double last = -1;
    for (int i = 0; i <= 1000; ++i) {
      const double value = (*map)(i / 1000.0);
      EXPECT_GE(value, last - 1e-12) << method;
      EXPECT_GE(value, 0);
      EXPECT_LE(value, 1);
      last = value;
    }
  }
}

TEST(Calibrators, AUselessConfidenceBecomesTheBaseRateNotItsMirror) {
  std::vector<double> p(100);
  std::vector<std::uint8_t> y(100);
  for (std::size_t i = 0; i < p.size(); ++i) p[i] = (static_cast<double>(i) + 0.5) / 100, y[i] = i < 60;  // the surer, the worse
  EXPECT_NEAR((**fit_platt(p, y))(0.99), 0.6, 1e-9);
  EXPECT_NEAR((**fit_beta(p, y))(0.99), 0.6, 1e-9);
}

TEST(Calibrators, TheChoiceKeepsRawWhereRawIsRight) {
  SeededRandom random(5);
  std::vector<double> good(400), over(400);
  std::vector<std::uint8_t> y(400);
  for (std::size_t i = 0; i < y.size(); ++i) {
    good[i] = random.uniform();
    y[i] = random.coin(good[i]);
    over[i] = std::pow(good[i], 0.1);
  }
  const auto kept = choose_calibrator(good, y, random);
  const auto mended = choose_calibrator(over, y, random);
  ASSERT_TRUE(kept && mended);
  EXPECT_LE(kept->cv_log_loss, log_loss(good, y) + 1e-9);
  EXPECT_NE(mended->calibrator->method(), "raw");
  EXPECT_LT(mended->cv_log_loss, log_loss(over, y) - 0.05);
}

}  // namespace
}  // namespace understudy::calibration
