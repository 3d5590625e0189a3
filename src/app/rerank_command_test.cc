#include "app/rerank_command.h"

#include <fstream>

#include "app/command.h"
#include "app/pair_command_test_util.h"
#include "app/specialist_command.h"
#include "app/specialist_evaluation.h"
#include "app/specialist_kinds.h"
#include "app/specialists_command.h"

namespace understudy::app {
namespace {

class RerankCommands : public PairCommands {
 protected:
  RerankCommands() : PairCommands(run_train_rerank_command, "rerank") {
    std::ofstream out(root_ / "rows.jsonl");
    for (int q = 0; q < 60; ++q) {
      for (int d = 0; d < 4; ++d) {
        out << fmt::format(R"({{"qid": {0}, "query": "who made the {1} of {0}", "did": "d{2}", "doc": "Somebody made the {3} once.", "rel": {4}, "split": "{5}"}})", q, kThings[q % 5], d,
                           kThings[(q + d) % 5], d == 0 ? 1 : 0, q < 40 ? "train" : "test")
            << "\n";
      }
    }
  }
};

TEST_F(RerankCommands, TrainEvaluateAndPredictFollowOneAnother) {
  const Outcome trained = train();
  ASSERT_EQ(trained.status, kExitDone) << trained.err;
  EXPECT_TRUE(contains(trained.out, "128 rows of 32 queries")) << trained.out;
  EXPECT_TRUE(contains(trained.out, "no cross-encoder: there is no encoder to start from"));
  EXPECT_EQ(kind_of(path("made")), "rerank");

  const Outcome judged = run(run_evaluate_command, "understudy evaluate", {path("made"), "--data", path("rows.jsonl"), "--json"});
  ASSERT_EQ(judged.status, kExitDone) << judged.err;
  EXPECT_EQ(at(judged.out, "/schema"), "\"understudy.specialist/1\"");
  EXPECT_EQ(at(judged.out, "/kind"), "\"rerank\"");
  EXPECT_EQ(at(judged.out, "/rows"), "80");
  EXPECT_EQ(at(judged.out, "/ranked_queries"), "20");
  EXPECT_NEAR(std::stod(at(judged.out, "/metrics/map")), 1, 1e-9);
  for (const char* key : {"/metrics/ndcg10", "/metrics/mrr10", "/intervals/map/0", "/calibration/ece15", "/calibration/brier", "/served_at/0.01", "/served_at/0.02", "/served_at/0.05",
                          "/served_at/0.10", "/latency_us/p50", "/latency_us/p99", "/size_bytes", "/rungs/words/share", "/rungs/words/ms_a_document", "/rungs/llm/estimated_dollars_per_1000_queries",
                          "/band/ask", "/band/wrong", "/surest/0.7", "/surest/1.0"}) {
    EXPECT_NE(at(judged.out, key), "") << key;
  }

  const Outcome said = run(run_predict_command, "understudy predict", {path("made"), "--data", path("rows.jsonl"), "--split", "test"});
  ASSERT_EQ(said.status, kExitDone) << said.err;
  EXPECT_EQ(std::count(said.out.begin(), said.out.end(), '\n'), 80);
  const std::string first = said.out.substr(0, said.out.find('\n'));
  EXPECT_EQ(at(first, "/qid"), "\"40\"");
  EXPECT_EQ(at(first, "/did"), "\"d0\"");
  EXPECT_GT(std::stod(at(first, "/score")), 0.5);
  EXPECT_EQ(at(first, "/rung"), "\"words\"");
  EXPECT_NE(at(first, "/verdict"), "");
}

/// Here the relevant document always comes first: no reranker does better.
TEST_F(RerankCommands, AnOrderThatCannotBeBeatenIsKeptAndSaid) {
  const Outcome trained = train({"--ordered"});
  ASSERT_EQ(trained.status, kExitDone) << trained.err;
  EXPECT_TRUE(contains(trained.out, "order: kept as documents come, nothing is read: 40 queries that it had not seen do not show that reranking is better; nDCG@10 1.0000 as they came")) << trained.out;

  const Outcome judged = run(run_evaluate_command, "understudy evaluate", {path("made"), "--data", path("rows.jsonl"), "--json"});
  ASSERT_EQ(judged.status, kExitDone) << judged.err;
  EXPECT_NEAR(std::stod(at(judged.out, "/metrics/ndcg10")), 1, 1e-9);
  EXPECT_EQ(at(judged.out, "/rungs/order/share"), "1");
  EXPECT_EQ(at(judged.out, "/rungs/words/share"), "0");
  EXPECT_EQ(at(judged.out, "/order/kept"), "true");
  EXPECT_EQ(at(judged.out, "/order/queries"), "40");
  EXPECT_TRUE(contains(run(run_evaluate_command, "understudy evaluate", {path("made"), "--data", path("rows.jsonl")}).out, "100.0 % of the documents stay where they came"));

  const Outcome said = run(run_predict_command, "understudy predict", {path("made"), "--data", path("rows.jsonl"), "--split", "test"});
  EXPECT_EQ(at(said.out.substr(0, said.out.find('\n')), "/rung"), "\"order\"");

  const Outcome shown = run(run_specialists_show_command, "understudy specialists show", {path("made"), "--data", root_.string()});
  ASSERT_EQ(shown.status, kExitDone) << shown.err;
  EXPECT_TRUE(contains(shown.out, "keeps the order that came")) << shown.out;
  const Outcome in_json = run(run_specialists_show_command, "understudy specialists show", {path("made"), "--data", root_.string(), "--json"});
  EXPECT_EQ(at(in_json.out, "/rung"), "\"order\"");
  EXPECT_EQ(at(in_json.out, "/order/kept"), "true");
  EXPECT_NE(at(in_json.out, "/order/at_least"), "");
}

TEST_F(RerankCommands, AnOrderIsLeftAloneOnlyWhereAsked) {
  EXPECT_EQ(train({"--keep-order", "never"}).status, kExitBadInput) << "without --ordered";
  const Outcome trained = train({"--ordered", "--keep-order", "never", "--json"});
  ASSERT_EQ(trained.status, kExitDone) << trained.err;
  EXPECT_FALSE(contains(trained.out, "\"order\":"));
  EXPECT_EQ(at(trained.out, "/schema"), "\"understudy.rerank-folder/2\"");
}

TEST_F(RerankCommands, WhatIsMissingIsSaid) {
  const Outcome on = run(run_train_rerank_command, "understudy train rerank", {"--data", path("rows.jsonl"), "--out", path("made"), "--encoder", path("nowhere")});
  EXPECT_EQ(on.status, kExitBadInput);
  EXPECT_FALSE(fs::exists(path("made")));
  ASSERT_EQ(train().status, kExitDone);
  EXPECT_TRUE(contains(train().err, "exists: name another folder"));
  const Outcome split = run(run_evaluate_command, "understudy evaluate", {path("made"), "--data", path("rows.jsonl"), "--split", "dev"});
  EXPECT_EQ(split.status, kExitBadInput);
  EXPECT_TRUE(contains(split.err, "it has \"test\" (80 rows), \"train\" (160 rows)"));
  const Outcome quantised = run(run_quantize_command, "understudy quantize", {path("made"), "--to", "int8", "--out", path("q")});
  EXPECT_EQ(quantised.status, kExitBadInput);
  EXPECT_TRUE(contains(quantised.err, "there is nothing to quantise"));
}

}  // namespace
}  // namespace understudy::app
