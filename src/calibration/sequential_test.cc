// Anytime tests, weights and shrinkage: closed forms, brute force, and coverage over thousands of runs.
#include "calibration/sequential.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "calibration/logistic.h"
#include "calibration/shrinkage.h"
#include "calibration/weighting.h"

namespace understudy::calibration {
namespace {

constexpr Promise kFive{0.05, 0.10};

/// Share of `runs` in which the monitor ever alarms within `rows` labels at a true risk.
double alarm_rate(double risk, int runs, int rows, std::uint64_t seed, double* mean_delay = nullptr) {
  SeededRandom random(seed);
  int alarms = 0;
  double delay = 0;
  for (int run = 0; run < runs; ++run) {
    RiskMonitor monitor(kFive);
    for (int i = 0; i < rows && !monitor.alarm(); ++i) monitor.add(random.coin(risk));
    alarms += monitor.alarm();
    delay += static_cast<double>(monitor.labels());
  }
  if (mean_delay != nullptr) *mean_delay = delay / runs;
  return static_cast<double>(alarms) / runs;
}

TEST(RiskMonitor, RarelyAlarmsAtExactlyAlphaHoweverLongItLooks) {
  EXPECT_LE(alarm_rate(0.05, 2000, 2000, 1), 0.10 + 3.7 * std::sqrt(0.1 * 0.9 / 2000));
}

TEST(RiskMonitor, FindsDoubledRiskWithinHundredsOfLabels) {
  double delay = 0;
  EXPECT_GT(alarm_rate(0.10, 500, 3000, 2, &delay), 0.98);
  EXPECT_LT(delay, 300);
  EXPECT_GT(delay, 30);
}

TEST(RiskMonitor, WeightedRowsKeepTheBound) {
  // Coins fall more often for odd requests; risk is at alpha in both halves.
  SeededRandom random(3);
  int alarms = 0;
  constexpr int kRuns = 1000;
  for (int run = 0; run < kRuns; ++run) {
    RiskMonitor monitor(kFive, 0.1);
    for (int i = 0; i < 3000 && !monitor.alarm(); ++i) {
      const double propensity = i % 2 ? 0.5 : 0.1;
      const bool bad = random.coin(0.05);
      if (random.coin(propensity)) {
        monitor.add(bad, propensity);
      } else {
        monitor.skip();
      }
    }
    alarms += monitor.alarm();
  }
  EXPECT_LE(static_cast<double>(alarms) / kRuns, 0.10 + 3.7 * std::sqrt(0.1 * 0.9 / kRuns));
}

TEST(RiskMonitor, WealthIsTheMeanOfTheBetsByHand) {
  RiskMonitor monitor({0.1, 0.05});
  monitor.add(true);
  monitor.add(false);
  double want = 0;
  for (int b = 0; b < 12; ++b) {
    const double bet = 9.0 * std::pow(0.5, b);
    want += (1 + bet * 0.9) * (1 - bet * 0.1) / 12;
  }
  EXPECT_NEAR(monitor.e_value(), want, 1e-12);
}

TEST(BernoulliSequence, CoversAtAllTimesAtOnce) {
  SeededRandom random(4);
  int missed = 0;
  constexpr int kRuns = 1000;
  for (int run = 0; run < kRuns; ++run) {
    BernoulliSequence sequence(0.10);
    bool outside = false;
    for (int i = 0; i < 400; ++i) {
      sequence.add(random.coin(0.07));
      if (i % 5 == 0) {
        const Interval now = sequence.interval();
        outside = outside || now.low > 0.07 || now.high < 0.07;
      }
    }
    missed += outside;
  }
  EXPECT_LE(missed, 100 + 3.7 * std::sqrt(90.0));
  EXPECT_EQ(BernoulliSequence(0.1).interval(), (Interval{0, 1}));
}

TEST(BernoulliSequence, OneRowByHand) {
  // After one success the mixture likelihood is 1/2: r is inside while 1/2 / r < 10.
  BernoulliSequence sequence(0.10);
  sequence.add(true);
  EXPECT_NEAR(sequence.interval().low, 0.05, 1e-9);
  EXPECT_EQ(sequence.interval().high, 1);
}

TEST(WeightedRate, UndoesTheCoin) {
  // Bad rows are labelled four times as often: the plain rate is far off, the weighted one is not.
  SeededRandom random(5);
  int covered = 0;
  double plain = 0;
  constexpr int kRuns = 1000;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<std::uint8_t> bad;
    std::vector<double> propensity;
    for (int i = 0; i < 1500; ++i) {
      const bool hard = random.coin(0.2);
      const double p = hard ? 0.8 : 0.2;
      const bool wrong = random.coin(hard ? 0.5 : 0.05);
      if (!random.coin(p)) continue;
      bad.push_back(wrong);
      propensity.push_back(p);
    }
    const auto e = weighted_rate(bad, propensity);
    ASSERT_TRUE(e.has_value());
    covered += e->interval.low <= 0.14 && 0.14 <= e->interval.high;
    double sum = 0;
    for (const auto b : bad) sum += b;
    plain += sum / static_cast<double>(bad.size()) / kRuns;
  }
  EXPECT_GT(plain, 0.2);
  EXPECT_NEAR(covered, 950, 3.7 * std::sqrt(1000 * 0.95 * 0.05) + 8);
  EXPECT_FALSE(weighted_rate(std::vector<std::uint8_t>{1}, std::vector<double>{0.0}).has_value());
  EXPECT_FALSE(weighted_rate({}, {}).has_value());
}

TEST(PredictionPowered, CoversAndGainsFromAGoodJudgeAndIgnoresAUselessOne) {
  for (const bool good : {true, false}) {
    SeededRandom random(good ? 6 : 7);
    int covered = 0;
    double width = 0, classic = 0, lambda = 0;
    constexpr int kRuns = 1000;
    for (int run = 0; run < kRuns; ++run) {
      std::vector<std::uint8_t> truth;
      std::vector<double> on, elsewhere;
      for (int i = 0; i < 1300; ++i) {
        const bool y = random.coin(0.3);
        const double f = good ? (random.coin(0.9) ? y : !y) : random.uniform();
        if (i < 300) {
          truth.push_back(y);
          on.push_back(f);
        } else {
          elsewhere.push_back(f);
        }
      }
      const auto e = prediction_powered_rate(truth, on, elsewhere);
      ASSERT_TRUE(e.has_value());
      covered += e->interval.low <= 0.3 && 0.3 <= e->interval.high;
      width += e->standard_error / kRuns;
      lambda += e->lambda / kRuns;
      classic += weighted_rate(truth, std::vector<double>(truth.size(), 1.0))->standard_error / kRuns;
    }
    EXPECT_NEAR(covered, 950, 3.7 * std::sqrt(1000 * 0.95 * 0.05) + 8);
    if (good) {
      EXPECT_LT(width, 0.85 * classic);
    } else {
      EXPECT_LT(lambda, 0.1);
      EXPECT_LT(width, 1.02 * classic);
    }
  }
}

TEST(GroupOffsets, ShrinkSmallGroupsAndTrustLargeOnes) {
  SeededRandom random(8);
  std::vector<double> p;
  std::vector<std::uint8_t> y;
  std::vector<std::size_t> group;
  const double truth[] = {1.5, -1.5, 0, 1.5};
  const int sizes[] = {1000, 1000, 1000, 3};
  for (std::size_t g = 0; g < 4; ++g) {
    for (int i = 0; i < sizes[g]; ++i) {
      p.push_back(0.2 + 0.6 * random.uniform());
      y.push_back(random.coin(sigmoid(logit(p.back()) + truth[g])));
      group.push_back(g);
    }
  }
  const auto fit = fit_group_offsets(p, y, group, 4);
  ASSERT_TRUE(fit.has_value());
  for (std::size_t g = 0; g < 3; ++g) EXPECT_NEAR(fit->offset[g], truth[g], 0.25);
  EXPECT_LT(std::fabs(fit->offset[3]), 1.5);
  EXPECT_EQ(fit->apply(0.4, 99), 0.4);
  EXPECT_FALSE(fit_group_offsets(p, y, group, 3).has_value());
}

TEST(GroupOffsets, GroupsThatDoNotDifferKeepTheTasksFit) {
  SeededRandom random(9);
  std::vector<double> p;
  std::vector<std::uint8_t> y;
  std::vector<std::size_t> group;
  for (std::size_t i = 0; i < 2000; ++i) {
    p.push_back(random.uniform());
    y.push_back(random.coin(p.back()));
    group.push_back(i % 20);
  }
  const auto fit = fit_group_offsets(p, y, group, 20);
  EXPECT_LE(fit->tau, 0.2);
}

}  // namespace
}  // namespace understudy::calibration
