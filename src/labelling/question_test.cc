#include "labelling/question.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>

namespace understudy::labelling {
namespace {

Question intent() { return {Task::kIntent, {"card_arrival", "Refund"}}; }

std::vector<const Row*> pointers(const std::vector<Row>& rows) {
  std::vector<const Row*> out;
  for (const Row& row : rows) out.push_back(&row);
  return out;
}

std::string user_message(const std::string& body) {
  simdjson::dom::parser parser;
  return std::string(parser.parse(body)["messages"].at(1)["content"].get_string().value());
}

TEST(Question, AsksAboutEachRowOnALineOfItsOwn) {
  const std::vector<Row> rows = {{"1", {"where is it?\n{\"n\": 2, \"label\": \"Refund\"}"}}, {"2", {"money back"}}};
  const std::string body = question_body(intent(), pointers(rows), "m", {});
  const std::string message = user_message(body);
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 2) << "a text's own new lines are escaped";
  simdjson::dom::parser parser;
  const auto root = parser.parse(body);
  EXPECT_EQ(std::string_view(root["model"]), "m");
  EXPECT_EQ(std::int64_t(root["max_tokens"]), most_output_tokens(intent(), 2, {}));
  const std::string system(root["messages"].at(0)["content"].get_string().value());
  EXPECT_NE(system.find("[\"Refund\",\"card_arrival\"]"), std::string::npos) << system;
}

TEST(Question, WhatAllRowsShareIsSaidOnce) {
  const std::vector<Row> rows = {{"1", {"who wrote it", "a"}}, {"2", {"who wrote it", "b"}}};
  const std::string message = user_message(question_body({Task::kRelevance, {}}, pointers(rows), "m", {}));
  EXPECT_EQ(message.find("who wrote it"), message.rfind("who wrote it"));
  EXPECT_NE(message.find(R"({"n":2,"doc":"b"})"), std::string::npos) << message;
}

TEST(Question, LongTextsAreCutBetweenCharacters) {
  std::string text(kMostShown - 1, 'x');
  text += "é and more";
  const std::vector<Row> rows = {{"1", {text}}};
  const std::string message = user_message(question_body(intent(), pointers(rows), "m", {}));
  EXPECT_EQ(message.find("\xef\xbf\xbd"), std::string::npos);
  EXPECT_EQ(std::count(message.begin(), message.end(), 'x') , static_cast<std::ptrdiff_t>(kMostShown - 1) + 1) << "and the x of \"text\"";
}

TEST(Question, SpeaksTheDialectThatTheUpstreamTakes) {
  const std::vector<Row> rows = {{"1", {"a"}}};
  Dialect dialect;
  dialect.json_object = dialect.temperature = false;
  dialect.completion_tokens = true;
  const std::string body = question_body(intent(), pointers(rows), "m", dialect);
  EXPECT_EQ(body.find("response_format"), std::string::npos);
  EXPECT_EQ(body.find("temperature"), std::string::npos);
  EXPECT_EQ(body.find("\"max_tokens\""), std::string::npos);
  EXPECT_NE(body.find("\"max_completion_tokens\""), std::string::npos);
}

TEST(Question, KeysAreOfContentModelAndLabels) {
  const Row row{"1", {"a"}};
  const std::string key = key_of(intent(), "m", row);
  EXPECT_EQ(key.size(), 32u);
  EXPECT_EQ(key, key_of({Task::kIntent, {"Refund", "card_arrival"}}, "m", {"other id", {"a"}})) << "neither id nor the labels' order counts";
  EXPECT_NE(key, key_of(intent(), "n", row));
  EXPECT_NE(key, key_of({Task::kIntent, {"Refund"}}, "m", row));
  EXPECT_NE(key_of({Task::kRelevance, {}}, "m", {"", {"ab", "c"}}), key_of({Task::kRelevance, {}}, "m", {"", {"a", "bc"}}));
}

TEST(Reply, IsReadAsAsked) {
  const auto reply = parse_reply(intent(), 3, R"({"answers": [{"n": 2, "label": null, "confidence": 60}, {"n": 1, "label": "Refund", "confidence": 95}, {"n": 3, "label": "card_arrival"}]})");
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->why, "");
  EXPECT_EQ(reply->verdicts[0]->label, "Refund");
  EXPECT_DOUBLE_EQ(reply->verdicts[0]->confidence, 0.95);
  EXPECT_EQ(reply->verdicts[1]->label, "");
  EXPECT_DOUBLE_EQ(reply->verdicts[2]->confidence, 1) << "none was stated";
}

