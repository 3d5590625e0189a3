#include "app/answer_command.h"

#include <fstream>

#include "app/command.h"
#include "app/judge_command.h"
#include "app/pair_command_test_util.h"
#include "app/specialist_command.h"
#include "app/specialist_evaluation.h"
#include "app/specialist_kinds.h"

namespace understudy::app {
namespace {

class AnswerCommands : public PairCommands {
 protected:
  AnswerCommands() : PairCommands(run_train_judge_command, "judge") {}
  /// The more things a response names, the better it is.
  static std::string response(int good) {
    std::string out;
    for (int i = 0; i < 5; ++i) out += i < good ? fmt::format("The {} is useful. ", kThings[static_cast<std::size_t>(i)]) : "Nothing is useful. ";
    return out;
  }
  void write_scores() {
    std::ofstream out(path("rows.jsonl"));
    for (int i = 0; i < 200; ++i)
      out << fmt::format(R"({{"id": "r{0}", "prompt": "Of lantern, harbour, violin, glacier and compass, number {0}.", "response": "{1}", "teacher_score": {2}, "split": "{3}"}})", i, response(i * 7 % 6),
                         i * 7 % 6 + 1, i < 120 ? "train" : "test")
          << "\n";
  }
  void write_preferences() {
    std::ofstream out(path("rows.jsonl"));
    for (int i = 0; i < 200; ++i) {
      const int a = i * 7 % 6, b = i * 5 % 4;
      out << fmt::format(R"({{"id": "r{0}", "prompt": "Of lantern, harbour, violin, glacier and compass, number {0}.", "a": "{1}", "b": "{2}", "gold": {3}, "split": "{4}"}})", i, response(a), response(b),
                         a == b ? 0 : a > b ? 1 : 2, i < 120 ? "train" : "test")
          << "\n";
    }
  }
  std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }
};

TEST_F(AnswerCommands, RowsWithAResponseMakeAJudgeThatGivesScores) {
  write_scores();
  const Outcome trained = train();
  ASSERT_EQ(trained.status, kExitDone) << trained.err;
  EXPECT_TRUE(contains(trained.out, "120 rows of scores from 1 to 6")) << trained.out;
  EXPECT_TRUE(contains(trained.out, "(the length alone "));
  EXPECT_EQ(kind_of(path("made")), "judge");
  const Outcome judged = run(run_evaluate_command, "understudy evaluate", {path("made"), "--data", path("rows.jsonl"), "--before", path("made"), "--json"});
  ASSERT_EQ(judged.status, kExitDone) << judged.err;
  EXPECT_EQ(at(judged.out, "/kind"), "\"judge\"");
  EXPECT_EQ(at(judged.out, "/form"), "\"score\"");
  EXPECT_EQ(at(judged.out, "/rows"), "80");
  EXPECT_EQ(std::stod(at(judged.out, "/agreement")), 1) << "with itself";
  EXPECT_GT(std::stod(at(judged.out, "/metrics/spearman")), 0.9);
  EXPECT_GT(std::stod(at(judged.out, "/metrics/within1")), 0.9);
  for (const char* key : {"/metrics/length_alone_spearman", "/intervals/spearman/0", "/intervals/within1/1", "/calibration/ece15", "/calibration/brier", "/served_at/0.01", "/served_at/0.10", "/latency_us/p50",
                          "/latency_us/p99", "/size_bytes"}) {
    EXPECT_NE(at(judged.out, key), "") << key;
  }
  EXPECT_TRUE(contains(run(run_evaluate_command, "understudy evaluate", {path("made"), "--data", path("rows.jsonl")}).out, "by the length alone"));
  const Outcome said = run(run_predict_command, "understudy predict", {path("made"), "--data", path("rows.jsonl"), "--split", "test"});
  ASSERT_EQ(said.status, kExitDone) << said.err;
  EXPECT_EQ(std::count(said.out.begin(), said.out.end(), '\n'), 80);
  EXPECT_EQ(at(first_line(said.out), "/id"), "\"r120\"");
  EXPECT_LT(std::stod(at(first_line(said.out), "/score")), 3);
  EXPECT_NE(at(first_line(said.out), "/rating"), "");
  EXPECT_NE(at(first_line(said.out), "/probability"), "");
}

TEST_F(AnswerCommands, RowsWithTwoResponsesMakeAJudgeThatCompares) {
  write_preferences();
  const Outcome trained = train();
  ASSERT_EQ(trained.status, kExitDone) << trained.err;
  EXPECT_TRUE(contains(trained.out, "of them ties")) << trained.out;
  const Outcome judged = run(run_evaluate_command, "understudy evaluate", {path("made"), "--data", path("rows.jsonl"), "--json"});
  ASSERT_EQ(judged.status, kExitDone) << judged.err;
  EXPECT_EQ(at(judged.out, "/form"), "\"preference\"");
  EXPECT_GT(std::stod(at(judged.out, "/metrics/accuracy")), 0.9);
  for (const char* key : {"/ties", "/metrics/length_alone_accuracy", "/intervals/accuracy/0", "/calibration/ece15"}) EXPECT_NE(at(judged.out, key), "") << key;
  const Outcome said = run(run_predict_command, "understudy predict", {path("made"), "--data", path("rows.jsonl"), "--split", "test"});
  ASSERT_EQ(said.status, kExitDone) << said.err;
  EXPECT_NE(at(first_line(said.out), "/choice"), "");
  EXPECT_GE(std::stod(at(first_line(said.out), "/probability")), 0.5);
  EXPECT_EQ(run(run_quantize_command, "understudy quantize", {path("made"), "--to", "int8", "--out", path("q")}).status, kExitBadInput);
}

TEST_F(AnswerCommands, WhatDoesNotFitIsSaid) {
  write_scores();
  const auto trained_as = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"--data", path("rows.jsonl"), "--out", path("other"), "--encoder", "off"};
    words.insert(words.end(), more.begin(), more.end());
    return run(run_train_judge_command, "understudy train judge", words);
  };
  EXPECT_TRUE(contains(trained_as({"--form", "preference"}).err, "has rows of the form \"score\", and --form asks for \"preference\""));
  EXPECT_TRUE(contains(trained_as({"--cross-encoder", "on"}).err, "have no cross-encoder yet"));
  EXPECT_FALSE(fs::exists(path("other")));
  std::ofstream(path("rows.jsonl"), std::ios::app) << R"({"claim": "a", "evidence": "b", "label": 1, "split": "train"})" << "\n";
  EXPECT_TRUE(contains(trained_as({}).err, "line 201: a row of the form \"faithfulness\", and line 1 is one of the form \"score\""));
  write_scores();
  ASSERT_EQ(train().status, kExitDone);
  write_preferences();
  const Outcome other = run(run_evaluate_command, "understudy evaluate", {path("made"), "--data", path("rows.jsonl")});
  EXPECT_EQ(other.status, kExitBadInput);
  EXPECT_TRUE(contains(other.err, "this judge scores responses")) << other.err;
  std::ofstream(path("far.jsonl")) << R"({"prompt": "a", "response": "b", "teacher_score": 95})" << "\n";
  EXPECT_TRUE(contains(run(run_evaluate_command, "understudy evaluate", {path("made"), "--data", path("far.jsonl")}).err, "trained on scores from 1 to 6"));
}

}  // namespace
}  // namespace understudy::app
