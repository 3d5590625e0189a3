#include "app/specialist_command.h"

#include <cmath>
#include <fstream>
#include <map>

#include "app/command.h"
#include "app/specialist_evaluation.h"
#include "app/test_support.h"

namespace understudy::app {
namespace {

class SpecialistCommands : public testing::Test {
 protected:
  SpecialistCommands() {
    std::string name = (fs::temp_directory_path() / "understudy-specialist-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    std::ofstream out(root_ / "rows.jsonl");
    const char* labels[] = {"card", "refund"};
    const char* texts[] = {"where is my new card", "i want my money back"};
    for (int i = 0; i < 80; ++i) {
      out << fmt::format(R"({{"id": "r{}", "text": "{} please {}", "label": "{}", "split": "{}"}})", i, texts[i % 2], i, labels[i % 2], i < 40 ? "train" : "test") << "\n";
    }
    out << R"({"id": "odd", "text": "quantum chromodynamics", "label": "none", "oos": true, "split": "test"})" << "\n";
  }
  ~SpecialistCommands() override { fs::remove_all(root_); }
  std::string path(const char* name) const { return (root_ / name).string(); }
  Outcome train() { return run(run_train_intent_command, "understudy train intent", {"--data", path("rows.jsonl"), "--out", path("s"), "--encoder", "off"}); }

  fs::path root_;
};

TEST_F(SpecialistCommands, TrainEvaluateAndPredictFollowOneAnother) {
  const Outcome trained = train();
  ASSERT_EQ(trained.status, kExitDone) << trained.err;
  EXPECT_TRUE(contains(trained.out, "40 rows, 2 labels"));

  const Outcome judged = run(run_evaluate_command, "understudy evaluate", {path("s"), "--data", path("rows.jsonl"), "--json"});
  ASSERT_EQ(judged.status, kExitDone) << judged.err;
  EXPECT_EQ(at(judged.out, "/schema"), "\"understudy.specialist/1\"");
  EXPECT_EQ(at(judged.out, "/kind"), "\"intent\"");
  EXPECT_EQ(at(judged.out, "/rows"), "41");
  EXPECT_EQ(std::stod(at(judged.out, "/metrics/accuracy")), 1);  // the row that is out of scope does not count
  EXPECT_EQ(std::stod(at(judged.out, "/metrics/auroc_oos")), 1);
  for (const char* key : {"/metrics/macro_f1", "/calibration/ece15", "/calibration/brier", "/served_at/0.01", "/served_at/0.02", "/served_at/0.05", "/served_at/0.10",
                          "/latency_us/p50", "/latency_us/p99", "/size_bytes"}) {
    EXPECT_NE(at(judged.out, key), "") << key;
  }
  EXPECT_EQ(at(judged.out, "/served_at/0.01"), "0");  // 40 flawless rows cannot prove 1 %
  EXPECT_EQ(std::stod(at(judged.out, "/served_at/0.10")), 1);

  const Outcome said = run(run_predict_command, "understudy predict", {path("s"), "--data", path("rows.jsonl"), "--split", "test"});
  ASSERT_EQ(said.status, kExitDone) << said.err;
  EXPECT_EQ(std::count(said.out.begin(), said.out.end(), '\n'), 41);
  const std::string first = said.out.substr(0, said.out.find('\n'));
  EXPECT_EQ(at(first, "/id"), "\"r40\"");
  EXPECT_EQ(at(first, "/label"), "\"card\"");
  EXPECT_EQ(at(first, "/top/0/0"), "\"card\"");
}

TEST(SpecialistEvaluation, OfSeveralLabelsEachCountsWithItsOwnProbability) {
  std::string text;
  for (int i = 0; i < 120; ++i) {
    const bool card = i % 2 == 0, money = i % 3 == 0;
    text += fmt::format(R"({{"text": "{}{}number {}", "labels": {{"card": {}, "money": {}}}}})", card ? "my card " : "", money ? "my money " : "", i, int{card}, int{money}) + "\n";
  }
  const auto training = specialists::parse_intent_rows(text, "f", {});
  auto made = specialists::train_intent(*training, nullptr, {}, {});
  ASSERT_TRUE(made) << made.error().message;
  // Three known pairs, of which the last is wrong; so the second row's answer is.
  const auto rows = specialists::parse_intent_rows(R"({"text": "my card", "labels": ["card"]})" "\n" R"({"text": "my money", "labels": {"money": 0}})", "g", {});
  const auto first = made->predict("my card"), second = made->predict("my money");
  ASSERT_EQ(first.each.size(), 2u);
  ASSERT_TRUE(first.each[0] > 0.6 && first.each[1] < 0.4 && second.each[1] > 0.6);
  EXPECT_NEAR(first.sure, first.each[0] * (1 - first.each[1]), 1e-6);
  const auto e = evaluate_specialist({std::move(*made), nullptr, ""}, *rows, "");
  ASSERT_TRUE(e) << e.error().message;
  EXPECT_EQ(e->rows, 2u);
  EXPECT_NEAR(e->accuracy, 2.0 / 3, 1e-9);
  const double a = first.each[0], b = 1 - first.each[1], c = second.each[1];
  EXPECT_NEAR(e->brier, ((1 - a) * (1 - a) + (1 - b) * (1 - b) + c * c) / 3, 1e-6);
  // One bin or three, the gap of each weighs by its share.
  std::map<int, double> gaps;
  for (const auto& [p, right] : {std::pair{a, 1.0}, {b, 1.0}, {c, 0.0}}) gaps[static_cast<int>(std::ceil(p * 15))] += right - p;
  double ece = 0;
  for (const auto& [bin, gap] : gaps) ece += std::abs(gap) / 3;
  EXPECT_NEAR(e->ece15, ece, 1e-6);
  EXPECT_NEAR(e->macro_f1, 0.5, 1e-9) << "card 1, money 0";
}

TEST_F(SpecialistCommands, WhatIsMissingIsSaid) {
  ASSERT_EQ(train().status, kExitDone);
  const Outcome again = train();
  EXPECT_EQ(again.status, kExitBadInput);
  EXPECT_TRUE(contains(again.err, "exists: name another folder"));
  const Outcome split = run(run_evaluate_command, "understudy evaluate", {path("s"), "--data", path("rows.jsonl"), "--split", "dev"});
  EXPECT_EQ(split.status, kExitBadInput);
  EXPECT_TRUE(contains(split.err, "it has \"test\" (41 rows), \"train\" (40 rows)"));
  const Outcome folder = run(run_predict_command, "understudy predict", {path("nowhere")});
  EXPECT_EQ(folder.status, kExitBadInput);
  EXPECT_TRUE(contains(folder.err, "is no folder"));
}

}  // namespace
}  // namespace understudy::app
