#include "calibration/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "calibration/internal/compare_ranking.h"
#include "calibration/internal/compare_score.h"

namespace understudy::calibration {
namespace {

ComparatorSpec with(Comparator comparator) {
  ComparatorSpec spec;
  spec.comparator = comparator;
  return spec;
}

TEST(Compare, ExactIsBytes) {
  EXPECT_TRUE(agrees(with(Comparator::kExact), "Paris", "Paris"));
  EXPECT_FALSE(agrees(with(Comparator::kExact), "Paris", "Paris "));
}

TEST(Compare, TextForgivesCaseSpacesAndClosingMarksOnly) {
  const auto spec = with(Comparator::kText);
  EXPECT_TRUE(agrees(spec, "  **The refund\n was  sent.**", "the refund was sent"));
  EXPECT_FALSE(agrees(spec, "the refund was sent", "the refund was not sent"));
  EXPECT_FALSE(agrees(spec, "a refund", "refund"));
  EXPECT_FALSE(agrees(spec, "don't", "dont"));
}

TEST(Compare, ChoiceReadsTheLabel) {
  const auto spec = with(Comparator::kChoice);
  for (const char* b : {"B", "b.", "(B)", "B) Paris", "(B) Paris", "Answer: B", "The answer is **B**.", "B. Paris"}) {
    EXPECT_TRUE(agrees(spec, b, "B")) << b;
    EXPECT_FALSE(agrees(spec, b, "C")) << b;
  }
  EXPECT_TRUE(agrees(spec, "\"lost_card\"", "Lost_Card"));
  EXPECT_FALSE(agrees(spec, "lost_card", "lost card"));
}

TEST(Compare, ChoiceWithAClosedSetFindsTheOneNamed) {
  ComparatorSpec spec = *parse_comparator("choice:yes|no|not sure");
  EXPECT_TRUE(agrees(spec, "Yes, it is supported by the text", "yes"));
  EXPECT_FALSE(agrees(spec, "yes and no", "yes"));  // names two
  EXPECT_FALSE(agrees(spec, "nothing", "no"));      // not a whole word
}

TEST(Compare, NumberReadsTheWholeAnswerOrTheMarkedOne) {
  EXPECT_DOUBLE_EQ(read_number("$1,234.50")->value, 1234.5);
  EXPECT_DOUBLE_EQ(read_number("-3e2")->value, -300);
  EXPECT_DOUBLE_EQ(read_number("12 eggs + 3 = 15, so 15 #### 18")->value, 18);
  EXPECT_DOUBLE_EQ(read_number("thus \\boxed{42}. Check: 6 * 7 = 42, not 41")->value, 42);
  EXPECT_DOUBLE_EQ(read_number("She pays 3 and then 7.")->value, 7);
  EXPECT_DOUBLE_EQ(read_number("1,2")->value, 2);
  EXPECT_TRUE(read_number("35%")->percent);
  EXPECT_FALSE(read_number("none").has_value());
  EXPECT_FALSE(read_number("").has_value());
  EXPECT_FALSE(read_number("1e999999").has_value());
}

TEST(Compare, NumberHonoursToleranceAndPercent) {
  EXPECT_TRUE(agrees(with(Comparator::kNumber), "20", "The answer is 20.0"));
  EXPECT_FALSE(agrees(with(Comparator::kNumber), "20", "20.01"));
  EXPECT_TRUE(agrees(*parse_comparator("number:0.05"), "20", "20.01"));
  EXPECT_FALSE(agrees(with(Comparator::kNumber), "50%", "50"));
  EXPECT_TRUE(agrees(with(Comparator::kNumber), "unknown", "Unknown."));
  EXPECT_FALSE(agrees(with(Comparator::kNumber), "unknown", "20"));
}

TEST(Compare, JsonIgnoresOrderOfKeysAndFormOfNumbers) {
  const auto spec = with(Comparator::kJson);
  EXPECT_TRUE(agrees(spec, R"({"a": 1, "b": [1, 2]})", "```json\n{\"b\": [1.0, 2e0], \"a\": 1}\n```"));
  EXPECT_FALSE(agrees(spec, R"({"a": [1, 2]})", R"({"a": [2, 1]})"));
  EXPECT_FALSE(agrees(spec, R"({"a": 1})", R"({"a": 1, "b": null})"));
  EXPECT_FALSE(agrees(spec, R"({"a": 1, "b": null})", R"({"a": 1})"));
  EXPECT_FALSE(agrees(spec, R"({"a": "1"})", R"({"a": 1})"));
  EXPECT_FALSE(agrees(spec, R"({"a":1,"a":1})", R"({"a":1,"a":2})"));
  EXPECT_FALSE(agrees(spec, R"({"id": 9007199254740993})", R"({"id": 9007199254740992})"));
  EXPECT_FALSE(agrees(spec, "not json", R"({"a": 1})"));
  EXPECT_TRUE(agrees(spec, "Not JSON", "not json"));
}

TEST(Compare, AnEmptyAnswerIsNotJson) {
  EXPECT_FALSE(agrees(with(Comparator::kJson), R"({"a": 1})", std::string_view{}));
  EXPECT_TRUE(agrees(with(Comparator::kJson), std::string_view{}, std::string_view{}));
}

TEST(Compare, JsonFieldsHaveTheirOwnTolerance) {
  ComparatorSpec spec = with(Comparator::kJson);
  spec.fields = {{"items.price", 0.5}, {"note", std::numeric_limits<double>::infinity()}};
  EXPECT_TRUE(agrees(spec, R"({"items": [{"price": 10.4}], "note": "x"})", R"({"items": [{"price": 10}]})"));
  EXPECT_FALSE(agrees(spec, R"({"items": [{"price": 10.6}]})", R"({"items": [{"price": 10}]})"));
  EXPECT_FALSE(agrees(spec, R"({"items": [{"price": 10, "n": 1.2}]})", R"({"items": [{"price": 10, "n": 1}]})"));
}

TEST(Compare, ToolCallsMustBeTheSameCalls) {
  const auto spec = with(Comparator::kTools);
  const AnswerView a{"", R"([{"id":"call_1","type":"function","function":{"name":"refund","arguments":"{\"order\": 7, \"full\": true}"}}])"};
  const AnswerView same{"On it.", R"([{"id":"call_9","type":"function","function":{"name":"refund","arguments":"{\"full\":true,\"order\":7}"}}])"};
  const AnswerView other{"", R"([{"function":{"name":"refund","arguments":"{\"order\": 8, \"full\": true}"}}])"};
  const AnswerView none{"refund order 7", "[]"};
  EXPECT_TRUE(agrees(spec, a, same));
  EXPECT_FALSE(agrees(spec, a, other));
  EXPECT_FALSE(agrees(spec, a, none));
  EXPECT_TRUE(agrees(spec, none, AnswerView{"Refund order 7.", ""}));
  // A different call is a different act whatever the texts say.
  EXPECT_FALSE(agrees(with(Comparator::kText), AnswerView{"ok", a.tool_calls}, AnswerView{"ok", ""}));
}

