// The keeper's parts: fits of rungs, paths of thresholds, contests, shift.
#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "calibration/binomial.h"
#include "calibration/promise/input_shift.h"
#include "calibration/promise/internal/contest.h"
#include "calibration/promise/keeper.h"
#include "calibration/promise/rung_fit.h"
#include "calibration/promise/threshold_path.h"

namespace understudy::calibration {
namespace {

struct Rows {
  std::vector<LabelledRow> rows;
  std::vector<const LabelledRow*> pointers() const {
    std::vector<const LabelledRow*> out;
    for (const LabelledRow& row : rows) out.push_back(&row);
    return out;
  }
};

/// `features` numbers a row, the first of which tells good from bad where `telling`; the raw confidence means nothing then.
Rows make_rows(std::size_t n, std::uint64_t seed, double (*risk)(double), std::size_t features = 0, bool telling = false, double unknown = 0) {
  SeededRandom random(seed);
  Rows out;
  for (std::size_t i = 0; i < n; ++i) {
    LabelledRow row;
    row.teacher_cost_usd = 1;
    RungOutcome o;
    o.usable = true;
    o.raw = random.uniform();
    o.cost_usd = 0.1;
    const double hidden = random.uniform();
    o.bad = random.coin(risk(telling ? hidden : o.raw));
    for (std::size_t f = 0; f < features; ++f) {
      const double value = telling && f == 0 ? hidden : random.uniform();
      o.features.push_back(random.coin(unknown) ? NAN : static_cast<float>(value));
    }
    row.rungs.push_back(o);
    out.rows.push_back(std::move(row));
  }
  return out;
}

double falling(double c) { return 0.8 * (1 - c); }
double flat(double) { return 0.4; }

RungFit fit(const Rows& rows) {
  SeededRandom folds(1);
  const auto pointers = rows.pointers();
  return fit_rung(pointers, 0, folds);
}

TEST(RungFit, RisesInTheRawConfidence) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const RungFit f = fit(make_rows(300, seed, falling));
    double last = -1;
    for (int i = 0; i <= 100; ++i) {
      const double p = f.model.probability(i / 100.0, {});
      EXPECT_GE(p, last) << f.model.method;
      last = p;
    }
    EXPECT_GT(f.model.probability(0.95, {}), f.model.probability(0.05, {}) + 0.2);
    EXPECT_LT(f.ece15, 0.12);
  }
}

TEST(RungFit, IsConstantWhereConfidenceMeansNothing) {
  std::size_t constant = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const RungFit f = fit(make_rows(300, seed, flat));
    constant += f.model.method == "constant";
    EXPECT_NEAR(f.model.probability(0.9, {}), 0.6, 0.15) << f.model.method;
  }
  EXPECT_GE(constant, 10u);
}

TEST(RungFit, TakesFeaturesOnlyWhereTheyAreBetter) {
  std::size_t noise = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    EXPECT_EQ(fit(make_rows(300, seed, falling, 3, true)).model.method, "ridge") << seed;
    noise += fit(make_rows(300, seed, falling, 3, false)).model.method == "ridge";
  }
  EXPECT_LE(noise, 1u);
}

TEST(RungFit, UnknownFeaturesStandAtTheMean) {
  const RungFit f = fit(make_rows(400, 3, falling, 2, true, 0.3));
  ASSERT_EQ(f.model.method, "ridge");
  for (const double p : f.held_back) EXPECT_TRUE(p > 0 && p < 1);
  const std::vector<float> known{static_cast<float>(f.model.mean[1]), static_cast<float>(f.model.mean[2])}, unknown{NAN, NAN};
  EXPECT_NEAR(f.model.probability(0.5, known), f.model.probability(0.5, unknown), 1e-6);
}

TEST(RungFit, KeepsRawWithFewRowsAndWithOneOutcome) {
  EXPECT_EQ(fit(make_rows(19, 1, falling)).model.method, "raw");
  EXPECT_EQ(fit(make_rows(200, 1, [](double) { return 0.0; })).model.method, "raw");
  Rows none = make_rows(3, 1, falling);
  for (auto& row : none.rows) row.rungs[0].usable = false;
  const RungFit f = fit(none);
  EXPECT_EQ(f.rows, 0u);
  EXPECT_TRUE(std::isnan(f.held_back[0]));
}

