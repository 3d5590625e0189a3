#include "calibration/promise/rung_worth.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "calibration/promise/keeper.h"
#include "calibration/promise/rung_fit.h"
#include "calibration/promise/threshold_path.h"

namespace understudy::calibration {
namespace {

constexpr double kTeacherUsd = 0.01, kStudentUsd = 0.0005;

/// A student that is bad on three of ten requests and whose own confidence hardly tells which; a look at it that is right about
/// `right` of a hundred answers, at `cost_usd`.
struct World {
  double right = 97, cost_usd = 0.0001;

  LabelledRow row(Random& random) const {
    LabelledRow r;
    r.at_us = 1;
    r.input = random.next();
    r.teacher_cost_usd = kTeacherUsd;
    RungOutcome student;
    student.usable = true;
    student.bad = random.coin(0.3);
    student.raw = student.bad ? random.uniform() * 0.9 : 0.1 + random.uniform() * 0.9;
    student.cost_usd = kStudentUsd;
    RungOutcome look = student;
    const bool says_good = random.coin(right / 100) ? !student.bad : random.coin(0.5);
    look.raw = says_good ? 0.5 + 0.5 * random.uniform() : 0.5 * random.uniform();
    look.cost_usd = cost_usd;
    look.of = 0;
    r.rungs = {student, look};
    return r;
  }
};

const std::vector<RungSpec> kRungs{{"student", 0}, {"student+self_check", 0}};

struct Rows {
  std::vector<LabelledRow> rows;
  std::vector<const LabelledRow*> pointers;
  std::vector<std::vector<double>> probability;

