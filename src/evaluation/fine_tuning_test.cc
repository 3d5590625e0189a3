// `eval stream --fine-tune`: an encoder that learns the labels as they come. On a tiny model, where libtorch is; else skipped.
#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include <fmt/format.h>

#include "base/random.h"
#include "evaluation/protocols.h"
#include "neural/tiny_model_test_util.h"
#include "trainer/run_trainer.h"

namespace understudy::evaluation {
namespace {

class FineTuned : public ::testing::Test {
 protected:
  void SetUp() override {
    model_ = neural::testing::TinyModel{}.write("eval_fine_tune");
    SeededRandom random(7);
    std::string text;
    for (std::size_t i = 0; i < 120; ++i) {
      const char* const word = kWords[random.below(kWords.size())];
      text += fmt::format("{{\"id\":\"{}\",\"prompt\":\"where is my {}?\",\"strong_answer\":\"about {}\"}}\n", i, word, word);
    }
    auto parsed = parse_outcomes(text, "stream");
    ASSERT_TRUE(parsed) << parsed.error().message;
    outcomes_ = std::move(*parsed);
    options_.protocol = "stream";
    options_.encoder = model_.string();
    options_.fine_tune = true;
    options_.teacher_calls = 40;
  }
  void TearDown() override { std::filesystem::remove_all(model_); }

  static constexpr std::array<const char*, 3> kWords = {"card", "pin", "money"};
  std::filesystem::path model_;
  Outcomes outcomes_;
  EvalOptions options_;
};

TEST_F(FineTuned, LearnsAtTheEndOfTheFirstCallsAndRepeatsItself) {
  if (const auto trainer = trainer::find_trainer(); !trainer) GTEST_SKIP() << trainer.error().message;
  const auto first = run_protocol(outcomes_, options_, {});
  if (!first && first.error().kind == ErrorKind::kUnsupported) GTEST_SKIP() << first.error().message;
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_NE(first->json.find("\"fine_tunings\":1"), std::string::npos) << first->json;
  const auto again = run_protocol(outcomes_, options_, {});
  ASSERT_TRUE(again);
  EXPECT_EQ(first->json, again->json);
}

TEST_F(FineTuned, SaysWhatItNeeds) {
  const auto message = [&] { return run_protocol(outcomes_, options_, {}).error().message; };
  options_.encoder = "off";
  EXPECT_EQ(message(), "--fine-tune needs an encoder to begin with: leave --encoder off out");
  options_.encoder = model_.string();
  options_.teacher_calls.reset();
  EXPECT_EQ(message(), "--fine-tune goes with --teacher-calls");
  if (const auto trainer = trainer::find_trainer(); !trainer) {
    options_.teacher_calls = 40;
    EXPECT_EQ(message(), trainer.error().message);
  }
}

}  // namespace
}  // namespace understudy::evaluation