TEST(Compare, RankingsAgreeAtTheStatedLevel) {
  EXPECT_TRUE(agrees(*parse_comparator("ranking:top=2"), "[3] > [1] > [2]", "[1, 3, 2]"));
  EXPECT_FALSE(agrees(*parse_comparator("ranking:top=1"), "[3] > [1] > [2]", "[1, 3, 2]"));
  EXPECT_TRUE(agrees(*parse_comparator("ranking:top=3,level=0.66"), "a, b, c", "1. a\n2. b\n3. d"));
  EXPECT_TRUE(agrees(*parse_comparator("ranking:tau=0.3"), "3 > 1 > 2", "1 > 3 > 2"));
  EXPECT_FALSE(agrees(*parse_comparator("ranking:tau=0.4"), "3 > 1 > 2", "1 > 3 > 2"));
  EXPECT_FALSE(agrees(*parse_comparator("ranking:tau=-1"), "3 > 1 > 2", "1 > 3 > 4"));
  EXPECT_DOUBLE_EQ(internal::kendall_tau({"a", "b", "c", "d"}, {"d", "c", "b", "a"}), -1.0);
}

TEST(Compare, RankingsAreReadInTheTeachersOwnForm) {
  using Items = std::vector<std::string>;
  const Items order{"3", "1", "2"};
  for (const char* text : {"[3] > [1] > [2]", "[3]>[1]>[2]", "Ranking: [3] > [1] > [2]", "The order is\n[3] > [1] > [2]\nas [3] names the city.", "[3, 1, 2]", R"(["3", "1", "2"])", R"({"ranking": [3, 1, 2]})",
                           "```json\n[3, 1, 2]\n```", R"([{"index": 1, "score": 0.5}, {"index": 2, "score": 0.1}, {"index": 3, "score": 0.9}])",
                           R"({"model": "m", "results": [{"index": 3, "relevance_score": 0.9}, {"index": 1, "relevance_score": 0.5}, {"index": 2, "relevance_score": 0.1}]})",
                           R"([{"id": "3"}, {"id": "1"}, {"id": "2"}])", "3\n1\n2", "1. 3\n2. 1\n3. 2", "3, 1, 2"}) {
    EXPECT_EQ(internal::read_ranking(text), order) << text;
  }
  EXPECT_EQ(internal::read_ranking("[a-7] > [b 2]"), (Items{"a-7", "b 2"}));
  EXPECT_TRUE(internal::read_ranking(R"({"a": [1], "b": [2]})").empty()) << "which of the two it is nobody knows";
  EXPECT_TRUE(internal::read_ranking("{}").empty());
  EXPECT_FALSE(agrees(*parse_comparator("ranking:top=1"), "[1] > [2] is what I thought first, but [2] > [1]", "[2] > [1]")) << "two rankings are none";
  EXPECT_EQ(internal::read_ranking(R"([{"index": 1, "score": 0.5}, {"index": 2}])"), (Items{"1", "2"})) << "a score that is missing orders nothing";
  EXPECT_TRUE(agrees(*parse_comparator("ranking:top=2"), "[3] > [1] > [2]", R"([{"index": 1, "score": 0.8}, {"index": 3, "score": 0.7}, {"index": 2, "score": 0}])"));
}

