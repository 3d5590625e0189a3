#include "cascade/bound_specialist.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "specialists/small_specialist_test_util.h"

namespace understudy::cascade {
namespace {

specialists::SpecialistPtr small(const std::string& prefix = "") {
  const auto rows = specialists::parse_intent_rows(specialists::testing::small_rows(20, prefix), "f", {});
  auto made = std::make_shared<specialists::NamedSpecialist>();
  made->name = "intent-v1";
  made->intent = std::make_shared<const specialists::IntentSpecialist>(*specialists::train_intent(*rows, nullptr, {}, {}));
  return made;
}

std::string refused(const std::string& render) {
  const auto bound = bind_specialist(small(), render);
  return bound ? "" : bound.error().message;
}

std::string answer_to(const BoundSpecialist& bound, std::string_view text) { return read_prediction(bound, bound.specialist->intent->predict(text)).answer; }
std::string answer_of_card(const BoundSpecialist& bound) { return answer_to(bound, "where is my new card"); }

/// Of which "card" and "money" may both hold, or neither.
specialists::SpecialistPtr of_several() {
  std::string text;
  for (int i = 0; i < 120; ++i) {
    const bool card = i % 2 == 0, money = i % 3 == 0;
    text += fmt::format(R"({{"text": "{}{}number {}", "labels": [{}{}{}]}})", card ? "my card " : "", money ? "my money " : "", i, card ? R"("card")" : "", card && money ? "," : "",
                        money ? R"("money")" : "") + "\n";
  }
  auto made = std::make_shared<specialists::NamedSpecialist>();
  made->name = "flags-v1";
  made->intent = std::make_shared<const specialists::IntentSpecialist>(*specialists::train_intent(*specialists::parse_intent_rows(text, "f", {}), nullptr, {}, {}));
  return made;
}

TEST(BoundSpecialist, RendersAnswersInTheTemplatesWords) {
  const auto plain = bind_specialist(small(), "{label}");
  ASSERT_TRUE(plain);
  EXPECT_EQ(answer_of_card(**plain), "card");
  EXPECT_FALSE((*plain)->json);
  const auto json = bind_specialist(small(), R"({"intent": "{label}"})");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(answer_of_card(**json), R"({"intent": "card"})");
  EXPECT_TRUE((*json)->json);
  EXPECT_EQ(answer_of_card(**bind_specialist(small(), "Answer: {label} ({label})")), "Answer: card (card)");
  EXPECT_EQ(answer_of_card(**bind_specialist(small(), "[{label}] done")), "[card] done");
}

TEST(BoundSpecialist, EscapesLabelsInsideJson) {
  const auto json = bind_specialist(small(R"(a \"b\" )"), R"({"intent": "{label}"})");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(answer_of_card(**json), R"({"intent": "a \"b\" card"})");
  EXPECT_EQ(answer_of_card(**bind_specialist(small(R"(a \"b\" )"), "{label}")), R"(a "b" card)") << "plain words stay as they are";
  EXPECT_EQ(answer_of_card(**bind_specialist(small("1"), "{label}")), "1card");
}

TEST(BoundSpecialist, SeveralLabelsBecomeAnArray) {
  const auto plain = bind_specialist(of_several(), plain_render(*of_several()));
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_TRUE((*plain)->json);
  EXPECT_EQ(answer_to(**plain, "my card and my money"), R"(["card", "money"])");
  EXPECT_EQ(answer_to(**plain, "number"), "[]");
  const auto object = bind_specialist(of_several(), R"({"flags": {labels}})");
  ASSERT_TRUE(object) << object.error().message;
  EXPECT_TRUE((*object)->json);
  EXPECT_EQ(answer_to(**object, "my card"), R"({"flags": ["card"]})");
  const auto words = bind_specialist(of_several(), "Flags: {labels}.");
  ASSERT_TRUE(words);
  EXPECT_FALSE((*words)->json);
  const auto both = (*plain)->specialist->intent->predict("my card");
  EXPECT_NEAR(read_prediction(**plain, both).raw, both.each[0] * (1 - both.each[1]) * std::min(1.0, both.in_scope / 0.05), 1e-6) << "that all of it is right";

  const auto one = bind_specialist(of_several(), R"({"flag": "{label}"})");
  ASSERT_FALSE(one);
  EXPECT_NE(one.error().message.find("has {label}; only {labels} is filled in (of this specialist several labels may hold"), std::string::npos) << one.error().message;
  const auto quoted = bind_specialist(of_several(), R"({"flags": "{labels}"})");
  ASSERT_FALSE(quoted);
  EXPECT_NE(quoted.error().message.find("begins as JSON"), std::string::npos) << quoted.error().message;
}

TEST(BoundSpecialist, WrongTemplatesAreRefused) {
  EXPECT_NE(refused("the answer").find("has no {label}"), std::string::npos);
  EXPECT_NE(refused("").find("has no {label}"), std::string::npos);
  EXPECT_NE(refused("{label} {confidence}").find("has {confidence}"), std::string::npos);
  EXPECT_NE(refused("{lable}").find("has {lable}"), std::string::npos);
  EXPECT_NE(refused(R"({"intent": {label}})").find("begins as JSON"), std::string::npos) << refused(R"({"intent": {label}})");
}

TEST(BoundSpecialist, TextsOutOfScopeAreTrustedLess) {
  const auto bound = *bind_specialist(small(), "{label}");
  specialists::IntentPrediction prediction;
  prediction.sure = 0.9f;
  prediction.in_scope = 0.5f;
  EXPECT_NEAR(read_prediction(*bound, prediction).raw, 0.9, 1e-6);
  prediction.in_scope = 0.01f;
  EXPECT_NEAR(read_prediction(*bound, prediction).raw, 0.18, 1e-6);
}

}  // namespace
}  // namespace understudy::cascade