TEST(ThresholdPath, OfOneRungIsItsConfidencesFromHighToLow) {
  const Rows rows = make_rows(64, 5, falling);
  std::vector<std::vector<double>> p(1);
  for (const auto& row : rows.rows) p[0].push_back(1 - falling(row.rungs[0].raw));
  const auto pointers = rows.pointers();
  const auto path = threshold_path(pointers, p);
  ASSERT_GT(path.size(), 10u);
  double last = 2;
  std::size_t served_before = 0;
  for (const auto& c : path) {
    ASSERT_TRUE(c.thresholds[0]);
    EXPECT_LT(*c.thresholds[0], last);
    last = *c.thresholds[0];
    EXPECT_GT(c.served_rows, served_before);
    served_before = c.served_rows;
    std::size_t served = 0, bad = 0;
    for (std::size_t i = 0; i < p[0].size(); ++i) {
      if (p[0][i] >= *c.thresholds[0]) ++served, bad += rows.rows[i].rungs[0].bad;
    }
    EXPECT_EQ(c.served_rows, served);
    EXPECT_EQ(c.bad_rows, bad);
    EXPECT_NEAR(c.cost_usd, 0.1 + 1 - static_cast<double>(served) / 64, 1e-9);
  }
}

TEST(ThresholdPath, LeavesOutARungThatDoesNotPay) {
  Rows rows = make_rows(200, 6, falling);
  std::vector<std::vector<double>> p(2);
  for (auto& row : rows.rows) {
    p[0].push_back(1 - falling(row.rungs[0].raw));
    RungOutcome dear = row.rungs[0];
    dear.cost_usd = 3;  // dearer than the teacher
    row.rungs.push_back(dear);
    p[1].push_back(0.99);
  }
  const auto pointers = rows.pointers();
  for (const auto& c : threshold_path(pointers, p)) {
    if (c.bad < 0.005) continue;  // a very high price of a bad answer would buy anything
    EXPECT_FALSE(c.thresholds[1]) << c.served_rows;
  }
}

TEST(ThresholdPath, IsCloseToTheBestOfAllPairs) {
  SeededRandom random(7);
  Rows rows;
  std::vector<std::vector<double>> p(2);
  for (int i = 0; i < 60; ++i) {
    LabelledRow row;
    row.teacher_cost_usd = 1;
    for (const double cost : {0.1, 0.3}) {
      const double raw = random.uniform();
      row.rungs.push_back({true, raw, {}, random.coin(0.5 * (1 - raw)), cost});
      p[cost > 0.2 ? 1 : 0].push_back(1 - 0.5 * (1 - raw));
    }
    rows.rows.push_back(std::move(row));
  }
  const auto pointers = rows.pointers();
  const auto cost_of = [&](std::optional<double> a, std::optional<double> b) {
    double cost = 0, bad = 0;
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      const std::optional<double> at[2] = {a, b};
      bool served = false;
      for (std::size_t r = 0; r < 2 && !served; ++r) {
        if (!at[r]) continue;
        cost += rows.rows[i].rungs[r].cost_usd;
        served = p[r][i] >= *at[r];
        if (served) bad += 1 - p[r][i];
      }
      cost += served ? 0 : 1;
    }
    return std::pair(cost / 60, bad / 60);
  };
  std::vector<std::optional<double>> choices[2];
  for (std::size_t r = 0; r < 2; ++r) {
    choices[r].push_back(std::nullopt);
    for (const double v : p[r]) choices[r].push_back(v);
  }
  for (const auto& c : threshold_path(pointers, p)) {
    const auto [cost, bad] = cost_of(c.thresholds[0], c.thresholds[1]);
    EXPECT_NEAR(cost, c.cost_usd, 1e-9);
    EXPECT_NEAR(bad, c.bad, 1e-9);
    double best = 2;
    for (const auto& a : choices[0]) {
      for (const auto& b : choices[1]) {
        const auto [its_cost, its_bad] = cost_of(a, b);
        if (its_bad <= bad + 1e-12) best = std::min(best, its_cost);
      }
    }
    EXPECT_LE(cost, best + 0.05) << "at " << bad << " bad";
  }
}