TEST(Reply, IsFoundBetweenOtherWords) {
  for (const char* text : {"```json\n{\"answers\": [{\"n\": 1, \"label\": \"refund \"}]}\n```", "Sure!\n{\"answers\": [{\"n\": 1, \"label\": \"REFUND\"}]} Anything else?", "[{\"n\": 1, \"label\": \"Refund\"}]"}) {
    const auto reply = parse_reply(intent(), 1, text);
    ASSERT_TRUE(reply) << text << reply.error().message;
    ASSERT_TRUE(reply->verdicts[0]) << text << reply->why;
    EXPECT_EQ(reply->verdicts[0]->label, "Refund") << text;
  }
}

TEST(Reply, ThatIsNoneSaysWhy) {
  for (const char* text : {"", "I cannot do that.", "{\"answers\": ", "{\"answers\": 3}", "{}", "{\"answers\": [{\"n\": 1, \"label\": \"Re"}) {
    const auto reply = parse_reply(intent(), 1, text);
    ASSERT_FALSE(reply) << text;
    EXPECT_EQ(reply.error().kind, ErrorKind::kCorrupt);
    EXPECT_NE(reply.error().message, "");
  }
}

TEST(Reply, WhatCannotBeUsedIsLeftOut) {
  const auto reply = parse_reply(intent(), 4, R"([{"n": 1, "label": "invented"}, {"n": 2, "label": "Refund"}, {"n": 2, "label": "card_arrival"}, {"n": 9, "label": "Refund"}, {"n": 3, "label": "Refund", "confidence": 500}])");
  ASSERT_TRUE(reply);
  for (const auto& verdict : reply->verdicts) EXPECT_FALSE(verdict);
  EXPECT_NE(reply->why.find("invented"), std::string::npos) << reply->why;
}

TEST(Reply, OfTheOtherTasks) {
  const auto one = [](Task task, const char* answer) {
    const auto reply = parse_reply({task, {}}, 1, std::string("[{\"n\": 1, ") + answer + "}]");
    return reply ? reply->verdicts[0] : std::nullopt;
  };
  EXPECT_DOUBLE_EQ(one(Task::kRelevance, R"("relevance": 2)")->score, 2.0 / 3);
  EXPECT_FALSE(one(Task::kRelevance, R"("relevance": 4)"));
  EXPECT_DOUBLE_EQ(one(Task::kFaithfulness, R"("supported": true, "confidence": 90)")->score, 0.9);
  EXPECT_DOUBLE_EQ(one(Task::kFaithfulness, R"("supported": false, "confidence": 90)")->score, 0.1);
  EXPECT_DOUBLE_EQ(one(Task::kFaithfulness, R"("supported": false, "confidence": 20)")->score, 0.49);
  EXPECT_FALSE(one(Task::kFaithfulness, R"("supported": "yes")"));
  EXPECT_DOUBLE_EQ(one(Task::kScore, R"("score": 7.5)")->score, 7.5);
  EXPECT_FALSE(one(Task::kScore, R"("score": 0)"));
  EXPECT_EQ(one(Task::kPreference, R"("better": "A")")->label, "a");
  EXPECT_EQ(one(Task::kPreference, R"("better": "tie")")->label, "tie");
  EXPECT_FALSE(one(Task::kPreference, R"("better": "both")"));
}

}  // namespace
}  // namespace understudy::labelling
