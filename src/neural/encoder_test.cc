#include "neural/encoder.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <thread>

#include "neural/internal/load_runtime.h"
#include "neural/internal/shapes.h"
#include "neural/tiny_model_test_util.h"

namespace understudy::neural {
namespace {

using testing::TinyModel;

std::vector<float> embed(const TextEncoder& encoder, const std::vector<std::string>& texts) {
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<float> vectors(texts.size() * encoder.dimension());
  const auto done = encoder.embed(views, vectors);
  EXPECT_TRUE(done) << done.error().message;
  return vectors;
}

double dot(std::span<const float> a, std::span<const float> b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

double largest_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) most = std::max(most, std::fabs(static_cast<double>(a[i]) - b[i]));
  return most;
}

/// Skips, saying why, where this build has no runtime. Where it has one, nothing is skipped.
#define NEEDS_RUNTIME()                                                 \
  if (const auto runtime = internal::load_runtime(); !runtime) {        \
    ASSERT_EQ(runtime.error().kind, ErrorKind::kUnsupported);           \
    GTEST_SKIP() << runtime.error().message;                            \
  }
#define NEEDS_REAL_MODEL()                                              \
  NEEDS_RUNTIME();                                                      \
  const auto folder = default_encoder_folder();                         \
  if (!folder) GTEST_SKIP() << folder.error().message;

std::unique_ptr<TextEncoder> open(const std::filesystem::path& folder, Precision precision = Precision::kFloat32, int threads = 1, int streams = 1) {
  EncoderOptions options;
  options.folder = folder;
  options.precision = precision;
  options.threads = threads;
  options.streams = streams;
  auto encoder = open_encoder(options);
  EXPECT_TRUE(encoder) << encoder.error().message;
  return std::move(*encoder);
}

const std::vector<std::string> kTexts = {"where is my card?", "", "cards!", "why not transfer my money. a b ab ba", "the pin is lost", "where is my card?",
                                         "my my my my my my my my my my my my my my my my my my my my my my my my my my my my my my my my my my my my"};

TEST(Encoder, GivesUnitVectorsThatDependOnTheTextAlone) {
  NEEDS_RUNTIME();
  for (const Precision precision : {Precision::kFloat32, Precision::kInt8, Precision::kInt8Weights}) {
    const auto encoder = open(TinyModel{}.write("tiny"), precision);
    const auto together = embed(*encoder, kTexts);
    const std::size_t dimension = encoder->dimension();
    ASSERT_EQ(dimension, 32u);
    for (std::size_t i = 0; i < kTexts.size(); ++i) {
      const auto vector = std::span(together).subspan(i * dimension, dimension);
      EXPECT_NEAR(dot(vector, vector), 1, 1e-5);
      EXPECT_LT(largest_difference(vector, embed(*encoder, {kTexts[i]})), 1e-5) << kTexts[i];
    }
    EXPECT_EQ(largest_difference(std::span(together).first(dimension), std::span(together).subspan(5 * dimension, dimension)), 0);
    EXPECT_LT(dot(std::span(together).first(dimension), std::span(together).subspan(4 * dimension, dimension)), 0.999);
    EXPECT_TRUE(embed(*encoder, {}).empty());
  }
}

TEST(Encoder, PoolsByMeanOrFirstTokenOfItsTokenVectors) {
  NEEDS_RUNTIME();
  for (const bool first : {false, true}) {
    TinyModel model;
    model.pooling = first ? "cls" : "mean";
    const auto encoder = open(model.write("tiny_pooling"));
    const Tokens tokens = encoder->tokenizer().encode("where is my card?", 16);
    const auto vectors = encoder->token_vectors(tokens);
    ASSERT_TRUE(vectors) << vectors.error().message;
    const std::size_t dimension = encoder->dimension();
    ASSERT_EQ(vectors->size(), tokens.ids.size() * dimension);
    std::vector<float> pooled(dimension);
    for (std::size_t t = 0; t < (first ? 1 : tokens.ids.size()); ++t)
      for (std::size_t i = 0; i < dimension; ++i) pooled[i] += (*vectors)[t * dimension + i];
    const auto length = static_cast<float>(std::sqrt(dot(pooled, pooled)));
    for (float& value : pooled) value /= length;
    EXPECT_LT(largest_difference(pooled, embed(*encoder, {"where is my card?"})), 1e-5);
  }
}

TEST(Encoder, TellsTheSecondTextOfAPairFromTheFirst) {
  NEEDS_RUNTIME();
  const auto encoder = open(TinyModel{}.write("tiny"));
  Tokens pair = encoder->tokenizer().encode_pair("my card", "the pin", 16);
  const auto as_pair = encoder->token_vectors(pair);
  pair.second = 0;
  const auto as_one = encoder->token_vectors(pair);
  ASSERT_TRUE(as_pair && as_one);
  EXPECT_GT(largest_difference(*as_pair, *as_one), 0.01);
}

TEST(Encoder, RefusesTokensThatTheModelDoesNotHave) {
  NEEDS_RUNTIME();
  const auto encoder = open(TinyModel{}.write("tiny"));
  for (const std::vector<std::int32_t>& ids : {std::vector<std::int32_t>{}, {-1}, {24}, std::vector<std::int32_t>(41, 5)}) {
    const auto vectors = encoder->token_vectors({.ids = ids});
    ASSERT_FALSE(vectors);
    EXPECT_EQ(vectors.error().kind, ErrorKind::kInvalidRequest);
    EXPECT_EQ(vectors.error().message, "an encoder's input has 1 to 40 ids below 24");
  }
  EXPECT_TRUE(encoder->token_vectors({.ids = std::vector<std::int32_t>(40, 5)}));
}

TEST(Encoder, ReadsPrefixedAndShorterWeights) {
  NEEDS_RUNTIME();
  const auto plain = embed(*open(TinyModel{}.write("tiny")), kTexts);
  TinyModel prefixed;
  prefixed.prefix = "bert.";
  EXPECT_EQ(largest_difference(plain, embed(*open(prefixed.write("tiny_prefixed")), kTexts)), 0);
  TinyModel brain;
  brain.type = "BF16";
  const double difference = largest_difference(plain, embed(*open(brain.write("tiny_bf16")), kTexts));
  EXPECT_GT(difference, 0);
  EXPECT_LT(difference, 0.05);
}

TEST(Encoder, ComputesTheActivationThatTheModelNames) {
  NEEDS_RUNTIME();
  TinyModel relu, tanh_gelu;
  relu.activation = "relu";
  tanh_gelu.activation = "gelu_new";
  const auto gelu = embed(*open(TinyModel{}.write("tiny")), kTexts);
  EXPECT_GT(largest_difference(gelu, embed(*open(relu.write("tiny_relu")), kTexts)), 0.01);
  const double difference = largest_difference(gelu, embed(*open(tanh_gelu.write("tiny_tanh")), kTexts));
  EXPECT_GT(difference, 0);
  EXPECT_LT(difference, 0.01);
}

TEST(Encoder, ServesManyCallersAtOnce) {
  NEEDS_RUNTIME();
  const auto encoder = open(TinyModel{}.write("tiny"), Precision::kInt8, 1, 2);
  const auto expected = embed(*encoder, kTexts);
  std::vector<std::thread> callers;
  std::vector<double> differences(4, 1);
  for (std::size_t c = 0; c < differences.size(); ++c)
    callers.emplace_back([&, c] {
      double most = 0;
      for (int i = 0; i < 10; ++i) most = std::max(most, largest_difference(expected, embed(*encoder, kTexts)));
      differences[c] = most;
    });
  for (auto& caller : callers) caller.join();
  for (const double difference : differences) EXPECT_LT(difference, 1e-5);
}

TEST(EncoderIdentity, NamesEverythingThatTheNumbersDependOn) {
  NEEDS_RUNTIME();
  TinyModel other;
  other.pooling = "cls";
  const auto a = open(TinyModel{}.write("tiny"))->identity();
  EXPECT_EQ(a.difference(open(TinyModel{}.write("tiny"))->identity()), "");
  EXPECT_EQ(a.key(), open(TinyModel{}.write("tiny_elsewhere"))->identity().key());
  EXPECT_EQ(a.difference(open(TinyModel{}.write("tiny"), Precision::kInt8)->identity()), "precision fp32 against int8");
  EXPECT_NE(a.difference(open(other.write("tiny_pooling"))->identity()).find("mean"), std::string::npos);
  EXPECT_NE(a.key(), open(other.write("tiny_pooling"))->identity().key());
  EXPECT_EQ(a.instruction_set, instruction_set_name(instruction_set()));
  EXPECT_TRUE(a.runtime.starts_with("openvino-2026."));
  EXPECT_EQ(a.weights_sha256.size(), 64u);
}

// So that what is bound to the instruction set can be tested: the same model without VNNI has another identity.
TEST(EncoderDeathTest, CanBeCappedToAnOlderInstructionSet) {
  NEEDS_RUNTIME();
  if (processor_instruction_set() < InstructionSet::kAvx512Vnni) GTEST_SKIP() << "this processor has nothing that can be left out";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto folder = TinyModel{}.write("tiny");
  const auto file = folder.parent_path() / "understudy_capped_vectors";
  EXPECT_EXIT(
      {
        if (!cap_instruction_set(InstructionSet::kAvx512)) std::exit(1);
        const auto capped = open(folder, Precision::kInt8);
        if (capped->identity().instruction_set != "avx512") std::exit(2);
        const auto vectors = embed(*capped, kTexts);
        std::ofstream(file, std::ios::binary).write(reinterpret_cast<const char*>(vectors.data()), static_cast<std::streamsize>(vectors.size() * sizeof(float)));
        std::exit(0);
      },
      ::testing::ExitedWithCode(0), "");
  const auto encoder = open(folder, Precision::kInt8);
  EXPECT_EQ(encoder->identity().instruction_set, instruction_set_name(processor_instruction_set()));
  const auto full = embed(*encoder, kTexts);
  std::vector<float> capped(full.size());
  std::ifstream(file, std::ios::binary).read(reinterpret_cast<char*>(capped.data()), static_cast<std::streamsize>(capped.size() * sizeof(float)));
  EXPECT_LT(largest_difference(full, capped), 0.02);
  const auto too_late = cap_instruction_set(InstructionSet::kAvx512);
  ASSERT_FALSE(too_late);
  EXPECT_EQ(too_late.error().kind, ErrorKind::kConflict);
}

TEST(EncoderDeathTest, RefusesACapThatWouldCrashIt) {
  NEEDS_RUNTIME();
  if (processor_instruction_set() < InstructionSet::kAvx2) GTEST_SKIP() << "this processor has no wider vectors";
  EXPECT_EQ(cap_instruction_set(InstructionSet::kSse41).error().kind, ErrorKind::kUnsupported);
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto folder = TinyModel{}.write("tiny");
  EXPECT_EXIT(
      {
        setenv("ONEDNN_MAX_CPU_ISA", "SSE41", 1);
        EncoderOptions options;
        options.folder = folder;
        const auto opened = open_encoder(options);
        std::exit(!opened && opened.error().message.starts_with("ONEDNN_MAX_CPU_ISA=SSE41 caps the encoder below") ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(RealEncoder, EqualsTheReference) {
  NEEDS_REAL_MODEL();
  simdjson::dom::parser parser;
  const auto rows = parser.load(UNDERSTUDY_SOURCE_DIR "/src/neural/testdata/vectors.json").get_array();
  const std::pair<Precision, double> least_cosine[] = {{Precision::kFloat32, 1 - 1e-6}, {Precision::kInt8Weights, 0.995}, {Precision::kInt8, 0.97}};
  for (const auto& [precision, least] : least_cosine) {
    const auto encoder = open(*folder, precision);
    for (const auto row : rows) {
      const std::string text(row["text"].get_string().value());
      std::vector<float> expected;
      for (const auto value : row["vector"].get_array()) expected.push_back(static_cast<float>(value.get_double().value()));
      ASSERT_EQ(expected.size(), encoder->dimension());
      EXPECT_EQ(encoder->tokenizer().encode(text, encoder->max_tokens()).ids.size(), row["tokens"].get_uint64().value()) << text;
      const auto vector = embed(*encoder, {text});
      EXPECT_GT(dot(vector, expected), least) << precision_name(precision) << ": " << text;
      if (precision == Precision::kFloat32) {
        EXPECT_LT(largest_difference(vector, expected), 1e-5) << text;
      }
    }
  }
}

TEST(RealEncoder, PutsLikeMeaningsTogether) {
  NEEDS_REAL_MODEL();
  const auto encoder = open(*folder, Precision::kInt8);
  const auto v = embed(*encoder, {"I can't find my bank card", "My debit card has gone missing", "What is the exchange rate for euros?"});
  const std::size_t d = encoder->dimension();
  const auto row = [&](std::size_t i) { return std::span(v).subspan(i * d, d); };
  EXPECT_GT(dot(row(0), row(1)), dot(row(0), row(2)) + 0.3);
}

TEST(Shapes, AreFewAndHoldEveryInputOnce) {
  using internal::padded_length;
  EXPECT_EQ(padded_length(1, 512), 8u);
  EXPECT_EQ(padded_length(8, 512), 8u);
  EXPECT_EQ(padded_length(25, 512), 32u);
  EXPECT_EQ(padded_length(33, 512), 48u);
  EXPECT_EQ(padded_length(49, 512), 64u);
  EXPECT_EQ(padded_length(129, 512), 192u);
  EXPECT_EQ(padded_length(250, 256), 256u);
  EXPECT_EQ(padded_length(257, 300), 300u);
  std::vector<std::size_t> tokens;
  for (std::size_t i = 0; i < 321; ++i) tokens.push_back(2 + i * 7 % 255);
  std::vector<int> seen(tokens.size());
  for (const auto& shape : internal::shapes_for(tokens, 256)) {
    EXPECT_EQ(shape.rows.size() & (shape.rows.size() - 1), 0u);
    EXPECT_LE(shape.rows.size() * shape.length, 1024u);
    for (const std::size_t row : shape.rows) {
      EXPECT_EQ(padded_length(tokens[row], 256), shape.length);
      ++seen[row];
    }
  }
  EXPECT_EQ(std::ranges::count(seen, 1), static_cast<std::ptrdiff_t>(seen.size()));
  EXPECT_TRUE(internal::shapes_for({}, 256).empty());
}

}  // namespace
}  // namespace understudy::neural