TEST(Contest, EvidenceByHand) {
  // No bad row: sum of stakes x ((1 - part alpha) / (1 - alpha))^n.
  const double one = std::exp(internal::log_evidence(1, 0, 0.10)), hand = 0.05 / 0.9 + 0.15 * 0.99 / 0.9 + 0.2 * 0.975 / 0.9 + 0.2 * 0.96 / 0.9 + 0.2 * 0.945 / 0.9 +
                                                                          0.12 * 0.93 / 0.9 + 0.08 * 0.915 / 0.9;
  EXPECT_NEAR(one, hand, 1e-12);
  EXPECT_NEAR(internal::log_evidence(0, 0, 0.10), 0, 1e-12);
  // A martingale at alpha: the mean over both outcomes of the next row is what it was.
  for (const double n : {0.0, 5.0, 40.0}) {
    const double bad = std::floor(n / 10);
    const double next = 0.10 * std::exp(internal::log_evidence(n + 1, bad + 1, 0.10)) + 0.90 * std::exp(internal::log_evidence(n + 1, bad, 0.10));
    EXPECT_NEAR(next, std::exp(internal::log_evidence(n, bad, 0.10)), 1e-12) << n;
  }
}

TEST(Contest, RarelyShowsWhatIsNotSo) {
  // Two candidates at exactly alpha, looked at after every one of 2,000 rows: at most delta.
  SeededRandom random(11);
  std::size_t wrong = 0, right = 0;
  constexpr int kRuns = 400;
  for (int run = 0; run < kRuns; ++run) {
    for (const bool good : {false, true}) {
      LadderPolicy careful, bold;
      careful.rungs.resize(1);
      bold.rungs.resize(1);
      careful.rungs[0].threshold = 0.5;
      bold.rungs[0].threshold = 0.0;
      internal::Contest contest({careful, bold}, 0.10, 0.10, 0, 0, false);
      for (int i = 0; i < 2'000 && !contest.winner(); ++i) {
        LabelledRow row;
        row.rungs.push_back({true, random.uniform(), {}, random.coin(good ? 0.03 : 0.10), 0});
        contest.add(row);
      }
      (good ? right : wrong) += contest.winner().has_value();
    }
  }
  EXPECT_LE(wrong, 58u);  // delta = .10 of 400, and three standard errors
  EXPECT_GE(right, 390u);
}

TEST(Contest, ACandidateWaitsForAllBeforeIt) {
  LadderPolicy first, second;
  first.rungs.resize(1);
  second.rungs.resize(1);
  first.rungs[0].threshold = 0.9;
  second.rungs[0].threshold = 0.1;
  internal::Contest contest({first, second}, 0.10, 0.10, 0, 0, false);
  LabelledRow row;
  row.rungs.push_back({true, 0.5, {}, false, 0});  // only the second serves it
  for (int i = 0; i < 500; ++i) contest.add(row);
  EXPECT_TRUE(contest.count(1).passed);
  EXPECT_FALSE(contest.winner());
  row.rungs[0].raw = 0.95;
  for (int i = 0; i < 100; ++i) contest.add(row);
  EXPECT_EQ(contest.winner(), 1u);
}

