#include "chat/inference_request.h"

#include <gtest/gtest.h>

namespace understudy::chat {
namespace {

TEST(ClassifyRequest, TakesOneTextOrSeveral) {
  const auto one = parse_classify_request(R"({"model":"intent-v3","input":"where is my card","raw_scores":null,"user":"u"})");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->model, "intent-v3");
  EXPECT_EQ(one->texts, std::vector<std::string>{"where is my card"});
  EXPECT_FALSE(one->raw_scores);
  const auto two = parse_classify_request(R"({"input":["a","b"],"raw_scores":true})");
  ASSERT_TRUE(two);
  EXPECT_EQ(two->model, "");
  EXPECT_EQ(two->texts.size(), 2u);
  EXPECT_TRUE(two->raw_scores);
}

TEST(ClassifyRequest, SaysWhichFieldIsWrongAndWhatIsMeant) {
  const struct {
    const char* body;
    const char* param;
    const char* says;
  } cases[] = {{"", "", "not JSON"},
               {"[]", "", "must be a JSON object"},
               {"{}", "input", "missing"},
               {R"({"input":null})", "input", "missing"},
               {R"({"input":""})", "input", "empty text"},
               {R"({"input":[]})", "input", "empty list"},
               {R"({"input":["a",""]})", "input", "at place 1"},
               {R"({"input":["a",3]})", "input", "a string or a list of strings"},
               {R"({"input":{"text":"a"}})", "input", "a string or a list of strings"},
               {R"({"model":3,"input":"a"})", "model", "must be a string"},
               {R"({"input":"a","raw_scores":1})", "raw_scores", "true or false"},
               {R"({"imput":"a"})", "imput", "did you mean \"input\"?"}};
  for (const auto& [body, param, says] : cases) {
    const auto read = parse_classify_request(body);
    ASSERT_FALSE(read) << body;
    EXPECT_EQ(read.error().kind, ErrorKind::kInvalidRequest) << body;
    EXPECT_EQ(read.error().param, param) << body;
    EXPECT_NE(read.error().message.find(says), std::string::npos) << body << ": " << read.error().message;
  }
}

TEST(ClassifyRequest, RefusesTooManyAndTooLongTexts) {
  std::string many = R"({"input":["a")";
  for (std::size_t i = 0; i < kMostTexts; ++i) many += ",\"a\"";
  EXPECT_NE(parse_classify_request(many + "]}").error().message.find("several requests"), std::string::npos);
  EXPECT_NE(parse_classify_request(R"({"input":")" + std::string(kLongestInput + 1, 'a') + "\"}").error().message.find("passages"), std::string::npos);
}

TEST(ScoreRequest, PairsOneWithEachOrEachWithItsOwn) {
  const auto spread = parse_score_request(R"({"model":"judge","text_1":"a","text_2":["b","c"]})");
  ASSERT_TRUE(spread);
  EXPECT_EQ(spread->pairs(), 2u);
  EXPECT_EQ(spread->first_of(1), "a");
  EXPECT_EQ(spread->second[1], "c");
  const auto each = parse_score_request(R"({"text_1":["a","b"],"text_2":["c","d"]})");
  ASSERT_TRUE(each);
  EXPECT_EQ(each->first_of(1), "b");
  EXPECT_EQ(each->second[1], "d");
  EXPECT_EQ(parse_score_request(R"({"text_1":["a","b"],"text_2":"c"})").error().param, "text_2");
  EXPECT_EQ(parse_score_request(R"({"text_1":"a"})").error().param, "text_2");
  EXPECT_EQ(parse_score_request(R"({"text_2":"a"})").error().param, "text_1");
}

TEST(ScoreRequest, AsksOfAnswersByTheirOwnFields) {
  const auto scores = parse_score_request(R"({"prompt":"p","response":["r",""]})");
  ASSERT_TRUE(scores) << scores.error().message;
  EXPECT_EQ(scores->form, ScoreForm::kResponse);
  EXPECT_EQ(scores->pairs(), 2u);
  EXPECT_EQ(scores->first_of(1), "p");
  EXPECT_EQ(scores->second[1], "") << "an empty response is an answer, too";
  const auto pairs = parse_score_request(R"({"prompt":["p","q"],"a":["x","y"],"b":["","z"],"model":"m","user":"u"})");
  ASSERT_TRUE(pairs) << pairs.error().message;
  EXPECT_EQ(pairs->form, ScoreForm::kPreference);
  EXPECT_EQ(pairs->first_of(1), "q");
  EXPECT_EQ(pairs->third[1], "z");
  EXPECT_EQ(parse_score_request(R"({"text_1":"a","text_2":"b"})")->form, ScoreForm::kPair);
  EXPECT_EQ(parse_score_request(R"({"prompt":"p","a":"x","b":"y"})")->third.size(), 1u);
}

TEST(ScoreRequest, RefusesFieldsOfTwoForms) {
  const auto param = [](std::string_view body) {
    const auto read = parse_score_request(body);
    return read ? "none" : read.error().param;
  };
  EXPECT_EQ(param(R"({"prompt":"","response":"r"})"), "prompt");
  EXPECT_EQ(param(R"({"prompt":"p"})"), "response");
  EXPECT_EQ(param(R"({"response":"r"})"), "prompt");
  EXPECT_EQ(param(R"({"prompt":"p","a":"x"})"), "b");
  EXPECT_EQ(param(R"({"a":"x","b":"y"})"), "prompt");
  EXPECT_EQ(param(R"({"prompt":"p","response":"r","a":"x","b":"y"})"), "response");
  EXPECT_EQ(param(R"({"text_1":"p","response":"r"})"), "text_1");
  EXPECT_EQ(param(R"({"prompt":["p","q"],"response":"r"})"), "response");
  EXPECT_EQ(param(R"({"prompt":"p","a":["x","y"],"b":"z"})"), "b");
  EXPECT_EQ(param(R"({"prompt":"p","response":[]})"), "response");
  EXPECT_EQ(param(R"({"prompt":"p","responses":["r"]})"), "responses");
  EXPECT_NE(parse_score_request(R"({"text_1":"p","response":"r"})").error().message.find("'prompt', 'a' and 'b'"), std::string::npos);
  EXPECT_NE(parse_score_request(R"({"prompt":"p","responses":["r"]})").error().message.find("did you mean \"response\"?"), std::string::npos);
}

TEST(EmbeddingsRequest, ReadsWhatOfficialClientsSend) {
  const auto read = parse_embeddings_request(R"({"input":["a","b"],"model":"m","encoding_format":"base64","dimensions":384,"user":"u","extra":1})");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->texts.size(), 2u);
  EXPECT_TRUE(read->base64);
  EXPECT_EQ(read->dimensions, 384);
  EXPECT_TRUE(parse_embeddings_request(R"({"input":[1,2,3],"model":"m"})")->tokens);
  EXPECT_TRUE(parse_embeddings_request(R"({"input":[[1],[2]],"model":"m"})")->tokens);
  EXPECT_EQ(parse_embeddings_request(R"({"input":"a","encoding_format":"hex"})").error().param, "encoding_format");
  EXPECT_EQ(parse_embeddings_request(R"({"input":"a","dimensions":0})").error().param, "dimensions");
  EXPECT_EQ(parse_embeddings_request(R"({"model":"m"})").error().param, "input");
}

TEST(EmbeddingsRequest, IsForwardedUnderAnotherModelName) {
  EXPECT_EQ(with_model(R"({"input": [1, 2], "model": "mine", "dimensions": 256})", "theirs"), R"({"model":"theirs","input":[1,2],"dimensions":256})");
}

}  // namespace
}  // namespace understudy::chat