  explicit Rows(World world, std::size_t n = 1'500, std::uint64_t seed = 1) {
    SeededRandom random(seed);
    for (std::size_t i = 0; i < n; ++i) rows.push_back(world.row(random));
    for (const LabelledRow& row : rows) pointers.push_back(&row);
    for (std::size_t r = 0; r < kRungs.size(); ++r) {
      SeededRandom folds(seed);
      probability.push_back(fit_rung(pointers, r, folds).held_back);
    }
  }
  std::vector<RungWorth> worth(double alpha = 0.05, double coin = 0.02) const { return rung_worth(pointers, probability, kRungs, alpha, coin); }
};

TEST(RungWorth, AUsefulCheapLookPays) {
  const auto worth = Rows(World{97, 0.0001}).worth();
  ASSERT_EQ(worth.size(), 2u);
  const RungWorth& look = worth[1];
  EXPECT_EQ(look.rung, "student+self_check");
  ASSERT_TRUE(look.threshold);
  EXPECT_GT(look.asked_share, 0.3);
  EXPECT_GT(look.saved_usd_per_1000, 2.0) << "of the 10 dollars that the teacher alone takes for a thousand";
  EXPECT_GT(look.saved_usd_per_1000, 4'000 * look.standard_error_usd);
  EXPECT_NEAR(look.coin_usd_per_1000, 1'000 * 0.02 * 0.0001, 1e-12);
  EXPECT_GT(look.net_usd_per_1000(), 2.0);
  EXPECT_NEAR(look.own_usd, look.asked_share * 0.0001, 1e-9) << "its own calls are in the bill";
  EXPECT_GT(worth[0].bill_without_usd, worth[0].bill_usd) << "without the student there is nothing to look at either";
  EXPECT_NEAR(worth[0].bill_without_usd, kTeacherUsd, 1e-12);
}

TEST(RungWorth, AUselessLookIsNotAskedAndLosesWhatCoinRowsPayForIt) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const auto worth = Rows(World{0, 0.0002}, 1'500, seed).worth();
    const RungWorth& look = worth.at(1);
    // Chance may make it look good on the rows that it was chosen on; never by more than its own noise.
    EXPECT_LT(look.saved_usd_per_1000, 0.3) << "seed " << seed;
    EXPECT_NEAR(look.coin_usd_per_1000, 1'000 * 0.02 * 0.0002, 1e-12);
    if (!look.threshold) {
      EXPECT_LT(look.net_usd_per_1000(), 0) << "seed " << seed;
    }
  }
  const auto worth = Rows(World{0, 0.0002}).worth();
  EXPECT_FALSE(worth.at(1).threshold);
}

TEST(RungWorth, AUsefulLookThatCostsAsMuchAsTheTeacherLoses) {
  const auto worth = Rows(World{97, 0.012}).worth();
  EXPECT_FALSE(worth.at(1).threshold) << "escalating is cheaper than asking it";
  EXPECT_EQ(worth.at(1).asked_share, 0);
  EXPECT_EQ(worth.at(1).own_usd, 0);
  EXPECT_EQ(worth.at(1).saved_usd_per_1000, 0);
  EXPECT_LT(worth.at(1).net_usd_per_1000(), 0);
}

TEST(RungWorth, UnknownCostsSayNothing) {
  Rows rows(World{});
  for (LabelledRow& row : rows.rows) row.teacher_cost_usd = 0;
  EXPECT_TRUE(rows.worth().empty());
  EXPECT_TRUE(rung_worth({}, rows.probability, kRungs, 0.05, 0.02).empty());
}

TEST(RungWorth, AKeeperTellsItFromItsFitRows) {
  class Accepting final : public KeeperLog {
   public:
    bool write(const KeeperEvent&) override { return true; }
  } log;
  PromiseKeeper keeper({}, kRungs, "l1");
  ASSERT_TRUE(keeper.open(1, log));
  EXPECT_TRUE(keeper.worth().empty());
  SeededRandom random(3);
  for (int i = 0; i < 800; ++i) keeper.add(World{97, 0.0001}.row(random), 1, log);
  const auto worth = keeper.worth();
  ASSERT_EQ(worth.size(), 2u);
  EXPECT_GT(worth[1].saved_usd_per_1000, 1.0);
}

// ------------------------------------------------------------------------------------------------ rungs that look at another's answer

LadderPolicy policy_of(std::optional<double> student, std::optional<double> look) {
  LadderPolicy policy;
  policy.rungs = {{RungModel{}, student}, {RungModel{}, look}};
  return policy;
}

TEST(LooksAtAnotherRung, TheAnswerIsPaidOnceWhoeverAsksForIt) {
  SeededRandom random(5);
  LabelledRow row = World{}.row(random);
  row.rungs[0].raw = 0.2;
  row.rungs[1].raw = 0.9;
  const Served alone = serve(policy_of(std::nullopt, 0.5), row);
  EXPECT_EQ(alone.rung, 1u);
  EXPECT_DOUBLE_EQ(alone.cost_usd, kStudentUsd + 0.0001) << "the student must answer before anybody can look at it";
  const Served both = serve(policy_of(0.5, 0.5), row);
  EXPECT_EQ(both.rung, 1u);
  EXPECT_DOUBLE_EQ(both.cost_usd, kStudentUsd + 0.0001);
  EXPECT_DOUBLE_EQ(serve(policy_of(0.1, 0.5), row).cost_usd, kStudentUsd) << "served before the look";
}

TEST(LooksAtAnotherRung, TheSearchKnowsThatTheAnswerMustBePaid) {
  // The look alone is nearly free, the student costs more than the teacher: nobody may be asked.
  Rows rows(World{99, 0.00001});
  for (LabelledRow& row : rows.rows) row.rungs[0].cost_usd = 2 * kTeacherUsd;
  for (const ThresholdCandidate& c : threshold_path(rows.pointers, rows.probability)) {
    EXPECT_FALSE(c.thresholds[0] || c.thresholds[1]) << c.served;
  }
}

TEST(LooksAtAnotherRung, ACheapPeerThatBreaksAlphaDoesNotHideADearerOneThatKeepsIt) {
  // Peers agree or not, nothing between: the answers that the cheap one agrees with are bad one time in seven, the dear one's one in fifty.
  const std::vector<RungSpec> rungs{{"student", 0}, {"student+peer:cheap", 0}, {"student+peer:dear", 0}};
  SeededRandom random(9);
  std::vector<LabelledRow> rows;
  for (int i = 0; i < 1'500; ++i) {
    LabelledRow row = World{}.row(random);
    RungOutcome& student = row.rungs[0];
    student.usable = false;
    RungOutcome cheap = student, dear = student;
    cheap.usable = dear.usable = true;
    cheap.of = dear.of = 0;
    cheap.raw = random.coin(student.bad ? 0.35 : 0.9) ? 1 : 0;
    dear.raw = random.coin(student.bad ? 0.045 : 0.9) ? 1 : 0;
    cheap.cost_usd = 0.0002;
    dear.cost_usd = 0.0054;
    row.rungs = {student, cheap, dear};
    rows.push_back(row);
  }
  std::vector<const LabelledRow*> pointers;
  for (const LabelledRow& row : rows) pointers.push_back(&row);
  std::vector<std::vector<double>> probability;
  for (std::size_t r = 0; r < 3; ++r) {
    SeededRandom folds(1);
    probability.push_back(fit_rung(pointers, r, folds).held_back);
  }
  EXPECT_FALSE(cheapest_within(threshold_path(pointers, probability), 0.05)) << "else this test shows nothing";
  const auto path = threshold_path(pointers, probability, 0.05);
  const auto found = cheapest_within(path, 0.05);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->thresholds[2]);
  EXPECT_GT(found->served, 0.5);
  bool within = false;
  for (std::size_t i = path.size(); i-- > 0;) {
    const bool keeps = cheapest_within(std::span(&path[i], 1), 0.05).has_value();
    EXPECT_TRUE(keeps || !within) << "one that breaks alpha stands before one that keeps it and serves more";
    within = within || keeps;
  }
  const auto worth = rung_worth(pointers, probability, rungs, 0.05, 0.02);
  EXPECT_GT(worth[2].net_usd_per_1000(), 0.1);
  EXPECT_LT(worth[1].net_usd_per_1000(), 0.1);
}

TEST(LooksAtAnotherRung, TheSearchCountsAsServeDoes) {
  const Rows rows(World{90, 0.0003}, 600);
  const auto path = threshold_path(rows.pointers, rows.probability);
  ASSERT_FALSE(path.empty());
  for (const ThresholdCandidate& c : path) {
    double cost = 0;
    std::size_t served = 0, bad = 0;
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      LabelledRow row = rows.rows[i];
      for (std::size_t r = 0; r < 2; ++r) row.rungs[r].raw = rows.probability[r][i];
      const Served s = serve(policy_of(c.thresholds[0], c.thresholds[1]), row);
      cost += s.cost_usd + (s.rung ? 0 : row.teacher_cost_usd);
      served += s.rung.has_value();
      bad += s.rung && row.rungs[*s.rung].bad;
    }
    EXPECT_EQ(served, c.served_rows);
    EXPECT_EQ(bad, c.bad_rows);
    EXPECT_NEAR(cost / static_cast<double>(rows.rows.size()), c.cost_usd, 1e-12);
  }
}

TEST(LooksAtAnotherRung, RowsSurviveTheStore) {
  SeededRandom random(5);
  const LabelledRow row = World{}.row(random);
  const auto back = parse_row(row_json(row));
  ASSERT_TRUE(back);
  EXPECT_FALSE(back->rungs[0].of);
  EXPECT_EQ(back->rungs[1].of, 0u);
  std::string json = row_json(row);
  json.replace(json.find("\"of\":0"), 6, "\"of\":1");
  EXPECT_FALSE(parse_row(json)) << "a rung cannot look at itself or at a later one";
}

}  // namespace
}  // namespace understudy::calibration
