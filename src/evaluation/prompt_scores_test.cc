// What prompts alone tell: kernel ridge by words and by meaning, and the protocols that fall back on it.
#include "evaluation/internal/prompt_scores.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <Eigen/Cholesky>
#include <cmath>

#include "base/random.h"
#include "calibration/metrics.h"
#include "evaluation/text_space.h"
#include "neural/encoder.h"

namespace understudy::evaluation {
namespace {

using internal::PromptScores;
using internal::Rows;

/// The kernel of two points at distance 1 with gamma 2 is 1 / e. (K + I) a = (1, -1) gives a = (1, -1) / (2 - 1 / e).
TEST(KernelRidge, TwoPointsByHand) {
  Eigen::MatrixXd x(2, 1);
  x << 0, 1;
  const Eigen::Vector2d y(4, 2);
  const KernelRidge model = KernelRidge::fit(x, y, 2, 1);
  const double k = std::exp(-1.0);
  EXPECT_NEAR(model.mean, 3, 1e-12);
  EXPECT_NEAR(model.alpha(0), 1 / (2 - k), 1e-12);
  EXPECT_NEAR(model.predict(x)(0), 3 + (1 - k) / (2 - k), 1e-12);
  // The other row alone: (1 + 1) a = -1, so the first is -k / 2 off the mean.
  EXPECT_NEAR(model.left_out(0), 3 - k / 2, 1e-12);
  EXPECT_NEAR(model.left_out(1), 3 + k / 2, 1e-12);
}

TEST(KernelRidge, WhatIsLeftOutIsWhatAFitWithoutItSays) {
  SeededRandom random(5);
  const Eigen::Index n = 25;
  Eigen::MatrixXd x(n, 3);
  Eigen::VectorXd y(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    for (Eigen::Index d = 0; d < 3; ++d) x(i, d) = random.uniform();
    y(i) = random.uniform();
  }
  const KernelRidge model = KernelRidge::fit(x, y, 3, 0.5);
  const auto kernel = [&](Eigen::Index a, Eigen::Index b) { return std::exp(-1.5 * (x.row(a) - x.row(b)).squaredNorm()); };
  for (Eigen::Index out = 0; out < n; ++out) {
    std::vector<Eigen::Index> others;
    for (Eigen::Index i = 0; i < n; ++i) {
      if (i != out) others.push_back(i);
    }
    Eigen::MatrixXd k(n - 1, n - 1);
    Eigen::VectorXd to(n - 1), targets(n - 1);
    for (Eigen::Index a = 0; a < n - 1; ++a) {
      const Eigen::Index row = others[static_cast<std::size_t>(a)];
      for (Eigen::Index b = 0; b < n - 1; ++b) k(a, b) = kernel(row, others[static_cast<std::size_t>(b)]) + (a == b ? 0.5 : 0);
      to(a) = kernel(row, out);
      targets(a) = y(row) - model.mean;
    }
    EXPECT_NEAR(model.left_out(out), model.mean + to.dot(k.llt().solve(targets)), 1e-9);
  }
}

/// Requests about animals and about tools, each word once: no word tells anything of another row.
Outcomes animals_and_tools() {
  const char* words[][2] = {{"dog", "hammer"},     {"cat", "screwdriver"}, {"horse", "wrench"},  {"sheep", "saw"},        {"cow", "drill"},      {"goat", "pliers"},
                            {"rabbit", "chisel"},  {"lion", "spanner"},    {"tiger", "crowbar"}, {"elephant", "mallet"},  {"giraffe", "axe"},    {"zebra", "shovel"},
                            {"monkey", "rake"},    {"gorilla", "hoe"},     {"wolf", "spade"},    {"fox", "pickaxe"},      {"bear", "sander"},    {"deer", "lathe"},
                            {"squirrel", "clamp"}, {"hamster", "vise"},    {"kitten", "toolbox"}, {"puppy", "soldering iron"}, {"pony", "jackhammer"}, {"lamb", "chainsaw"}};
  std::string lines;
  int number = 0;
  for (const auto& pair : words) {
    for (int tool = 0; tool < 2; ++tool) {
      lines += fmt::format("{{\"id\": \"{}\", \"prompt\": \"{}\", \"weak_correct\": {}, \"strong_correct\": true}}\n", number++, pair[tool], tool == 1);
    }
  }
  return *parse_outcomes(lines, "animals and tools");
}

TEST(PromptScores, ByWordsAloneWithoutAnEncoder) {
  const Outcomes o = animals_and_tools();
  const auto scores = PromptScores::create(o.rows, {}, {});
  ASSERT_TRUE(scores) << scores.error().message;
  EXPECT_EQ(scores->encoder(), "off");
  EXPECT_FALSE(scores->by_meaning());
  const Rows fit{0, 1, 2, 3, 4, 5};
  const auto fitted = scores->fit(fit, {1, 0, 1, 0, 1, 0});
  EXPECT_EQ(fitted.method, "text");
  EXPECT_EQ(fitted.all.size(), 48);
  EXPECT_EQ(fitted.fit.size(), 6u);
}

TEST(PromptScores, MeaningTellsWhatWordsCannot) {
  EvalOptions options;
  options.encoder = "auto";
  const Outcomes o = animals_and_tools();
  const auto scores = PromptScores::create(o.rows, options, {});
  ASSERT_TRUE(scores) << scores.error().message;
  if (!scores->by_meaning()) GTEST_SKIP() << scores->encoder();
  Rows fit;
  std::vector<double> gain;
  for (std::size_t i = 0; i < 24; ++i) fit.push_back(i), gain.push_back(i % 2 == 0 ? 1 : 0);
  const auto fitted = scores->fit(fit, gain);
  EXPECT_NE(fitted.method, "text, words");
  std::vector<double> score;
  std::vector<std::uint8_t> animal;
  for (std::size_t i = 24; i < 48; ++i) score.push_back(fitted.all(static_cast<Eigen::Index>(i))), animal.push_back(i % 2 == 0);
  EXPECT_GT(calibration::auroc(score, animal), 0.9);
}

TEST(PromptScores, AnEncoderThatWasNamedMustBeThere) {
  EvalOptions options;
  options.encoder = "/nowhere";
  const auto scores = PromptScores::create(animals_and_tools().rows, options, {});
  ASSERT_FALSE(scores);
  EXPECT_FALSE(scores.error().message.empty());
}

/// Each topic has its own risk; the same topics come again and again.
Outcomes topics(std::size_t n) {
  SeededRandom random(8);
  const char* words[] = {"rivers in spring", "taxes of a company", "music for strings", "stars and planets"};
  const double right[] = {0.99, 0.3, 0.97, 0.5};
  std::string lines;
  for (std::size_t i = 0; i < n; ++i) {
    const auto t = random.below(4);
    lines += fmt::format("{{\"id\": \"{}\", \"prompt\": \"a question about {}, number {}\", \"weak_correct\": {}, \"strong_correct\": true}}\n", i, words[t], random.below(50),
                         random.coin(right[t]));
  }
  return *parse_outcomes(lines, "topics");
}

simdjson::dom::element report_of(const Outcomes& o, const EvalOptions& options, simdjson::dom::parser& parser, std::string& text) {
  const auto report = run_protocol(o, options, {});
  EXPECT_TRUE(report) << report.error().message;
  text = report ? "{" + report->json + "}" : "{}";
  return parser.parse(text);
}

TEST(PromptScores, GuaranteeServesWhatPromptsShowToBeSafe) {
  EvalOptions options;
  options.protocol = "guarantee";
  options.splits = 30;
  simdjson::dom::parser parser;
  std::string text;
  const auto json = report_of(topics(1'500), options, parser, text);
  EXPECT_EQ(std::string_view(json["score"]), "prompts");
  EXPECT_EQ(std::string_view(json["encoder"]), "off");
  EXPECT_GT(double(json["served"]), 0.35) << "two topics of four are safe";
  EXPECT_LE(double(json["violations"]), double(json["violations_tolerated"]));
}

TEST(PromptScores, CalibrationSaysHowSafeAPromptIs) {
  EvalOptions options;
  options.protocol = "calibration";
  simdjson::dom::parser parser;
  std::string text;
  const auto json = report_of(topics(1'500), options, parser, text);
  EXPECT_EQ(std::string_view(json["confidence"]), "prompts");
  EXPECT_LT(double(json["fitted"]["brier"]), 0.75 * double(json["constant"]["brier"]));
  EXPECT_LT(double(json["fitted"]["ece15"]), 0.08);
}

}  // namespace
}  // namespace understudy::evaluation
