#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>
#include <zlib.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/random.h"
#include "evaluation/eval_command.h"
#include "evaluation/internal/common.h"
#include "evaluation/internal/frontier_maths.h"
#include "evaluation/plot_html.h"
#include "evaluation/protocols.h"
#include "evaluation/text_space.h"

namespace understudy::evaluation {
namespace {

// ---------------------------------------------------------------------------------------------------- reading

TEST(Outcomes, ReadsFieldsAndKeepsOutcomesApart) {
  const auto o = parse_outcomes(
      R"({"id": "a", "task": "t", "prompt": "q", "gold": 3, "weak_answer": "B", "strong_answer": "B", "weak_correct": true, "strong_correct": false, )"
      R"("weak_logprob": -60, "weak_cost_usd": 1e-5, "others": {"m": {"answer": "B", "logprob": -0.1, "correct": true, "cost_usd": 2e-5}, "n": [false, 0.5]}})"
      "\n\n"
      R"({"id": "b", "contaminated": true})"
      "\n",
      "f");
  ASSERT_TRUE(o.has_value()) << o.error().message;
  ASSERT_EQ(o->rows.size(), 1u);
  EXPECT_EQ(o->contaminated, 1u);
  EXPECT_EQ(o->rows[0].weak_logprob, -50.0);
  EXPECT_EQ(*o->truth[0].gold, "3");
  EXPECT_EQ(o->truth[0].peer_correct.at("n"), false);
  EXPECT_NEAR(*o->rows[0].peers.at("n").logprob, std::log(0.5), 1e-12);
  EXPECT_FALSE(o->rows[0].strong_cost_usd.has_value());  // unknown is not zero
}

TEST(Outcomes, IgnoredFieldsAreAsIfNotRecorded) {
  const auto o = parse_outcomes(R"({"id": "a", "weak_prob": 0.5, "others": {"m": {"answer": "B"}}})", "f", {"others", "weak_prob"});
  EXPECT_TRUE(o->rows[0].peers.empty());
  EXPECT_FALSE(o->rows[0].weak_logprob.has_value());
}

TEST(Outcomes, BadLinesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"{\"id\": \"a\"}\n{\"id\": \"a\"}", "line 2: the id \"a\" occurs twice"},
      {"{\"task\": \"x\"}", "line 1: no `id`"},
      {"{\"id\": \"a\", \"weak_logprob\": NaN}", "line 1: NaN or Infinity is not JSON; write null"},
      {"{\"id\": \"a\", \"weak_logprob\": }", "not a JSON object"},
      {"{\"id\": \"a\", \"weak_logprob\": 0.5}", "`weak_logprob` is not a logprob"},
      {"{\"id\": \"a\", \"weak_prob\": 1.5}", "`weak_prob` is not a probability"},
      {"{\"id\": \"a\", \"weak_cost_usd\": -1}", "`weak_cost_usd` is not a cost"},
      {"{\"id\": \"a\", \"weak_correct\": \"maybe\"}", "`weak_correct` is not true or false"},
      {"[1]", "not a JSON object"},
      {"\n\n", "no rows"}};
  for (const auto& [text, want] : cases) {
    const auto o = parse_outcomes(text, "f");
    ASSERT_FALSE(o.has_value()) << text;
    EXPECT_NE(o.error().message.find(want), std::string::npos) << o.error().message;
  }
}

