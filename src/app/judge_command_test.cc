#include "app/judge_command.h"

#include <fstream>

#include "app/command.h"
#include "app/pair_command_test_util.h"
#include "app/specialist_command.h"
#include "app/specialist_evaluation.h"
#include "app/specialist_kinds.h"

namespace understudy::app {
namespace {

class JudgeCommands : public PairCommands {
 protected:
  JudgeCommands() : PairCommands(run_train_judge_command, "judge") {
    std::ofstream out(root_ / "rows.jsonl");
    for (int i = 0; i < 200; ++i) {
      out << fmt::format(R"({{"id": "r{0}", "claim": "Somebody made the {1} number {0}.", "evidence": "It is about number {0}. Somebody made the {2}.", "label": {3}, "split": "{4}"}})", i,
                         kThings[i % 5], kThings[(i + (i / 5) % 2) % 5], (i / 5) % 2 == 0 ? 1 : 0, i < 120 ? "train" : "test")
          << "\n";
    }
  }
};

TEST_F(JudgeCommands, TrainEvaluateAndPredictFollowOneAnother) {
  const Outcome trained = train();
  ASSERT_EQ(trained.status, kExitDone) << trained.err;
  EXPECT_TRUE(contains(trained.out, "120 rows, 60 supported")) << trained.out;
  EXPECT_TRUE(contains(trained.out, "(the claim alone 0."));
  EXPECT_TRUE(contains(trained.out, "no cross-encoder: there is no encoder to start from"));
  EXPECT_EQ(kind_of(path("made")), "judge");

  const Outcome judged = run(run_evaluate_command, "understudy evaluate", {path("made"), "--data", path("rows.jsonl"), "--json"});
  ASSERT_EQ(judged.status, kExitDone) << judged.err;
  EXPECT_EQ(at(judged.out, "/schema"), "\"understudy.specialist/1\"");
  EXPECT_EQ(at(judged.out, "/kind"), "\"judge\"");
  EXPECT_EQ(at(judged.out, "/rows"), "80");
  EXPECT_GT(std::stod(at(judged.out, "/metrics/balanced_accuracy")), 0.95);
  for (const char* key : {"/metrics/auroc", "/metrics/claim_alone_balanced_accuracy", "/intervals/balanced_accuracy/0", "/calibration/ece15", "/calibration/brier", "/served_at/0.01",
                          "/served_at/0.02", "/served_at/0.05", "/served_at/0.10", "/bands/0.10/yes", "/bands/0.10/ask", "/bands_as_trained/0.10/wrong", "/surest/0.7", "/latency_us/p50",
                          "/latency_us/p99", "/size_bytes"}) {
    EXPECT_NE(at(judged.out, key), "") << key;
  }
  const Outcome text = run(run_evaluate_command, "understudy evaluate", {path("made"), "--data", path("rows.jsonl")});
  EXPECT_TRUE(contains(text.out, "the claim alone")) << text.out;

  const Outcome said = run(run_predict_command, "understudy predict", {path("made"), "--data", path("rows.jsonl"), "--split", "test"});
  ASSERT_EQ(said.status, kExitDone) << said.err;
  EXPECT_EQ(std::count(said.out.begin(), said.out.end(), '\n'), 80);
  const std::string first = said.out.substr(0, said.out.find('\n'));
  EXPECT_EQ(at(first, "/id"), "\"r120\"");
  EXPECT_GT(std::stod(at(first, "/probability")), 0.5);
  EXPECT_NE(at(first, "/verdict"), "");
}

TEST_F(JudgeCommands, WhatIsMissingIsSaid) {
  ASSERT_EQ(train().status, kExitDone);
  EXPECT_TRUE(contains(train().err, "exists: name another folder"));
  const Outcome split = run(run_evaluate_command, "understudy evaluate", {path("made"), "--data", path("rows.jsonl"), "--split", "dev"});
  EXPECT_EQ(split.status, kExitBadInput);
  EXPECT_TRUE(contains(split.err, "it has \"test\" (80 rows), \"train\" (120 rows)"));
  const Outcome quantised = run(run_quantize_command, "understudy quantize", {path("made"), "--to", "int8", "--out", path("q")});
  EXPECT_EQ(quantised.status, kExitBadInput);
  EXPECT_TRUE(contains(quantised.err, "there is nothing to quantise"));
}

}  // namespace
}  // namespace understudy::app
