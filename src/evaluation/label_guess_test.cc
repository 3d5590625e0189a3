#include "evaluation/label_guess.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/random.h"
#include "evaluation/protocols.h"

namespace understudy::evaluation {
namespace {

constexpr int kClasses = 6;

/// Requests of six kinds, each with words of its own among common ones. The nearest demonstration is of the right kind for six of
/// ten, the next for the others. Variant `one` sees one demonstration and says its label; `two` sees two, and takes the second where
/// it is right, but is wrong in half of the cases where the first is.
std::string file(std::size_t rows, std::uint64_t seed) {
  SeededRandom random(seed);
  std::string out;
  for (std::size_t i = 0; i < rows; ++i) {
    const auto kind = static_cast<int>(random.below(kClasses)), other = (kind + 1 + static_cast<int>(random.below(kClasses - 1))) % kClasses;
    const bool first_right = random.uniform() < 0.6;
    const int first = first_right ? kind : other, second = first_right ? other : kind;
    const bool two_right = first_right ? random.uniform() < 0.5 : true;
    std::string prompt = "please help with";
    for (int k = 0; k < 2; ++k) prompt += fmt::format(" word{}x{}", kind, random.below(5));
    const auto demos = [&](int count) {
      std::string list = fmt::format(R"(["about kind {}",{}])", first, first);
      if (count == 2) list += fmt::format(R"(,["about kind {}",{}])", second, second);
      return "[" + list + "]";
    };
    out += fmt::format(R"({{"id":"r{}","prompt":"{}","gold":{},"variants":{{"one":{{"answer":{},"correct":{},"demos":{}}},"two":{{"answer":{},"correct":{},"demos":{}}}}}}})", i, prompt, kind, first, first_right,
                       demos(1), two_right ? kind : other, two_right, demos(2));
    out += "\n";
  }
  return out;
}

Outcomes read(const std::string& text) {
  auto outcomes = parse_outcomes(text, "synthetic");
  EXPECT_TRUE(outcomes) << outcomes.error().message;
  return std::move(*outcomes);
}

TEST(LabelGuess, IsADistributionThatLearnsWordsAndRanks) {
  const Outcomes outcomes = read(file(400, 1));
  const LabelGuess guess(outcomes.rows);
  ASSERT_EQ(guess.labels().size(), std::size_t{kClasses});
  std::vector<std::size_t> known(200);
  std::iota(known.begin(), known.end(), 0u);
  std::vector<std::optional<std::string>> labels;
  for (const std::size_t i : known) labels.push_back(outcomes.truth[i].gold);
  const auto right = [&](const Eigen::MatrixXd& p, std::size_t from, std::size_t to) {
    double n = 0;
    for (std::size_t i = from; i < to; ++i) {
      Eigen::Index top = 0;
      p.row(static_cast<Eigen::Index>(i)).maxCoeff(&top);
      n += guess.labels()[static_cast<std::size_t>(top)] == outcomes.truth[i].gold;
    }
    return n / static_cast<double>(to - from);
  };
  const Eigen::MatrixXd blind = guess.fit({}, {}), taught = guess.fit(known, labels);
  for (Eigen::Index i = 0; i < taught.rows(); ++i) ASSERT_NEAR(taught.row(i).sum(), 1, 1e-9);
  EXPECT_GT(right(taught, 200, 400), 0.9) << "the words tell";
  EXPECT_GT(right(taught, 200, 400), right(blind, 200, 400) + 0.2);
}

TEST(LabelGuess, JudgesAKnownRowAsIfItWereNot) {
  // No row shares a word with another, and the lists say nothing: only its own label could tell.
  SeededRandom random(3);
  std::string text;
  for (int i = 0; i < 120; ++i) {
    text += fmt::format(R"({{"id":"r{0}","prompt":"qx{0}z{1}","gold":{2},"variants":{{"v":{{"answer":0,"correct":true,"demos":[["one",0],["two",1],["three",2],["four",3]]}}}}}})", i, 7919 * i + 13, random.below(4));
    text += "\n";
  }
  const Outcomes outcomes = read(text);
  const LabelGuess guess(outcomes.rows);
  std::vector<std::size_t> known(outcomes.rows.size());
  std::iota(known.begin(), known.end(), 0u);
  std::vector<std::optional<std::string>> labels;
  for (const Truth& truth : outcomes.truth) labels.push_back(truth.gold);
  const Eigen::MatrixXd p = guess.fit(known, labels);
  int right = 0;
  for (std::size_t i = 0; i < known.size(); ++i) {
    Eigen::Index top = 0;
    p.row(static_cast<Eigen::Index>(i)).maxCoeff(&top);
    right += guess.labels()[static_cast<std::size_t>(top)] == labels[i];
  }
  EXPECT_LT(right, 70) << "of 120; by chance about 30, with its own label all";
}

TEST(LabelGuess, ADemonstrationMayStandForTwoLabels) {
  const Outcomes outcomes = read("{\"id\":\"a\",\"prompt\":\"x\",\"gold\":\"l\",\"variants\":{\"v\":{\"answer\":\"l\",\"correct\":true,\"demos\":[[\"t\",\"l\"]]}}}\n"
                                 "{\"id\":\"b\",\"prompt\":\"y\",\"gold\":\"m\",\"variants\":{\"v\":{\"answer\":\"m\",\"correct\":true,\"demos\":[[\"t\",\"m\"]]}}}\n");
  const LabelGuess guess(outcomes.rows);
  EXPECT_EQ(guess.labels(), (std::vector<std::string>{"l", "m"}));
  EXPECT_NEAR(guess.fit({0}, {std::string("l")}).row(1).sum(), 1, 1e-9);
}

TEST(LabelGuess, ManagesWithoutDemonstrationsOrLabels) {
  const Outcomes outcomes = read(R"({"id":"a","prompt":"x","variants":{"v":{"answer":"1","correct":true,"demos":[]}}})");
  const LabelGuess guess(outcomes.rows);
  EXPECT_TRUE(guess.labels().empty());
  EXPECT_EQ(guess.fit({0}, {std::nullopt}).cols(), 0);
}

TEST(Fewshot, ChoosesPerRowBetterThanAnyOneVariantAndWithoutTheirAnswers) {
  const std::string text = file(600, 2);
  EvalOptions options;
  options.protocol = "fewshot";
  options.fit = "random:200";
  options.seeds = 3;
  std::vector<std::string> picks, blind;
  const auto run_on = [&](const Outcomes& outcomes, std::vector<std::string>& decisions) {
    Sink sink;
    sink.decision = [&](const Decision& d) { decisions.emplace_back(d.decision); };
    auto report = run_fewshot(outcomes, options, sink);
    EXPECT_TRUE(report) << report.error().message;
    return report ? report->json : std::string();
  };
  const std::string json = run_on(read(text), picks);
  const auto number = [&](const std::string& key) { return std::stod(json.substr(json.find("\"" + key + "\":") + key.size() + 3)); };
  EXPECT_GT(number("chosen_accuracy"), number("best_single_policy") + 0.1) << json;
  EXPECT_GT(number("gain_low"), 0.05) << json;
  EXPECT_LE(number("chosen_accuracy"), number("oracle"));
  EXPECT_GT(number("label_guess_accuracy"), 0.9);
  // To look at the answers one would have to call every variant first.
  Outcomes changed = read(text);
  for (Visible& row : changed.rows) {
    for (auto& [name, variant] : row.variants) variant.answer = "another";
  }
  run_on(changed, blind);
  EXPECT_EQ(picks, blind);
}

}  // namespace
}  // namespace understudy::evaluation
