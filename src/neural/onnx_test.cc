// An encoder whose weights are an ONNX file, against the same weights as safetensors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "neural/encoder.h"
#include "neural/internal/load_runtime.h"
#include "neural/model_folder.h"
#include "neural/onnx_test_util.h"
#include "neural/tiny_model_test_util.h"

namespace understudy::neural {
namespace {

namespace fs = std::filesystem;
using testing::OnnxWriter;
using testing::TinyModel;

#define NEEDS_RUNTIME()                                                 \
  if (const auto runtime = internal::load_runtime(); !runtime) {        \
    ASSERT_EQ(runtime.error().kind, ErrorKind::kUnsupported);           \
    GTEST_SKIP() << runtime.error().message;                            \
  }

const std::vector<std::string_view> kTexts = {"where is my card?", "", "cards!", "why not transfer my money. a b ab ba", "the pin is lost"};

void put(const fs::path& path, std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::string onnx_of(const TinyModel& model, bool types = true) {
  const std::string bytes = model.weights();
  return OnnxWriter::write(*Safetensors::parse(bytes, "tiny"), {model.hidden, model.heads, model.layers, 1e-12f, types});
}

/// The folder, with model.onnx in the place of model.safetensors.
fs::path write_onnx(const TinyModel& model, const std::string& name, const std::string& onnx) {
  const fs::path folder = model.write(name);
  fs::remove(folder / "model.safetensors");
  put(folder / "model.onnx", onnx);
  return folder;
}

std::vector<float> vectors_of(const fs::path& folder, Precision precision, std::span<const std::string_view> texts = kTexts) {
  EncoderOptions options;
  options.folder = folder;
  options.precision = precision;
  const auto encoder = open_encoder(options);
  EXPECT_TRUE(encoder) << (encoder ? "" : encoder.error().message);
  if (!encoder) return {};
  std::vector<float> vectors(texts.size() * (*encoder)->dimension());
  EXPECT_TRUE((*encoder)->embed(texts, vectors));
  return vectors;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size() || a.empty()) return 2;
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::fabs(double{a[i]} - b[i]));
  return most;
}

std::string refused(const fs::path& folder, ErrorKind kind = ErrorKind::kCorrupt) {
  EncoderOptions options;
  options.folder = folder;
  const auto encoder = open_encoder(options);
  if (encoder) return "opened";
  EXPECT_EQ(encoder.error().kind, kind) << encoder.error().message;
  return encoder.error().message;
}

TEST(OnnxEncoder, EqualsTheSameWeightsAsSafetensors) {
  NEEDS_RUNTIME();
  for (const char* pooling : {"mean", "cls"}) {
    TinyModel model;
    model.pooling = pooling;
    for (const auto& [precision, tolerance] : {std::pair(Precision::kFloat32, 1e-5), {Precision::kInt8Weights, 1e-4}, {Precision::kInt8, 0.02}}) {
      EXPECT_LT(largest_difference(vectors_of(write_onnx(model, "onnx", onnx_of(model)), precision), vectors_of(model.write("tiny"), precision)), tolerance)
          << pooling << " " << precision_name(precision);
    }
  }
}

TEST(OnnxEncoder, TheRealModelsVectorsAreTheSameToo) {
  NEEDS_RUNTIME();
  const auto real = default_encoder_folder();
  if (!real) GTEST_SKIP() << real.error().message;
  const auto weights = Safetensors::open(*real / "model.safetensors");
  ASSERT_TRUE(weights) << weights.error().message;
  const fs::path folder = TinyModel{}.write("onnx_real");
  for (const char* file : {"config.json", "vocab.txt", "tokenizer_config.json", "sentence_bert_config.json", "1_Pooling/config.json"}) {
    fs::copy_file(*real / file, folder / file, fs::copy_options::overwrite_existing);
  }
  fs::remove(folder / "model.safetensors");
  fs::create_directory(folder / "onnx");
  put(folder / "onnx/model.onnx", OnnxWriter::write(*weights, {384, 12, 6, 1e-12f, true}));
  for (const auto& [precision, tolerance] : {std::pair(Precision::kFloat32, 1e-5), {Precision::kInt8, 0.03}}) {
    EXPECT_LT(largest_difference(vectors_of(folder, precision), vectors_of(*real, precision)), tolerance) << precision_name(precision);
  }
  fs::remove_all(folder);
}

TEST(OnnxEncoder, SomeExportsTakeNoTypesOfTokens) {
  NEEDS_RUNTIME();
  const TinyModel model;
  EXPECT_LT(largest_difference(vectors_of(write_onnx(model, "onnx", onnx_of(model, false)), Precision::kFloat32), vectors_of(model.write("tiny"), Precision::kFloat32)), 1e-5);
}

TEST(OnnxEncoder, ItsIdentityIsThatOfItsFile) {
  NEEDS_RUNTIME();
  const TinyModel model;
  const auto identity = [](const fs::path& folder) {
    EncoderOptions options;
    options.folder = folder;
    return (*open_encoder(options))->identity();
  };
  const auto onnx = identity(write_onnx(model, "onnx", onnx_of(model))), other = identity(model.write("tiny"));
  EXPECT_NE(onnx.weights_sha256, other.weights_sha256);
  EXPECT_EQ(onnx.tokenizer_sha256, other.tokenizer_sha256);
  EXPECT_EQ(onnx.settings, other.settings);
}

TEST(OnnxEncoder, WhatIsNoEncoderOfTheseSizesIsRefused) {
  NEEDS_RUNTIME();
  const TinyModel model;
  const std::string good = onnx_of(model);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{40}, good.size() / 2, good.size() - 1}) {
    const std::string says = refused(write_onnx(model, "onnx", good.substr(0, size)));
    EXPECT_NE(says.find("model.onnx"), std::string::npos) << size << ": " << says;
  }
  std::string noise(5000, '\0');
  for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<char>(i * 131 ^ i >> 3);
  EXPECT_NE(refused(write_onnx(model, "onnx", noise)).find("model.onnx"), std::string::npos);

  TinyModel wide;
  wide.hidden = 48;
  const std::string width = refused(write_onnx(model, "onnx", onnx_of(wide)));
  EXPECT_NE(width.find("gives vectors of 48 numbers, and config.json's hidden_size is 32"), std::string::npos) << width;
  std::string renamed = good;
  for (std::size_t at = 0; (at = renamed.find("attention_mask", at)) != std::string::npos;) renamed.replace(at, 14, "attention_mesh");
  const std::string input = refused(write_onnx(model, "onnx", renamed));
  EXPECT_NE(input.find("has the input \"attention_mesh\""), std::string::npos) << input;
}

