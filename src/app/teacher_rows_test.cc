#include "app/teacher_rows.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

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