TEST(Outcomes, ACutGzipStreamIsAnError) {
  const auto dir = std::filesystem::temp_directory_path() / ("understudy_eval_test_" + std::to_string(entropy64()));
  std::filesystem::create_directory(dir);
  const std::string path = (dir / "x.jsonl.gz").string();
  SeededRandom random(1);
  const gzFile file = gzopen(path.c_str(), "wb");
  for (int i = 0; i < 5000; ++i) {
    const std::string line = "{\"id\": \"" + std::to_string(random.next()) + "\"}\n";
    gzwrite(file, line.data(), static_cast<unsigned>(line.size()));
  }
  gzclose(file);
  ASSERT_TRUE(read_outcomes(path).has_value());
  EXPECT_EQ(read_outcomes(path)->rows.size(), 5000u);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  const auto cut = read_outcomes(path);
  ASSERT_FALSE(cut.has_value());
  EXPECT_EQ(cut.error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(read_outcomes((dir / "none").string()).error().kind, ErrorKind::kIo);
  std::filesystem::remove_all(dir);
}

TEST(Outcomes, TheExportedLineReadsBack) {
  OutcomeRecord record;
  record.id = "req_1";
  record.task = "intent";
  record.prompt = "Where is\n\"my\" card?";
  record.weak_answer = "lost";
  record.strong_answer = "lost";
  record.weak_logprob = -0.012345678901234567;
  record.weak_cost_usd = 1.5e-6;
  record.coin_probability = 0.1;
  std::string line;
  append_outcome_line(line, record);
  EXPECT_EQ(line.find("strong_cost_usd"), std::string::npos);  // not known, not written
  const auto o = parse_outcomes(line, "export");
  ASSERT_TRUE(o.has_value()) << o.error().message;
  EXPECT_EQ(o->rows[0].prompt, record.prompt);
  EXPECT_EQ(o->rows[0].weak_logprob, record.weak_logprob);
  EXPECT_EQ(*o->truth[0].strong_answer, "lost");
}

// ---------------------------------------------------------------------------------------------------- maths

TEST(FrontierMaths, AreaOfAPerfectAndARandomOrder) {
  // Ten rows, two of which the strong model saves.
  std::vector<double> weak(10, 1), strong(10, 1), perfect(10, 0), tied(10, 0);
  weak[3] = weak[7] = 0;
  perfect[3] = perfect[7] = 1;
  const auto best = internal::summarise(internal::accuracy_curve(perfect, weak, strong));
  EXPECT_NEAR(best.apgr, 0.9, 1e-12);  // rises over the first fifth
  EXPECT_NEAR(best.cpt50, 0.1, 1e-12);
  EXPECT_NEAR(best.cpt95, 0.2, 1e-12);
  const auto chance = internal::summarise(internal::accuracy_curve(tied, weak, strong));
  EXPECT_NEAR(chance.apgr, 0.5, 1e-12);
  EXPECT_NEAR(chance.cpt80, 0.8, 1e-12);
  EXPECT_TRUE(std::isnan(internal::summarise(internal::accuracy_curve(tied, strong, weak)).apgr));
}

TEST(FrontierMaths, CheapestPolicyMatchesBruteForce) {
  SeededRandom random(2);
  for (int round = 0; round < 30; ++round) {
    std::vector<internal::ServedRow> rows(14);
    for (auto& r : rows) {
      r.raw = std::floor(random.uniform() * 8);  // with ties
      r.score = -r.raw;
      r.weak_correct = random.coin(0.6), r.strong_correct = random.coin(0.9);
      r.weak_cost = 1, r.strong_cost = 10;
      r.mid_cost = {2.0};
      r.mid_agrees = {static_cast<char>(random.coin(0.6))};
    }
    double strong = 0;
    for (const auto& r : rows) strong += r.strong_correct / static_cast<double>(rows.size());
    const double target = 0.9 * strong;
    double best = 1e300;
    for (double low = -0.5; low <= 8.5; ++low) {
      for (double high = low; high <= 8.5; ++high) {
        internal::CostPolicy band;
        band.kind = internal::CostPolicy::Kind::kBand;
        band.low = low, band.high = high;
        double cost = 0, correct = 0;
        for (const auto& r : rows) {
          const auto o = internal::serve(band, r);
          cost += o.cost, correct += o.correct / static_cast<double>(rows.size());
        }
        if (correct >= target - 1e-9) best = std::min(best, cost);
      }
    }
    const auto policy = internal::cheapest_policy(rows, target, false, true);
    double cost = 0, correct = 0;
    for (const auto& r : rows) cost += internal::serve(policy, r).cost, correct += internal::serve(policy, r).correct / static_cast<double>(rows.size());
    EXPECT_NEAR(cost, policy.fit_cost, 1e-9);
    EXPECT_NEAR(cost, std::min(best, 14 * 11.0), 1e-9);
    if (policy.kind != internal::CostPolicy::Kind::kStrong) {
      EXPECT_GE(correct, target - 1e-9);
    }
  }
}

TEST(FrontierMaths, APolicyAimsHigherByWhatItsLikeMissOnHeldBackRows) {
  // Scores of pure noise on 200 rows: the cheapest policy that reaches .95 of strong there was lucky. Aiming higher by what
  // such policies miss on held-back rows comes closer on new rows.
  using namespace internal;
  SeededRandom random(31);
  const auto draw = [&](std::size_t n) {
    std::vector<ServedRow> rows(n);
    for (ServedRow& row : rows) {
      row.score = random.uniform();
      row.raw = -row.score;
      row.weak_correct = random.coin(0.7), row.strong_correct = random.coin(0.9);
      row.weak_cost = 0.1, row.strong_cost = 1;
    }
    return rows;
  };
  double plain = 0, validated = 0;
  for (int round = 0; round < 40; ++round) {
    const auto fit = draw(200), fresh = draw(2000);
    double strong = 0, new_strong = 0;
    for (const auto& row : fit) strong += row.strong_correct;
    for (const auto& row : fresh) new_strong += row.strong_correct;
    const CostPolicy a = cheapest_policy(fit, 0.95 * strong / 200, false, false), b = validated_policy(fit, 0.95, false, false, random);
    double kept_a = 0, kept_b = 0;
    for (const auto& row : fresh) kept_a += serve(a, row).correct, kept_b += serve(b, row).correct;
    plain += kept_a / new_strong / 40, validated += kept_b / new_strong / 40;
  }
  EXPECT_LT(plain, 0.949);
  EXPECT_GT(validated, 0.950);
  EXPECT_LT(validated, 0.965);
}

TEST(TextSpace, LatentSemanticsKeepsTheAnglesOfALowRankMatrix) {
  const std::vector<std::string> texts{"red apple pie", "red apple tart", "blue deep sea", "blue deep ocean", "red apple pie sea"};
  const auto matrix = tf_idf(texts, false, 1);
  for (int i = 0; i < matrix.rows(); ++i) EXPECT_NEAR(matrix.row(i).norm(), 1, 1e-12);
  SeededRandom random(3);
  const auto full = latent_semantics(matrix, 5, random);  // all dimensions: cosines are those of the matrix
  const Eigen::MatrixXd exact = Eigen::MatrixXd(matrix * matrix.transpose());
  EXPECT_LT((full * full.transpose() - exact).cwiseAbs().maxCoeff(), 1e-9);
}

TEST(TextSpace, KernelRidgeInterpolatesAsThePenaltyVanishes) {
  Eigen::MatrixXd x(4, 1);
  x << 0, 1, 2, 3;
  Eigen::VectorXd y(4);
  y << 1, -1, 2, 0;
  EXPECT_LT((KernelRidge::fit(x, y, 2, 1e-10).predict(x) - y).cwiseAbs().maxCoeff(), 1e-6);
  EXPECT_LT((KernelRidge::fit(x, y, 2, 1e10).predict(x).array() - 0.5).abs().maxCoeff(), 1e-6);
}

// ---------------------------------------------------------------------------------------------------- protocols

/// A file on which confidence means something (or, `adversarial`, nothing).
std::string synthetic(std::size_t n, std::uint64_t seed, bool adversarial = false) {
  SeededRandom random(seed);
  std::string out;
  const char* topics[] = {"stars", "rivers", "money", "music"};
  for (std::size_t i = 0; i < n; ++i) {
    const double p = 0.25 + 0.75 * std::sqrt(random.uniform());
    const bool weak = random.coin(adversarial ? 0.6 : p), strong = random.coin(0.92);
    const bool mid = random.coin(0.8);
    const int topic = static_cast<int>(random.below(4));
    const int gold = static_cast<int>(random.below(7));
    const auto answer = [&](bool right) { return right ? gold : (gold + 1 + static_cast<int>(random.below(6))) % 7; };
    char line[1500];
    std::snprintf(line, sizeof line,
                  "{\"id\": \"r%zu\", \"task\": \"t\", \"split\": \"%s\", \"prompt\": \"about %s and number %d with %s, item %d\", \"gold\": \"g%d\", "
                  "\"weak_answer\": \"g%d\", \"strong_answer\": \"g%d\", \"weak_correct\": %s, \"strong_correct\": %s, \"weak_logprob\": %.9f, "
                  "\"weak_cost_usd\": 1e-5, \"strong_cost_usd\": 1e-3, \"others\": {\"mid\": {\"answer\": \"g%d\", \"logprob\": -0.2, \"correct\": %s, \"cost_usd\": 1e-4}}, "
                  "\"variants\": {\"a\": {\"answer\": \"g%d\", \"correct\": %s, \"demos\": [[\"x\", \"g%d\"]]}, \"b\": {\"answer\": \"g%d\", \"correct\": %s, \"demos\": []}}}\n",
                  i, i % 4 == 0 ? "calib" : "test", topics[topic], gold, topics[gold % 4], gold, gold, answer(weak), answer(strong), weak ? "true" : "false",
                  strong ? "true" : "false", std::log(p), answer(mid), mid ? "true" : "false", answer(weak), weak ? "true" : "false", gold, answer(mid), mid ? "true" : "false");
    out += line;
  }
  return out;
}

std::string judge_file(std::size_t n, std::uint64_t seed) {
  SeededRandom random(seed);
  std::string out;
  for (std::size_t i = 0; i < n; ++i) {
    const int gold = 1 + static_cast<int>(random.below(2));
    const auto probs = [&](double skill) {
      const double sure = 0.5 + 0.5 * random.uniform();
      const bool right = random.coin(0.5 + skill * (sure - 0.5));
      const double first = (gold == 1) == right ? sure : 1 - sure;
      return "[" + std::to_string(first) + ", " + std::to_string(1 - first) + "]";
    };
    out += "{\"id\": \"j" + std::to_string(i) + "\", \"gold\": \"" + std::to_string(gold) + "\", \"output_1\": \"" + std::string(1 + random.below(40), 'x') +
           "\", \"output_2\": \"yyy\", \"weak_probs\": " + probs(0.6) + ", \"mid_probs\": " + probs(0.8) + ", \"strong_probs\": " + probs(0.95) + "}\n";
  }
  return out;
}

struct Measured {
  std::vector<std::string> decisions;
  simdjson::dom::parser parser;
  simdjson::dom::element json;
  std::string text;
};

void run(Measured& out, const Outcomes& outcomes, EvalOptions options) {
  Sink sink;
  sink.decision = [&](const Decision& d) {
    const auto show = [](const std::optional<double>& v) { return v ? std::to_string(*v) : std::string("null"); };
    out.decisions.push_back(std::to_string(d.seed) + " " + std::string(d.id) + " " + show(d.confidence) + " " + show(d.p_gain) + " " + std::string(d.decision) + " " + show(d.threshold));
  };
  const auto report = run_protocol(outcomes, options, sink);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  out.text = "{" + report->json + "}";
  ASSERT_EQ(out.parser.parse(out.text).get(out.json), simdjson::SUCCESS) << out.text;
}

/// Replaces every outcome of the given rows by another row's, or flips it.
void scramble(Outcomes& outcomes, const std::vector<std::size_t>& rows, bool strong_answer) {
  for (const std::size_t i : rows) {
    Truth& t = outcomes.truth[i];
    if (t.weak_correct) t.weak_correct = !*t.weak_correct;
    if (t.strong_correct) t.strong_correct = !*t.strong_correct;
    if (t.gold) t.gold = *t.gold == "1" ? "2" : *t.gold == "2" ? "1" : "other";
    if (strong_answer) t.strong_answer = "other";
    for (auto& [model, correct] : t.peer_correct) correct = !correct;
    for (auto& [name, correct] : t.variant_correct) correct = !correct;
  }
}

/// Rows that were scored as test rows in a run with one seed.
std::vector<std::size_t> test_rows(const Outcomes& outcomes, const Measured& r) {
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < outcomes.rows.size(); ++i) {
    const std::string needle = " " + outcomes.rows[i].id + " ";
    for (const std::string& d : r.decisions) {
      if (d.find(needle) != std::string::npos) {
        rows.push_back(i);
        break;
      }
    }
  }
  return rows;
}

