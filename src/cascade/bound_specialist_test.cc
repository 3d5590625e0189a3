#include "cascade/bound_specialist.h"

#include <gtest/gtest.h>

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

std::string answer_of_card(const BoundSpecialist& bound) { return bound.answers[read_prediction(bound.specialist->intent->predict("where is my new card")).label]; }

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

TEST(BoundSpecialist, WrongTemplatesAreRefused) {
  EXPECT_NE(refused("the answer").find("has no {label}"), std::string::npos);
  EXPECT_NE(refused("").find("has no {label}"), std::string::npos);
  EXPECT_NE(refused("{label} {confidence}").find("has {confidence}"), std::string::npos);
  EXPECT_NE(refused("{lable}").find("has {lable}"), std::string::npos);
  EXPECT_NE(refused(R"({"intent": {label}})").find("begins as JSON"), std::string::npos) << refused(R"({"intent": {label}})");
}

TEST(BoundSpecialist, TextsOutOfScopeAreTrustedLess) {
  specialists::IntentPrediction prediction;
  prediction.probability = 0.9f;
  prediction.in_scope = 0.5f;
  EXPECT_NEAR(read_prediction(prediction).raw, 0.9, 1e-6);
  prediction.in_scope = 0.01f;
  EXPECT_NEAR(read_prediction(prediction).raw, 0.18, 1e-6);
}

}  // namespace
}  // namespace understudy::cascade
