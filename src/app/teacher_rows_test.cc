#include "app/teacher_rows.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "specialists/answer_rows.h"
#include "specialists/judge_rows.h"
#include "specialists/rerank_rows.h"

namespace understudy::app {
namespace {

using labelling::Task;

labelling::Verdict verdict(std::string label, double score, double confidence) { return {std::move(label), score, confidence}; }

TEST(TeacherRows, ComeBackAsTrainingRowsOfTheirKind) {
  const auto rows = parse_teacher_rows(Task::kFaithfulness, "{\"id\": 7, \"claim\": \"a \\\"b\\\"\", \"evidence\": \"c\\nd\", \"weight\": 2}\n", "f", std::nullopt, "train");
  ASSERT_TRUE(rows) << rows.error().message;
  const auto read = specialists::parse_judge_rows(labelled_row(*rows, 0, verdict("", 0.1, 0.9), "big"), "f", {});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->rows[0].claim, "a \"b\"");
  EXPECT_EQ(read->rows[0].evidence, "c\nd");
  EXPECT_FALSE(read->rows[0].supported);
  EXPECT_DOUBLE_EQ(read->rows[0].weight, 1.8);
  const auto pairs = parse_teacher_rows(Task::kRelevance, "{\"query\": \"q\", \"doc\": \"x\"}\n{\"query\": \"q\", \"doc\": \"y\"}\n", "f", std::nullopt, "train");
  ASSERT_TRUE(pairs) << pairs.error().message;
  const auto scored = specialists::parse_rerank_rows(labelled_row(*pairs, 0, verdict("", 2.0 / 3, 1), "big") + labelled_row(*pairs, 1, verdict("", 0, 0), "big"), "f", {});
  ASSERT_TRUE(scored) << scored.error().message;
  EXPECT_EQ(scored->queries.size(), 1u);
  EXPECT_TRUE(scored->rows[0].relevant);
  EXPECT_FALSE(scored->rows[1].relevant);
  EXPECT_DOUBLE_EQ(scored->rows[1].weight, 0.05);
}

TEST(TeacherRows, OfAnswersComeBackWithScoreOrChoice) {
  const auto scores = parse_teacher_rows(Task::kScore, "{\"id\": 7, \"prompt\": \"p\", \"response\": \"\", \"weight\": 2}\n", "f", std::nullopt, "train");
  ASSERT_TRUE(scores) << scores.error().message;
  const auto read = specialists::parse_answer_rows(labelled_row(*scores, 0, verdict("", 7.5, 0.5), "big"), "f", {std::nullopt, "", true});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->form, specialists::JudgeForm::kScore);
  EXPECT_EQ(read->rows[0].outcome, 7.5);
  EXPECT_DOUBLE_EQ(read->rows[0].weight, 1);
  const auto other = parse_teacher_rows(Task::kPreference, "{\"prompt\": \"p\", \"response\": \"r\"}\n", "f", std::nullopt, "train");
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("\"score\""), std::string::npos) << other.error().message;
}

TEST(TeacherRows, OfTwoResponsesEitherIsShownFirstAndTheChoiceIsTurnedBack) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "{\"prompt\": \"p" + std::to_string(i) + "\", \"a\": \"good\", \"b\": \"poor\"}\n";
  const auto rows = parse_teacher_rows(Task::kPreference, text, "f", std::nullopt, "train");
  ASSERT_TRUE(rows) << rows.error().message;
  const auto swapped = std::count(rows->swapped.begin(), rows->swapped.end(), true);
  EXPECT_GT(swapped, 60);
  EXPECT_LT(swapped, 140);
  for (std::size_t i = 0; i < 200; ++i) {
    EXPECT_EQ(rows->rows[i].texts[rows->swapped[i] ? 2 : 1], "good");
    for (const auto& [said, gold] : {std::pair(rows->swapped[i] ? "b" : "a", 1), {rows->swapped[i] ? "a" : "b", 2}, {"tie", 0}}) {
      const auto read = specialists::parse_answer_row(labelled_row(*rows, i, verdict(said, 0, 1), "big"));
      ASSERT_TRUE(read) << read.error().message;
      EXPECT_EQ(read->response, "good");
      EXPECT_EQ(read->outcome, gold);
    }
  }
  const auto both = parse_teacher_rows(Task::kPreference, "{\"prompt\":\"p\",\"a\":\"x\",\"b\":\"y\"}\n{\"prompt\":\"p\",\"a\":\"y\",\"b\":\"x\"}\n", "f", std::nullopt, "train");
  EXPECT_EQ(both->rows[0].texts, both->rows[1].texts) << "one question";
}

TEST(TeacherRows, WhereNoLabelFitsTheyAreOutOfScope) {
  const auto rows = parse_teacher_rows(Task::kIntent, "{\"text\": \"a\"}\n", "f", std::nullopt, "train");
  ASSERT_TRUE(rows);
  EXPECT_NE(labelled_row(*rows, 0, verdict("", 0, 0.8), "big").find("\"oos\":true"), std::string::npos);
  EXPECT_NE(labelled_row(*rows, 0, verdict("card", 0, 0.8), "big").find("\"label\":\"card\""), std::string::npos);
}

TEST(LabelNames, AreAListOrAFile) {
  EXPECT_EQ(*read_label_names("a, b,c"), (std::vector<std::string>{"a", "b", "c"}));
  for (const char* bad : {"", "one", "a,b,a"}) EXPECT_FALSE(read_label_names(bad)) << bad;
  const auto path = std::filesystem::temp_directory_path() / ("names-" + std::to_string(::getpid()));
  std::ofstream(path) << "first one\n\nsecond\n";
  EXPECT_EQ(*read_label_names(path.string()), (std::vector<std::string>{"first one", "second"}));
  std::ofstream(path) << "{\"text\": \"x\", \"label\": \"b\"}\n{\"text\": \"y\", \"label\": \"a\"}\n{\"text\": \"z\", \"label\": \"b\"}\n";
  EXPECT_EQ(*read_label_names(path.string()), (std::vector<std::string>{"a", "b"}));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace understudy::app