TEST(Compare, ScoresAreReadInTheTeachersOwnForm) {
  for (const char* text : {"0.8", " 0.8\n", "**0.8**", R"({"score": 0.8})", R"({"score": "0.8"})", R"({"reason": "7 of 9", "score": 0.8})", R"({"relevance": 0.8, "n": 3})", "```json\n{\"rating\": 0.8}\n```",
                           "Score: 0.8", "score = 0.8", "**Score:** 0.8", "The score is 0.8.", "Of 12 facts 9 hold. Score: 0.8/1", "0.8/1", "0.8 out of 1"}) {
    const auto read = internal::read_score(text);
    ASSERT_TRUE(read) << text;
    EXPECT_DOUBLE_EQ(read->value, 0.8) << text;
  }
  for (const char* text : {"yes", "Yes.", "**Yes**", "Yes, it does.", "true", R"({"supported": true})", R"({"verdict": "yes"})", "1"}) EXPECT_DOUBLE_EQ(internal::read_score(text)->value, 1) << text;
  for (const char* text : {"no", "No: 3 of them are wrong", "False", R"({"faithful": false})", "0"}) EXPECT_DOUBLE_EQ(internal::read_score(text)->value, 0) << text;
  EXPECT_FALSE(internal::read_score("no evidence of that"));
  EXPECT_FALSE(internal::read_score(R"({"a": 1, "b": 2})")) << "which of the two it is nobody knows";
  EXPECT_FALSE(internal::read_score("{}"));
  EXPECT_FALSE(internal::read_score(""));
  EXPECT_FALSE(agrees(*parse_comparator("score:5"), "80%", "80"));
  EXPECT_TRUE(agrees(*parse_comparator("score:side=0.5"), "Yes.", R"({"score": 0.7})"));
  EXPECT_FALSE(agrees(*parse_comparator("score:side=0.5"), "No, it says otherwise.", "0.7"));
  EXPECT_TRUE(agrees(*parse_comparator("score:1"), "Score: 4", "5/5"));
  EXPECT_TRUE(agrees(*parse_comparator("score:0.1"), "[0.9, 0.2]", "[0.85, 0.25]"));
  EXPECT_FALSE(agrees(*parse_comparator("score:0.1"), "[0.9, 0.2]", "[0.85, 0.35]"));
  EXPECT_FALSE(agrees(*parse_comparator("score:0.1"), "[0.9, 0.2]", "[0.9]"));
  EXPECT_FALSE(agrees(*parse_comparator("score:0.1"), "[0.9, 0.2]", "0.2"));
}

