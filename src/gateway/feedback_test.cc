#include "gateway/internal/feedback_route.h"

#include <gtest/gtest.h>

namespace understudy::gateway::internal {
namespace {

TEST(Feedback, IsReadWithBooleanAndNumericScores) {
  const auto all = parse_feedback(R"({"request_id":"r","source":"ui","score":-0.5,"label":"a","correction":"b","comment":"c"})");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->request_id, "r");
  EXPECT_EQ(all->source, "ui");
  EXPECT_EQ(all->score, -0.5);
  EXPECT_EQ(all->truth(), "b") << "a correction says more than a label";
  EXPECT_EQ(parse_feedback(R"({"request_id":"r","score":true})")->score, 1);
  EXPECT_EQ(parse_feedback(R"({"request_id":"r","score":false})")->score, -1);
  EXPECT_EQ(parse_feedback(R"({"request_id":"r","score":1,"label":null})")->score, 1);
  EXPECT_EQ(parse_feedback(R"({"request_id":"r","label":"x"})")->truth(), "x");
}

TEST(Feedback, SaysWhichFieldIsWrong) {
  const struct {
    const char* body;
    const char* param;
  } cases[] = {{"", ""}, {"[]", ""}, {"{}", "request_id"}, {R"({"request_id":3,"score":1})", "request_id"}, {R"({"request_id":"r"})", "score"},
               {R"({"request_id":"r","score":2})", "score"}, {R"({"request_id":"r","score":"good"})", "score"}, {R"({"request_id":"r","stars":5})", "stars"},
               {R"({"request_id":"r","comment":["x"]})", "comment"}};
  for (const auto& [body, param] : cases) {
    const auto read = parse_feedback(body);
    ASSERT_FALSE(read) << body;
    EXPECT_EQ(read.error().kind, ErrorKind::kInvalidRequest) << body;
    EXPECT_EQ(read.error().param, param) << body;
  }
}

}  // namespace
}  // namespace understudy::gateway::internal
