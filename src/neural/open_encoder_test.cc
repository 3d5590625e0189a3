// What opening an encoder says about folders and runtimes that are not as they should be.
#include <gtest/gtest.h>

#include <cstdlib>

#include "neural/encoder.h"
#include "neural/internal/load_runtime.h"
#include "neural/model_folder.h"
#include "neural/tiny_model_test_util.h"

namespace understudy::neural {
namespace {

using testing::TinyModel;

Error error_of(const std::filesystem::path& folder) {
  const auto opened = open_model_folder(folder);
  return opened ? Error(ErrorKind::kInternal, "opened") : opened.error();
}

void put(const std::filesystem::path& path, std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }

TEST(ModelFolder, IsReadWithItsOptionalFilesAndWithout) {
  const auto path = TinyModel{}.write("folder");
  put(path / "tokenizer_config.json", R"({"do_lower_case": false, "strip_accents": null})");
  put(path / "sentence_bert_config.json", R"({"max_seq_length": 20})");
  const auto with = open_model_folder(path);
  ASSERT_TRUE(with) << with.error().message;
  EXPECT_EQ((*with)->config.max_tokens, 20u);
  EXPECT_FALSE((*with)->config.tokenizer.lowercase);
  EXPECT_FALSE((*with)->config.tokenizer.strip_accents);
  std::filesystem::remove(path / "tokenizer_config.json");
  std::filesystem::remove(path / "sentence_bert_config.json");
  std::filesystem::remove_all(path / "1_Pooling");
  const auto without = open_model_folder(path);
  ASSERT_TRUE(without) << without.error().message;
  EXPECT_EQ((*without)->config.max_tokens, 40u);
  EXPECT_TRUE((*without)->config.tokenizer.lowercase);
  EXPECT_EQ((*without)->config.pooling, Pooling::kMean);
  EXPECT_EQ((*without)->network.layers.size(), 2u);
  // sha256sum of the vocabulary.
  EXPECT_EQ((*without)->tokenizer_sha256.size(), 64u);
  EXPECT_EQ((*without)->tokenizer_sha256, (*with)->tokenizer_sha256);
}

TEST(ModelFolder, SaysWhatIsMissing) {
  EXPECT_EQ(error_of("/nowhere").kind, ErrorKind::kNotFound);
  EXPECT_EQ(error_of("/nowhere").message, "encoder model: /nowhere is no folder");
  for (const char* file : {"config.json", "vocab.txt", "model.safetensors"}) {
    const auto path = TinyModel{}.write("folder");
    std::filesystem::remove(path / file);
    EXPECT_EQ(error_of(path).kind, ErrorKind::kNotFound);
    EXPECT_NE(error_of(path).message.find(std::string("has no ") + file), std::string::npos);
  }
  TinyModel model;
  model.tensor_left_out = "encoder.layer.1.output.dense.bias";
  EXPECT_NE(error_of(model.write("folder")).message.find("has no tensor \"encoder.layer.1.output.dense.bias\""), std::string::npos);
}

TEST(ModelFolder, RefusesWhatItCannotCompute) {
  TinyModel roberta;
  roberta.model_type = "roberta";
  EXPECT_EQ(error_of(roberta.write("folder")).kind, ErrorKind::kUnsupported);
  EXPECT_NE(error_of(roberta.write("folder")).message.find("model_type \"roberta\" cannot be computed; there is: bert"), std::string::npos);
  TinyModel swish;
  swish.activation = "silu";
  EXPECT_NE(error_of(swish.write("folder")).message.find("hidden_act \"silu\""), std::string::npos);
  TinyModel pooling;
  pooling.pooling = "none";
  EXPECT_NE(error_of(pooling.write("folder")).message.find("must be true, and not both"), std::string::npos);
  const auto path = TinyModel{}.write("folder");
  put(path / "1_Pooling" / "config.json", R"({"pooling_mode_max_tokens": true})");
  EXPECT_EQ(error_of(path).kind, ErrorKind::kUnsupported);
  std::filesystem::create_directory(path / "2_Dense");
  EXPECT_NE(error_of(path).message.find("a projection behind the pooling"), std::string::npos);
}

TEST(ModelFolder, RefusesFilesThatDoNotFitTogether) {
  TinyModel wide;
  wide.hidden = 48;
  const auto path = TinyModel{}.write("folder");
  put(path / "model.safetensors", wide.weights());
  EXPECT_NE(error_of(path).message.find("has the shape [24, 48], config.json says [24, 32]"), std::string::npos);
  TinyModel deep;
  deep.layers = 3;
  put(path / "model.safetensors", deep.weights());
  EXPECT_NE(error_of(path).message.find("has more layers than config.json's num_hidden_layers, 2"), std::string::npos);
  TinyModel odd;
  odd.heads = 5;
  EXPECT_NE(error_of(odd.write("folder")).message.find("hidden_size must be a multiple"), std::string::npos);
  TinyModel{}.write("folder");
  put(path / "vocab.txt", std::string(TinyModel::kVocabulary) + "more\n");
  EXPECT_NE(error_of(path).message.find("has 25 pieces, config.json's vocab_size is 24"), std::string::npos);
  put(path / "config.json", "{");
  EXPECT_NE(error_of(path).message.find("config.json: is no JSON object"), std::string::npos);
  put(path / "config.json", "");
  EXPECT_EQ(error_of(path).kind, ErrorKind::kConfig);
}

class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value, 1);
  }
  ~Variable() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST(DefaultEncoderFolder, IsWhatTheVariableNames) {
  const Variable variable("UNDERSTUDY_ENCODER_MODEL", "/somewhere/else");
  EXPECT_EQ(default_encoder_folder().value(), "/somewhere/else");
  const auto opened = open_encoder({});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message, "encoder model: /somewhere/else is no folder");
}

TEST(EncoderRuntime, IsLookedForBesideTheProgramFirst) {
  const Variable unset("UNDERSTUDY_ENCODER_RUNTIME", "");
  const auto candidates = internal::runtime_candidates("/opt/understudy/bin");
  ASSERT_GE(candidates.size(), 2u);
  EXPECT_EQ(candidates[0], "/opt/understudy/bin/libunderstudy_openvino.so");
  EXPECT_EQ(candidates[1], "/opt/understudy/lib/understudy/libunderstudy_openvino.so");
  const Variable named("UNDERSTUDY_ENCODER_RUNTIME", "/my/runtime.so");
  EXPECT_EQ(internal::runtime_candidates("/opt/understudy/bin"), std::vector<std::filesystem::path>{"/my/runtime.so"});
}

// In a process of its own: a runtime that is loaded stays.
TEST(EncoderRuntimeDeathTest, SaysWhyItCannotBeLoaded) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto path = TinyModel{}.write("folder");
  const auto says = [&](const char* runtime, std::string_view expected) {
    const Variable variable("UNDERSTUDY_ENCODER_RUNTIME", runtime);
    EncoderOptions options;
    options.folder = path;
    const auto opened = open_encoder(options);
    if (opened || opened.error().kind != ErrorKind::kUnsupported || opened.error().message.find(expected) == std::string::npos) {
      std::fputs(opened ? "opened" : opened.error().message.c_str(), stderr);
      std::exit(1);
    }
  };
  EXPECT_EXIT(
      {
        says("/nowhere/runtime.so", "there is no encoder runtime (looked for /nowhere/runtime.so): `./dev deps encoder` fetches it");
        put(path / "broken.so", "not a library");
        says((path / "broken.so").c_str(), "the encoder's runtime cannot be loaded");
        says("libm.so.6", "there is no encoder runtime");
        std::exit(0);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace understudy::neural