TEST(NoPeeking, ShufflingTheOutcomesOfTestRowsChangesNoDecision) {
  const auto plain = parse_outcomes(synthetic(800, 4), "synthetic");
  const auto judge = parse_outcomes(judge_file(400, 5), "judge");
  ASSERT_TRUE(plain && judge);
  struct Case {
    const char* protocol;
    const char* bad;
    bool approximate;
    Use use;
  };
  for (const Case& c : {Case{"frontier", "", false, Use::kAll}, Case{"frontier", "", false, Use::kQuery}, Case{"frontier", "", false, Use::kAnswer},
                        Case{"guarantee", "worse", false, Use::kAll}, Case{"guarantee", "disagree", true, Use::kAll}, Case{"guarantee", "disagree", false, Use::kAnswer},
                        Case{"calibration", "", false, Use::kAll}, Case{"calibration", "", false, Use::kQuery}, Case{"judge", "", false, Use::kAll}, Case{"judge", "", true, Use::kAll},
                        Case{"fewshot", "", false, Use::kAll}}) {
    SCOPED_TRACE(std::string(c.protocol) + " " + c.bad);
    EvalOptions options;
    options.protocol = c.protocol;
    options.use = c.use;
    options.bad = c.bad;
    options.approximate = c.approximate;
    options.seeds = options.splits = options.draws = 1;
    if (options.protocol == std::string("judge")) options.calibration = 200;
    const Outcomes& source = options.protocol == std::string("judge") ? *judge : *plain;
    Measured before, after;
    run(before, source, options);
    ASSERT_FALSE(before.decisions.empty());
    Outcomes scrambled = source;
    const auto rows = test_rows(source, before);
    ASSERT_LT(rows.size(), source.rows.size());
    scramble(scrambled, rows, true);
    run(after, scrambled, options);
    EXPECT_EQ(before.decisions, after.decisions);
    EXPECT_NE(before.text, after.text);  // the figures did change: the shuffle was real
  }
}