TEST(Compare, ScoresWithinToleranceOrOnTheSameSide) {
  EXPECT_TRUE(agrees(*parse_comparator("score:0.1"), "0.75", "0.8"));
  EXPECT_FALSE(agrees(*parse_comparator("score:0.1"), "0.65", "0.8"));
  EXPECT_TRUE(agrees(*parse_comparator("score:side=0.5"), "0.5", "0.99"));
  EXPECT_FALSE(agrees(*parse_comparator("score:side=0.5"), "0.49", "0.5"));
}

TEST(Compare, DefaultFollowsTheShapeOfTheAnswer) {
  EXPECT_EQ(default_comparator({"", R"([{"function":{"name":"f","arguments":"{}"}}])"}), Comparator::kTools);
  EXPECT_EQ(default_comparator({R"({"intent": "lost_card"})"}), Comparator::kJson);
  EXPECT_EQ(default_comparator({"[3] > [1] > [2]"}), Comparator::kRanking);
  EXPECT_EQ(default_comparator({"$1,200"}), Comparator::kNumber);
  EXPECT_EQ(default_comparator({"lost_or_stolen_card"}), Comparator::kChoice);
  EXPECT_EQ(default_comparator({"Your card will arrive within five working days of the order."}), Comparator::kText);
  EXPECT_EQ(default_comparator({""}), Comparator::kText);
}

TEST(Compare, EmbeddingAndJudgeNeedTheirModels) {
  for (const char* name : {"embedding", "embedding:0.8", "judge", "judge:0.7"}) {
    const auto without = parse_comparator(name);
    ASSERT_FALSE(without.has_value());
    EXPECT_EQ(without.error().kind, ErrorKind::kUnsupported);
  }
  ComparatorModels models;
  models.embedding = [](std::string_view a, std::string_view b) { return std::optional(a.size() == b.size() ? 0.85 : 0.1); };
  // A judge that always prefers what it reads first, unless both are short.
  models.judge = [](std::string_view a, std::string_view b) { return std::optional(a < b ? 0.9 : (a.size() < 4 && b.size() < 4 ? 0.6 : 0.2)); };
  const auto cosine = parse_comparator("embedding:0.8", models);
  ASSERT_TRUE(cosine.has_value());
  EXPECT_TRUE(agrees(*cosine, "one day", "two day"));
  EXPECT_FALSE(agrees(*cosine, "one day", "a week"));
  EXPECT_TRUE(agrees(*cosine, "Yes.", "yes"));
  EXPECT_FALSE(agrees(*parse_comparator("embedding", models), "one day", "two day"));  // .85 < .9
  EXPECT_FALSE(parse_comparator("judge:0", models)) << "then a no agrees, too";
  EXPECT_FALSE(parse_comparator("judge:-0.5", models));
  const auto judge = parse_comparator("judge", models);
  EXPECT_TRUE(agrees(*judge, "ab", "cd"));
  EXPECT_TRUE(agrees(*judge, "cd", "ab"));
  EXPECT_FALSE(agrees(*judge, "abcd", "efgh"));
  models.judge = [](std::string_view, std::string_view) { return std::optional<double>(); };
  EXPECT_FALSE(agrees(*parse_comparator("judge", models), "ab", "cd"));  // a judge that failed says nothing
  EXPECT_FALSE(parse_comparator("embedding:2", models).has_value());
}

TEST(Compare, UnknownComparatorsAndOptionsAreNamed) {
  EXPECT_NE(parse_comparator("fuzzy").error().message.find("exact, text, choice"), std::string::npos);
  for (const char* bad : {"number:x", "ranking:top=0", "score:top=3", "choice:", "number:-1", "number:inf"}) {
    EXPECT_FALSE(parse_comparator(bad).has_value()) << bad;
  }
}

TEST(Compare, VotesCountAgreement) {
  const auto votes = count_votes(with(Comparator::kNumber), {"20", "20.0", "the answer is 20", "21"});
  EXPECT_DOUBLE_EQ(votes->share, 0.75);
  EXPECT_NEAR(votes->semantic_entropy, -(0.75 * std::log(0.75) + 0.25 * std::log(0.25)), 1e-12);
  EXPECT_FALSE(count_votes(with(Comparator::kText), {}).has_value());
}

}  // namespace
}  // namespace understudy::calibration
