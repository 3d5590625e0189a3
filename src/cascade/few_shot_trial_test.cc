#include "cascade/few_shot_trial.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

namespace understudy::cascade {
namespace {

void add(FewShotTrial& trial, int k, int rows, int better, int worse) {
  for (int i = 0; i < rows; ++i) trial.add(k, i >= better, i < better || i >= better + worse);
}

TEST(FewShotTrial, UpliftIsThePairedDifferenceWithItsInterval) {
  FewShotTrial trial;
  EXPECT_EQ(trial.uplift().low, -1);
  EXPECT_EQ(trial.uplift().high, 1);
  add(trial, 5, 100, 30, 10);
  const FewShotUplift u = trial.uplift(5);
  EXPECT_EQ(u.rows, 100u);
  EXPECT_DOUBLE_EQ(u.mean, 0.2);
  EXPECT_NEAR(u.high - u.low, 4 * std::sqrt((0.41 - 0.04) / 100), 1e-9);
  EXPECT_EQ(trial.uplift(3).rows, 0u);
}

TEST(FewShotTrial, FreezesWhatIsShownBetterAndElseTheBestAfterItsRows) {
  FewShotTrial clear;
  for (const int k : {1, 3, 10}) add(clear, k, 30, 2, 4);
  EXPECT_EQ(clear.decided(), std::nullopt);
  add(clear, 5, 24, 22, 0);
  EXPECT_EQ(clear.decided(), std::nullopt);   // too few of these
  add(clear, 5, 6, 5, 0);
  EXPECT_EQ(clear.decided(), 5);
  FewShotTrial alike;
  for (const int k : {1, 3, 5}) add(alike, k, 50, 5, 5);
  add(alike, 10, 49, 6, 5);
  EXPECT_EQ(alike.decided(), std::nullopt);
  add(alike, 10, 1, 0, 0);
  EXPECT_EQ(alike.decided(), 1);              // within .02 of the best, and the cheapest
}

TEST(FewShotTrial, UselessOnlyWhereTheUpperBoundIsNotAboveZero) {
  FewShotTrial harm, unclear, help;
  add(harm, 5, 199, 2, 40);
  EXPECT_FALSE(harm.useless());               // before its rows
  add(harm, 5, 1, 0, 0);
  EXPECT_TRUE(harm.useless());
  add(harm, 5, 100, 90, 0);
  EXPECT_TRUE(harm.useless());                // until the next look
  add(harm, 5, 100, 90, 0);
  EXPECT_FALSE(harm.useless());
  add(unclear, 5, 200, 10, 12);
  EXPECT_FALSE(unclear.useless());
  add(help, 5, 200, 30, 2);
  EXPECT_FALSE(help.useless());
}

std::vector<Rung> ladder(bool trial) {
  std::vector<Rung> rungs(4);
  rungs[0] = {"cache", Stage::kCache, 0, {}, 0};
  rungs[1] = {"student", Stage::kStudent, 0, {}, 1};
  rungs[2] = {"student+examples", Stage::kStudent, 0, {}, 2, lessons::FewShotPolicy{}};
  rungs[2].trial = trial;
  rungs[3] = {"mid", Stage::kStudent, 2, {}, 3};
  return rungs;
}

TEST(FewShotTrial, ADecisionChangesOnlyTheLadderThatItIsAbout) {
  const FewShotDecisions decisions{{"default/intent", {"abc", 5, "why"}}, {"default/other", {"abc", 0, "why"}}};
  auto rungs = ladder(true);
  EXPECT_FALSE(apply_decision(decisions, "default/intent", "another", rungs));
  EXPECT_FALSE(apply_decision(decisions, "default/unknown", "abc", rungs));
  ASSERT_TRUE(apply_decision(decisions, "default/intent", "abc", rungs));
  EXPECT_EQ(rungs[2].examples->k, 5);
  EXPECT_FALSE(rungs[2].trial);
  ASSERT_TRUE(apply_decision(decisions, "default/other", "abc", rungs));
  ASSERT_EQ(rungs.size(), 3u);
  EXPECT_EQ(rungs[2].name, "mid");
  EXPECT_EQ(rungs[2].of, 2u);
}

TEST(FewShotTrial, CountsRowsThatBothCouldAnswer) {
  const auto rungs = ladder(false);
  calibration::LabelledRow row;
  row.rungs.resize(4);
  row.rungs[1].usable = row.rungs[2].usable = true;
  row.rungs[1].bad = true;
  FewShotTrial trial;
  count_row(rungs, row, 0, trial);
  row.source = calibration::LabelSource::kEscalation;   // asked because it was unsure: no fair row
  count_row(rungs, row, 0, trial);
  row.source = calibration::LabelSource::kCoin;
  row.rungs[2].usable = false;
  count_row(rungs, row, 0, trial);
  EXPECT_EQ(trial.uplift().rows, 1u);
  EXPECT_EQ(trial.uplift().better, 1u);
}

TEST(FewShotTrial, DecisionsSurviveAndABrokenFileSaysSo) {
  const std::filesystem::path data = std::filesystem::temp_directory_path() / ("few_shots_test_" + std::to_string(::getpid()));
  std::filesystem::create_directories(data);
  EXPECT_TRUE(read_few_shot_decisions(data)->empty());
  ASSERT_TRUE(write_few_shot_decisions(data, {{"default/a \"b\"", {"abc", 10, "better"}}}));
  const auto back = read_few_shot_decisions(data);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->at("default/a \"b\"").k, 10);
  EXPECT_EQ(back->at("default/a \"b\"").ladder, "abc");
  std::ofstream(data / "few_shots.json") << R"({"few_shots":{"x":{"ladder":"l","k":99,"why":""}}})";
  const auto broken = read_few_shot_decisions(data);
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("few_shots.json"), std::string::npos);
  std::filesystem::remove_all(data);
}

}  // namespace
}  // namespace understudy::cascade