TEST(NoPeeking, TheStreamSeesTheTeacherOnlyWhereItAsked) {
  const auto source = parse_outcomes(synthetic(900, 6), "synthetic");
  for (const bool by_promise : {false, true}) {
    EvalOptions options;
    options.protocol = "stream";
    if (!by_promise) options.teacher_calls = 300;
    options.alpha = 0.3;
    Measured before, after;
    run(before, *source, options);
    std::vector<std::size_t> not_asked, all;
    for (std::size_t i = 0; i < source->rows.size(); ++i) {
      all.push_back(i);
      if (before.decisions[i].find(" student ") != std::string::npos) not_asked.push_back(i);
    }
    if (!by_promise) {
      ASSERT_GT(not_asked.size(), 400u);
    }
    Outcomes scrambled = *source;
    scramble(scrambled, all, false);       // correctness and gold of every row
    scramble(scrambled, not_asked, true);  // the teacher's answer where it was not asked
    run(after, scrambled, options);
    EXPECT_EQ(before.decisions, after.decisions);
  }
}

TEST(Guarantee, WorthlessConfidenceServesNothing) {
  const auto o = parse_outcomes(synthetic(1200, 7, true), "adversarial");
  EvalOptions options;
  options.protocol = "guarantee";
  options.use = Use::kAnswer;
  options.bad = "worse";
  options.splits = 100;
  Measured r;
  run(r, *o, options);
  EXPECT_EQ(double(r.json["abstained"]), 1.0);
  EXPECT_EQ(double(r.json["served"]), 0.0);
  EXPECT_EQ(double(r.json["violations"]), 0.0);
}