TEST(OnnxFolder, WeightsBesideTheFileAreRefused) {
  const fs::path folder = write_onnx(TinyModel{}, "onnx", "x");
  put(folder / "model.onnx_data", "y");
  const auto opened = open_model_folder(folder);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::kUnsupported);
  EXPECT_NE(opened.error().message.find("export the model to one file"), std::string::npos);
}

TEST(ModelFolder, TheVocabularyMayBeThatOfTokenizerJson) {
  const fs::path folder = TinyModel{}.write("folder");
  const auto by_text = open_model_folder(folder);
  std::string pieces;
  int id = 0;
  std::string_view rest = TinyModel::kVocabulary;
  for (std::size_t end; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1)) {
    pieces = fmt::format(R"("{}":{}{}{})", rest.substr(0, end), id, pieces.empty() ? "" : ",", pieces);
    ++id;
  }
  fs::remove(folder / "vocab.txt");
  put(folder / "tokenizer.json", fmt::format(R"({{"model":{{"type":"WordPiece","vocab":{{{}}}}}}})", pieces));
  const auto by_json = open_model_folder(folder);
  ASSERT_TRUE(by_text && by_json) << by_json.error().message;
  EXPECT_EQ((*by_json)->tokenizer.encode("where is my card?", 16).ids, (*by_text)->tokenizer.encode("where is my card?", 16).ids);
  for (const auto& [json, what] : {std::pair("{", "is no JSON"), {R"({"model":{"type":"BPE"}})", "no WordPiece"}, {R"({"model":{"type":"WordPiece"}})", "has no vocabulary"},
                                   {R"({"model":{"type":"WordPiece","vocab":{"a":0,"b":2}}})", "must be 0 to 1, each once"}}) {
    put(folder / "tokenizer.json", json);
    const auto broken = open_model_folder(folder);
    ASSERT_FALSE(broken);
    EXPECT_NE(broken.error().message.find(what), std::string::npos) << broken.error().message;
  }
}

}  // namespace
}  // namespace understudy::neural