TEST(Contest, ARepeatedInputIsOneTrial) {
  LadderPolicy all;
  all.rungs.resize(1);
  all.rungs[0].threshold = 0.0;
  internal::Contest contest({all}, 0.10, 0.10, 0, 0, false);
  LabelledRow row;
  row.rungs.push_back({true, 0.5, {}, false, 0});
  for (std::uint64_t i = 0; i < 1'000; ++i) row.input = 1 + i % 10, contest.add(row);
  EXPECT_EQ(contest.count(0).rows, 10u);
  EXPECT_EQ(contest.count(0).requests, 1'000u);
  EXPECT_FALSE(contest.winner());
}

TEST(Contest, BoundsAndRowsAgreeWithTheTest) {
  const auto rows = internal::rows_to_pass(0.02, 0.10, 0.05);
  ASSERT_TRUE(rows);
  EXPECT_GE(internal::log_evidence(*rows, 0.02 * *rows, 0.10), std::log(20.0) - 1e-6);
  EXPECT_FALSE(internal::rows_to_pass(0.10, 0.10, 0.05));
  const double bound = internal::evidence_upper_bound(3, 200, 0.05);
  EXPECT_GE(internal::log_evidence(200, 3, bound + 1e-6), std::log(20.0));
  EXPECT_LT(internal::log_evidence(200, 3, bound - 1e-3), std::log(20.0));
  EXPECT_GT(bound, binomial_upper_bound(3, 200, 0.05)) << "what holds at all times is wider than what holds once";
  EXPECT_EQ(internal::evidence_upper_bound(0, 0, 0.05), 1);
}

TEST(Keeper, ATestSurvivesItsJson) {
  KeeperEvent event;
  event.kind = KeeperEventKind::kTest;
  event.epoch = 3;
  event.number = 2;
  event.delta = 0.07;
  event.fresh = true;
  event.fit_rows = 90;
  for (const double threshold : {0.9, 0.8}) {
    LadderPolicy& p = event.candidates.emplace_back();
    p.ladder = "l1";
    p.rungs.push_back({{"platt", {0.5}, {1.5}, {2.0}, 1.0 / 3}, threshold});
  }
  const auto back = parse_keeper_event(keeper_event_json(event));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->candidates, event.candidates);
  EXPECT_TRUE(back->fresh);
  EXPECT_EQ(back->fit_rows, 90u);
  // A model whose columns do not suit its method would write where nothing is.
  event.candidates[0].rungs[0].model.weight = event.candidates[0].rungs[0].model.mean = event.candidates[0].rungs[0].model.deviation = {1, 1, 1};
  EXPECT_FALSE(parse_keeper_event(keeper_event_json(event)));
}

TEST(Keeper, DeltaIsSpentOnce) {
  double sum = 0;
  for (std::size_t k = 0; k < 200; ++k) sum += delta_for_test(0.10, k);
  EXPECT_LE(sum, 0.10 + 1e-12);
  EXPECT_GT(sum, 0.095);
}

TEST(InputShift, ByHand) {
  ShiftBins bins;
  bins.share = {0.5, 0.5, 0, 0, 0, 0, 0, 0, 0, 0};
  bins.rows = 1'000;
  std::array<std::uint64_t, kShiftBins> counts{500, 500, 0, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_NEAR(population_stability(bins, counts), 0, 1e-12);
  counts = {800, 200, 0, 0, 0, 0, 0, 0, 0, 0};
  // (800.5 - 500.5) / 1005 ln(800.5 / 500.5) + (200.5 - 500.5) / 1005 ln(200.5 / 500.5)
  const double hand = 300.0 / 1005 * std::log(800.5 / 500.5) - 300.0 / 1005 * std::log(200.5 / 500.5);
  EXPECT_NEAR(population_stability(bins, counts), hand, 1e-12);
  EXPECT_NEAR(shift_beyond_chance(bins, counts), hand - 9 * (0.001 + 0.001), 1e-12);
  EXPECT_EQ(population_stability(bins, std::array<std::uint64_t, kShiftBins>{}), 0);
  EXPECT_EQ(shift_beyond_chance(ShiftBins{}, counts), 0) << "no evidence, no verdict";
}

TEST(InputShift, BinsHaveEqualMassAndTiesShareOne) {
  std::vector<double> values;
  for (int i = 0; i < 1'000; ++i) values.push_back(i / 1'000.0);
  const ShiftBins even = ShiftBins::of(values);
  for (const double share : even.share) EXPECT_NEAR(share, 0.1, 1e-9);
  EXPECT_EQ(even.bin(-1), 0u);
  EXPECT_EQ(even.bin(2), kShiftBins - 1);
  const ShiftBins ties = ShiftBins::of(std::vector<double>(50, 1.0));
  EXPECT_NEAR(ties.share[ties.bin(1.0)], 1, 1e-12);
  // Chance alone, with as little evidence as a first version has, is not taken for a shift.
  SeededRandom random(1);
  std::size_t taken = 0;
  for (int run = 0; run < 200; ++run) {
    std::vector<double> evidence;
    for (int i = 0; i < 150; ++i) evidence.push_back(random.uniform());
    const ShiftBins bins = ShiftBins::of(evidence);
    std::array<std::uint64_t, kShiftBins> counts{};
    for (int i = 0; i < 1'000; ++i) ++counts[bins.bin(random.uniform())];
    taken += shift_beyond_chance(bins, counts) >= kShiftSuspect;
  }
  EXPECT_LE(taken, 10u);
}

}  // namespace
}  // namespace understudy::calibration