/// Rows of a gateway's log: no correctness, a teacher's answer where it was asked.
std::string gateway_log(std::size_t n, bool coins) {
  SeededRandom random(41);
  std::string out;
  for (std::size_t i = 0; i < n; ++i) {
    const double p = 0.3 + 0.7 * random.uniform();
    const bool same = random.coin(p), coin = random.coin(0.5);
    const bool asked = coin || p < 0.6;
    out += fmt::format("{{\"id\": \"r{}\", \"weak_answer\": \"a\", \"weak_logprob\": {}, \"weak_cost_usd\": 1e-5, {}\"coin\": {}}}\n", i, std::log(p),
                       asked ? fmt::format("\"strong_answer\": \"{}\", \"strong_cost_usd\": 1e-3, ", same ? "a" : "b") : "", coins && coin);
  }
  return out;
}

TEST(GatewayLog, OnlySpotChecksJudge) {
  const auto o = parse_outcomes(gateway_log(1000, true), "log");
  ASSERT_TRUE(o.has_value()) << o.error().message;
  std::size_t coins = 0, escalated = 0;
  for (std::size_t i = 0; i < o->rows.size(); ++i) {
    coins += *o->rows[i].coin;
    escalated += !*o->rows[i].coin && o->truth[i].strong_answer;
  }
  EvalOptions options;
  options.bad = "disagree";
  options.splits = 5;
  for (const char* protocol : {"guarantee", "frontier", "calibration"}) {
    options.protocol = protocol;
    Measured r;
    run(r, *o, options);
    if (std::string_view(protocol) == "guarantee") {
      EXPECT_EQ(std::uint64_t(r.json["labelled_rows"]), coins);
      EXPECT_EQ(std::uint64_t(r.json["escalated_rows_left_out"]), escalated);
    } else {
      EXPECT_EQ(std::string_view(r.json["reference"]), "strong");
    }
  }
  // Without a spot check nothing can be judged, and the message says why.
  options.protocol = "guarantee";
  const auto none = run_protocol(*parse_outcomes(gateway_log(1000, false), "log"), options, {});
  ASSERT_FALSE(none.has_value());
  EXPECT_NE(none.error().message.find("because they were unsure"), std::string::npos) << none.error().message;
}

