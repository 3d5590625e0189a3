#include "neural/pair_scorer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "neural/internal/load_runtime.h"
#include "neural/safetensors.h"
#include "neural/tiny_model_test_util.h"

namespace understudy::neural {
namespace {

using testing::TinyModel;

#define NEEDS_RUNTIME() \
  if (const auto runtime = internal::load_runtime(); !runtime) GTEST_SKIP() << runtime.error().message;

const std::vector<TextPair> kPairs = {{"where is my card?", "the card is lost."}, {"", "a b"}, {"a b", ""}, {"", ""}, {"where is my card?", "the card is lost."},
                                      {"why", "my my my my my my my my my my my my my my my my my my my my my my"}};

std::filesystem::path model(const std::string& name, std::size_t pair_tokens = 16) {
  TinyModel tiny;
  tiny.pair_tokens = pair_tokens;
  return tiny.write(name);
}

EncoderOptions options(const std::filesystem::path& folder, Precision precision = Precision::kFloat32) {
  EncoderOptions result;
  result.folder = folder;
  result.precision = precision;
  return result;
}

std::vector<float> scores(const PairScorer& scorer, std::span<const TextPair> pairs) {
  std::vector<float> out(pairs.size());
  const auto done = scorer.score(pairs, out);
  EXPECT_TRUE(done) << done.error().message;
  return out;
}

double number(const Safetensors& file, const char* name, std::size_t i = 0) {
  float value = 0;
  std::memcpy(&value, file.find(name)->bytes.data() + 4 * i, 4);
  return static_cast<double>(value);
}

TEST(PairScorer, ComputesItsFormulaFromTheTokensOfBothTexts) {
  NEEDS_RUNTIME();
  const auto folder = model("tiny_pair");
  const auto scorer = open_pair_scorer(options(folder));
  ASSERT_TRUE(scorer) << scorer.error().message;
  EXPECT_EQ((*scorer)->max_tokens(), 16u);
  EXPECT_NE((*scorer)->identity().settings.find("pairs of 16"), std::string::npos);
  const auto said = scores(**scorer, kPairs);
  const auto encoder = open_encoder(options(folder));
  const auto file = Safetensors::open(folder / "model.safetensors");
  ASSERT_TRUE(encoder && file);
  const std::size_t hidden = (*encoder)->dimension();
  for (std::size_t p = 0; p < kPairs.size(); ++p) {
    const Tokens tokens = (*scorer)->tokenizer().encode_pair(kPairs[p].first, kPairs[p].second, 16);
    const auto vectors = (*encoder)->token_vectors(tokens);
    ASSERT_TRUE(vectors);
    double linear = 0, aa = 0, bb = 0, ab = 0;
    for (std::size_t i = 0; i < hidden; ++i) {
      double a = 0, b = 0;
      for (std::size_t t = 0; t < tokens.ids.size(); ++t) (t < tokens.second ? a : b) += static_cast<double>((*vectors)[t * hidden + i]);
      linear += (a + b) / static_cast<double>(tokens.ids.size()) * number(*file, "pair_head.weight", i);
      aa += a * a, bb += b * b, ab += a * b;
    }
    EXPECT_NEAR(said[p], linear + number(*file, "pair_head.bias") + number(*file, "pair_head.cosine") * ab / std::sqrt(aa * bb), 1e-5) << p;
  }
}

TEST(PairScorer, AnInteractionHeadComputesItsFormula) {
  NEEDS_RUNTIME();
  TinyModel tiny;
  tiny.pair_tokens = 16;
  tiny.pair_width = 6;
  const auto folder = tiny.write("tiny_interaction");
  const auto scorer = open_pair_scorer(options(folder));
  ASSERT_TRUE(scorer) << scorer.error().message;
  const auto said = scores(**scorer, kPairs);
  const auto encoder = open_encoder(options(folder));
  const auto file = Safetensors::open(folder / "model.safetensors");
  ASSERT_TRUE(encoder && file);
  const std::size_t hidden = (*encoder)->dimension();
  for (std::size_t p = 0; p < kPairs.size(); ++p) {
    const Tokens tokens = (*scorer)->tokenizer().encode_pair(kPairs[p].first, kPairs[p].second, 16);
    const auto vectors = (*encoder)->token_vectors(tokens);
    ASSERT_TRUE(vectors);
    std::vector<double> x(5 * hidden);
    const auto n = tokens.ids.size();
    for (std::size_t i = 0; i < hidden; ++i) {
      double u = 0, v = 0;
      for (std::size_t t = 0; t < n; ++t) (t < tokens.second ? u : v) += static_cast<double>((*vectors)[t * hidden + i]);
      u /= static_cast<double>(tokens.second), v /= static_cast<double>(n - tokens.second);
      x[i] = static_cast<double>((*vectors)[i]), x[hidden + i] = u, x[2 * hidden + i] = v, x[3 * hidden + i] = std::fabs(u - v), x[4 * hidden + i] = u * v;
    }
    double z = number(*file, "pair_head.bias");
    for (std::size_t j = 0; j < 6; ++j) {
      double inner = number(*file, "pair_head.inner_bias", j);
      for (std::size_t i = 0; i < x.size(); ++i) inner += x[i] * number(*file, "pair_head.inner", i * 6 + j);
      z += number(*file, "pair_head.weight", j) * std::tanh(inner);
    }
    EXPECT_NEAR(said[p], z, 1e-5) << p;
  }
  std::ofstream(folder / "pair_head.json") << R"({"schema":"understudy.pair-head/1","head":"interaction","width":5000,"max_tokens":16})";
  EXPECT_NE(open_pair_scorer(options(folder)).error().message.find("width must be at most 4096"), std::string::npos);
}

TEST(PairScorer, APairsScoreDoesNotDependOnTheOthers) {
  NEEDS_RUNTIME();
  for (const Precision precision : {Precision::kFloat32, Precision::kInt8, Precision::kInt8Weights}) {
    const auto scorer = open_pair_scorer(options(model("tiny_pair"), precision));
    ASSERT_TRUE(scorer) << scorer.error().message;
    const auto together = scores(**scorer, kPairs);
    for (std::size_t i = 0; i < kPairs.size(); ++i) EXPECT_NEAR(together[i], scores(**scorer, std::span(kPairs).subspan(i, 1))[0], 1e-5) << precision_name(precision) << i;
    EXPECT_EQ(together[0], together[4]);
    EXPECT_NE(together[1], together[2]) << "which text is the query matters";
    EXPECT_TRUE(scores(**scorer, {}).empty());
  }
}

TEST(PairScorer, EightBitsAreNearThirtyTwo) {
  NEEDS_RUNTIME();
  const auto folder = model("tiny_pair");
  const auto full = open_pair_scorer(options(folder)), small = open_pair_scorer(options(folder, Precision::kInt8));
  ASSERT_TRUE(full && small);
  const auto a = scores(**full, kPairs), b = scores(**small, kPairs);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 0.1);
}

TEST(PairScorer, RefusesFoldersThatScoreNoPairs) {
  NEEDS_RUNTIME();
  const auto plain = open_pair_scorer(options(model("tiny_pair", 0)));
  ASSERT_FALSE(plain);
  EXPECT_EQ(plain.error().kind, ErrorKind::kInvalidRequest);
  EXPECT_NE(plain.error().message.find("understudy-trainer makes a model that scores pairs"), std::string::npos);
  const auto long_one = open_pair_scorer(options(model("tiny_pair", 41)));
  ASSERT_FALSE(long_one);
  EXPECT_NE(long_one.error().message.find("max_tokens must be 5 to 40"), std::string::npos) << long_one.error().message;
  TinyModel broken;
  broken.pair_tokens = 16;
  broken.tensor_left_out = "pair_head.cosine";
  EXPECT_NE(open_pair_scorer(options(broken.write("tiny_pair"))).error().message.find("has no tensor \"pair_head.cosine\""), std::string::npos);
  const auto other = model("tiny_pair");
  std::ofstream(other / "pair_head.json") << R"({"schema":"understudy.pair-head/1","head":"cls","max_tokens":16})";
  EXPECT_EQ(open_pair_scorer(options(other)).error().kind, ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace understudy::neural
