#include "calibration/promise/judge_check.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "calibration/promise/keeper.h"

namespace understudy::calibration {
namespace {

const std::vector<RungSpec> kRungs{{"student", 0}, {"student+self_check", 0}};

/// A row whose student disagrees or not, with what the distilled judge says of it.
LabelledRow row(bool bad, std::optional<double> verdict, bool alone) {
  LabelledRow r;
  r.at_us = 1'000;
  r.verdicts_by = "replies@c1";
  r.estimated = alone;
  RungOutcome outcome;
  outcome.usable = true;
  outcome.bad = bad;
  outcome.verdict = verdict;
  r.rungs.assign(2, outcome);
  r.rungs[1].of = 0;
  return r;
}

JudgeCheck check(const std::vector<LabelledRow>& rows) {
  std::vector<const LabelledRow*> all;
  for (const LabelledRow& r : rows) all.push_back(&r);
  return check_judge(kRungs, all);
}

TEST(JudgeCheck, WithoutADistilledJudgeNothingIsMeant) {
  LabelledRow plain = row(false, std::nullopt, false);
  plain.verdicts_by.clear();
  const JudgeCheck none = check({plain});
  EXPECT_EQ(none.by, "");
  EXPECT_FALSE(none.trusted());
  EXPECT_EQ(check({}).both, 0u);
}

TEST(JudgeCheck, IsTrustedOnceBothHaveSaidTheSameOftenEnough) {
  std::vector<LabelledRow> rows;
  for (std::size_t i = 0; i < kJudgedByBoth; ++i) rows.push_back(row(i % 4 == 0, i % 4 == 0 ? 0.2 : 0.9, false));
  EXPECT_TRUE(check(rows).trusted());
  EXPECT_EQ(check(rows).both, kJudgedByBoth) << "a signal looks at the same answer: it counts once";
  rows.pop_back();
  EXPECT_FALSE(check(rows).trusted()) << "one too few";
  for (int i = 0; i < 15; ++i) rows.push_back(row(true, 0.9, false));
  EXPECT_FALSE(check(rows).trusted()) << "fifteen errors in 64";
  EXPECT_EQ(check(rows).same, kJudgedByBoth - 1);
}

TEST(JudgeCheck, WhatAnotherJudgeSaidAndEscalationsAreLeftOut) {
  std::vector<LabelledRow> rows{row(false, 0.9, false), row(false, 0.9, true), row(false, 0.9, false), row(false, 0.9, false)};
  rows[2].source = LabelSource::kEscalation;
  rows[3].verdicts_by = "replies@c0";
  rows[3].at_us = 10;
  const JudgeCheck now = check(rows);
  EXPECT_EQ(now.by, "replies@c1") << "the newest";
  EXPECT_EQ(now.both, 1u);
  EXPECT_EQ(now.alone, 1u);
  EXPECT_TRUE(now.shares.empty()) << "one row of a kind says nothing";
}

/// A judge that is too kind by a third: its own share is far off, the corrected one is not.
TEST(JudgeCheck, SharesAreMovedByTheErrorsOnRowsThatBothJudged) {
  SeededRandom random(7);
  std::vector<LabelledRow> rows;
  double own = 0, wrong = 0;
  for (int i = 0; i < 4'000; ++i) {
    const bool bad = random.coin(0.3);
    const bool seen = bad && random.coin(2.0 / 3);
    rows.push_back(row(i < 400 ? bad : seen, seen ? 0.1 : 0.95, i >= 400));
    own += seen;
    wrong += bad;
  }
  const JudgeCheck now = check(rows);
  ASSERT_EQ(now.shares.size(), 1u);
  const JudgeCheck::Share& share = now.shares[0];
  EXPECT_EQ(share.rung, "student");
  EXPECT_EQ(share.judged, 400u);
  EXPECT_EQ(share.alone, 3'600u);
  EXPECT_GT(wrong / 4'000 - own / 4'000, 0.08) << "what its verdicts alone would say";
  EXPECT_NEAR(share.disagreement.rate, wrong / 4'000, 0.04);
  EXPECT_LE(share.disagreement.interval.low, wrong / 4'000);
  EXPECT_GE(share.disagreement.interval.high, wrong / 4'000);
  EXPECT_GT(share.disagreement.lambda, 0.5) << "it is worth something";
  EXPECT_LT(share.disagreement.standard_error, 0.9 * std::sqrt(0.3 * 0.7 / 400)) << "more than the judged rows alone say";
}

TEST(JudgeCheck, AnAnswerThatNeedsNoVerdictIsCertain) {
  std::vector<LabelledRow> rows;
  for (int i = 0; i < 20; ++i) rows.push_back(row(i % 2 == 0, std::nullopt, i < 10));
  const JudgeCheck now = check(rows);
  ASSERT_EQ(now.shares.size(), 1u);
  EXPECT_NEAR(now.shares[0].disagreement.rate, 0.5, 1e-9);
  EXPECT_EQ(now.both, 0u) << "nobody gave a verdict";
}

TEST(JudgeCheck, RowsKeepTheirVerdictsAndTestRowsNeverRestOnThem) {
  const LabelledRow given = row(true, 0.25, true);
  const auto back = parse_row(row_json(given));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(row_json(*back), row_json(given));
  EXPECT_EQ(back->rungs[0].verdict, 0.25);
  EXPECT_TRUE(back->estimated);
  LabelledRow test = given;
  test.use = RowUse::kTest;
  EXPECT_FALSE(parse_row(row_json(test))) << "a test row whose outcomes are estimates";
  std::string wrong = row_json(given);
  wrong.replace(wrong.find("0.25"), 4, "1.25");
  EXPECT_FALSE(parse_row(wrong));
}

/// A version in force is watched on what the judge has said. Estimates that all look bad raise no alarm; the judge's do.
TEST(JudgeCheck, TheWatchTakesNoEstimates) {
  class Nowhere final : public KeeperLog {
   public:
    bool write(const KeeperEvent& event) override {
      alarms += event.kind == KeeperEventKind::kAlarm;
      return true;
    }
    int alarms = 0;
  } log;
  std::int64_t now_us = 1'760'000'000'000'000;
  PromiseKeeper keeper({{0.2, 0.1}}, {{"student", 0}}, "l1");
  ASSERT_TRUE(keeper.open(now_us, log));
  const auto add = [&](RowUse use, bool bad, bool estimated) {
    LabelledRow r = row(bad, 0.9, estimated);
    r.rungs.resize(1);
    r.rungs[0].raw = 0.9;
    r.at_us = now_us += 1'000'000;
    r.use = use;
    r.prompt = 7;
    r.teacher_cost_usd = 0.01;
    if (keeper.policy()) r.version = keeper.policy()->version;
    keeper.add(std::move(r), now_us, log);
    if (keeper.wants_advance(now_us)) keeper.advance(now_us, log);
  };
  for (int i = 0; i < 600 && !keeper.policy(); ++i) add(i < 40 || i % 4 == 0 ? RowUse::kFit : RowUse::kTest, false, false);
  ASSERT_TRUE(keeper.policy());
  const std::uint64_t before = keeper.report(now_us).watched;
  for (int i = 0; i < 100; ++i) add(RowUse::kFit, true, true);
  EXPECT_EQ(log.alarms, 0);
  EXPECT_EQ(keeper.report(now_us).watched, before);
  EXPECT_EQ(keeper.report(now_us).judge.alone, 100u);
  for (int i = 0; i < 100 && log.alarms == 0; ++i) add(RowUse::kTest, true, false);
  EXPECT_EQ(log.alarms, 1);
}

}  // namespace
}  // namespace understudy::calibration