TEST(Guarantee, DecisionsRecomputeTheFigures) {
  const auto o = parse_outcomes(synthetic(1500, 8), "synthetic");
  EvalOptions options;
  options.protocol = "guarantee";
  options.bad = "worse";
  options.use = Use::kAnswer;
  options.splits = 20;
  Measured r;
  run(r, *o, options);
  double served = 0;
  for (const std::string& d : r.decisions) served += d.find(" weak ") != std::string::npos;
  EXPECT_NEAR(served / static_cast<double>(r.decisions.size()), double(r.json["served"]), 1e-9);
  EXPECT_GT(double(r.json["served"]), 0.05);
}

TEST(Protocols, NameTheFieldThatIsMissing) {
  const auto o = parse_outcomes("{\"id\": \"a\", \"prompt\": \"x\"}\n{\"id\": \"b\"}\n", "bare");
  for (const char* protocol : {"frontier", "guarantee", "calibration", "stream", "judge", "fewshot"}) {
    EvalOptions options;
    options.protocol = protocol;
    const auto report = run_protocol(*o, options, {});
    ASSERT_FALSE(report.has_value()) << protocol;
    EXPECT_NE(report.error().message.find("bare: this protocol needs"), std::string::npos) << report.error().message;
  }
}

// ---------------------------------------------------------------------------------------------------- command

class Command : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / ("understudy_eval_test_" + std::to_string(entropy64()));
    std::filesystem::create_directory(dir_);
    file_ = (dir_ / "x.jsonl").string();
    std::ofstream(file_) << synthetic(600, 9);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  int call(std::vector<std::string> arguments) {
    const std::string out = (dir_ / "out").string(), err = (dir_ / "err").string();
    std::FILE* o = std::fopen(out.c_str(), "w");
    std::FILE* e = std::fopen(err.c_str(), "w");
    const int rc = run_eval_command(arguments, o, e);
    std::fclose(o);
    std::fclose(e);
    out_ = read(out), err_ = read(err);
    return rc;
  }
  static std::string read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::filesystem::path dir_;
  std::string file_, out_, err_;
};

TEST_F(Command, PrintsOneJsonObjectAndWritesDecisionsAndPlot) {
  const std::string decisions = (dir_ / "d.jsonl").string(), plot = (dir_ / "p.html").string();
  ASSERT_EQ(call({"frontier", file_, "--json", "--fit", "random:200", "--seeds", "2", "--decisions", decisions, "--plot", plot}), 0) << err_;
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  ASSERT_EQ(parser.parse(out_).get(root), simdjson::SUCCESS) << out_;
  EXPECT_EQ(std::string_view(root["schema"]), "understudy.eval/1");
  for (const char* key : {"rows", "seed", "fit_rows", "test_rows", "weak_accuracy", "strong_accuracy", "apgr", "cpt50", "cpt80", "cpt95", "auroc", "cost_at_95",
                          "cost_at_99", "accuracy_at_99"}) {
    EXPECT_TRUE(root[key].is_number()) << key;
  }
  EXPECT_EQ(simdjson::dom::array(root["per_seed"]).size(), 2u);
  const std::string lines = read(decisions);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 800);
  for (const char* key : {"\"seed\":", "\"id\":", "\"confidence\":", "\"p_gain\":", "\"decision\":", "\"threshold\":"}) {
    EXPECT_NE(lines.substr(0, lines.find('\n')).find(key), std::string::npos) << key;
  }
  EXPECT_NE(read(plot).find("<polyline"), std::string::npos);
}

TEST_F(Command, ExitsTwoWithASentenceForBadUsage) {
  const std::vector<std::vector<std::string>> bad{{},
                                                  {"frontier"},
                                                  {"oracle", file_},
                                                  {"frontier", file_ + ".missing"},
                                                  {"guarantee", file_, "--alpha", "1.5"},
                                                  {"guarantee", file_, "--delta", "0"},
                                                  {"frontier", file_, "--fit", "random:600"},
                                                  {"frontier", file_, "--fit", "sometimes"},
                                                  {"frontier", file_, "--use", "everything"},
                                                  {"stream", file_, "--teacher-calls", "601"},
                                                  {"frontier", file_, "--use", "query", "--encoder", dir_.string()},
                                                  {"judge", file_, "--target", "1"},
                                                  {"guarantee", file_, "--splits", "0"},
                                                  {"guarantee", file_, "--alpha", "nan"},
                                                  {"guarantee", dir_.string()},
                                                  {"frontier", file_, "--seed", "-3"},
                                                  {"calibration", file_, "--labels", "-1"}};
  for (const auto& arguments : bad) {
    EXPECT_EQ(call(arguments), 2) << (arguments.empty() ? "" : arguments.back());
    EXPECT_EQ(err_.find("understudy eval: "), 0u) << err_;
    EXPECT_TRUE(out_.empty());
  }
}

TEST_F(Command, TheSameSeedGivesTheSameBytes) {
  ASSERT_EQ(call({"guarantee", file_, "--json", "--splits", "5"}), 0);
  const std::string first = out_;
  ASSERT_EQ(call({"guarantee", file_, "--json", "--splits", "5"}), 0);
  EXPECT_EQ(first, out_);
  ASSERT_EQ(call({"guarantee", file_, "--json", "--splits", "5", "--seed", "2"}), 0);
  EXPECT_NE(first, out_);
}

TEST(Stream, KeepsItsPromiseAndServesWhereTheTextTells) {
  // Sixty kinds of message that one word tells apart, a teacher that names the kind, and one message in 25 that nobody can
  // foresee.
  SeededRandom random(51);
  std::string text;
  for (std::size_t i = 0; i < 5000; ++i) {
    const auto kind = random.below(60);
    const auto said = random.coin(0.04) ? random.below(60) : kind;
    text += fmt::format("{{\"id\": \"s{}\", \"prompt\": \"please help with word{} today number {}\", \"strong_answer\": \"k{}\"}}\n", i, kind, random.below(1000), said);
  }
  const auto o = parse_outcomes(text, "stream");
  int broken = 0;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    EvalOptions options;
    options.protocol = "stream";
    options.alpha = 0.08;
    options.alpha_given = true;
    options.seed = seed;
    Measured r;
    run(r, *o, options);
    ASSERT_TRUE(r.json["first_served"].is_number()) << r.text;
    EXPECT_LT(std::uint64_t(r.json["first_served"]), 2500u);
    EXPECT_LT(std::uint64_t(r.json["teacher_calls"]), 3000u);
    broken += bool(r.json["broken"]);
  }
  EXPECT_EQ(broken, 0);
}

TEST(Plots, EscapeNames) {
  const Plot plot{"<b>", "x", "y", {{"a&b", {{0, 0}, {1, std::nan("")}}}}};
  const std::string html = plots_as_html("<i>", {&plot, 1});
  EXPECT_EQ(html.find("<b>"), std::string::npos);
  EXPECT_EQ(html.find("<i>"), std::string::npos);
  EXPECT_NE(html.find("a&amp;b"), std::string::npos);
}

// ---------------------------------------------------------------------------------------------------- real files

TEST(RealAnswers, ViolationsStayWithinDeltaOnEverySet) {
  const char* shared = std::getenv("UNDERSTUDY_SHARED");
  const std::string dir = (shared != nullptr ? std::string(shared) : std::string(UNDERSTUDY_SOURCE_DIR) + "/../shared") + "/data/replay/";
  if (!std::filesystem::exists(dir)) GTEST_SKIP() << dir << " is absent";
  for (const char* name : {"chain_mmlu_llama", "chain_mmlu_qwen_oai", "chain_triviaqa_llama", "chain_triviaqa_qwen_oai", "chain_gsm8k_llama", "chain_gsm8k_qwen_oai",
                           "msp_arc", "mot_date_gpt35"}) {
    const auto o = read_outcomes(dir + name + ".jsonl.gz");
    ASSERT_TRUE(o.has_value()) << o.error().message;
    for (const Use use : {Use::kAnswer, Use::kAll}) {
      EvalOptions options;
      options.protocol = "guarantee";
      options.use = use;
      Measured r;
      run(r, *o, options);
      EXPECT_LE(double(r.json["violations"]), double(r.json["violations_tolerated"])) << name;
    }
  }
}

}  // namespace
}  // namespace understudy::evaluation
