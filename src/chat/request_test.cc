#include "chat/request.h"

#include <gtest/gtest.h>

#include "chat/splice.h"

namespace understudy::chat {
namespace {

std::string join(const Splice::Pieces& pieces) {
  std::string out;
  for (const std::string_view piece : pieces) out += piece;
  EXPECT_EQ(out.size(), pieces.bytes);
  return out;
}

TEST(ChatRequest, FindsWhatTheGatewayNeeds) {
  const std::string body =
      R"({ "model" : "support", "messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"hi"}]}],)"
      R"("stream":true , "stream_options":{"include_usage":true},"logprobs":true,"top_logprobs":3,"metadata":{"step":"x","task":"intent"},)"
      R"("tools":[{"type":"function","function":{"name":"f"}}],"temperature":0.1,"vendor_field":{"a":[1,2,{"b":null}]}})";
  const auto request = parse_chat_request(body);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->model, "support");
  EXPECT_TRUE(request->stream);
  EXPECT_TRUE(request->include_usage);
  EXPECT_TRUE(request->logprobs);
  EXPECT_EQ(request->top_logprobs, 3);
  EXPECT_EQ(request->messages, 2u);
  EXPECT_EQ(request->task, "intent");
  EXPECT_TRUE(request->has_tools);
  EXPECT_EQ(request->bypass, Bypass::kNone);
  EXPECT_EQ(request->model_span.in(body).substr(0, 9), "\"support\"");
  EXPECT_EQ(request->fields.size(), 10u);
  EXPECT_EQ(last_user_text(body), "hi");
}

TEST(ChatRequest, SpansLetFieldsBeRewritten) {
  const std::string body = R"({"model":"a", "messages":[{"role":"user","content":"x"}],"stream":false})";
  const auto request = parse_chat_request(body);
  ASSERT_TRUE(request);
  Splice splice(body);
  splice.insert(request->insert_at, "\"logprobs\":true,");
  splice.replace(request->model_span, "\"b\"");
  EXPECT_EQ(join(splice.pieces()), R"({"logprobs":true,"model":"b", "messages":[{"role":"user","content":"x"}],"stream":false})");
}

struct BadCase {
  const char* body;
  const char* param;
};

TEST(ChatRequest, NamesTheFieldAtFault) {
  const BadCase cases[] = {
      {R"({"messages":[{"role":"user","content":"x"}]})", "model"},
      {R"({"model":7,"messages":[{"role":"user","content":"x"}]})", "model"},
      {R"({"model":"m"})", "messages"},
      {R"({"model":"m","messages":"x"})", "messages"},
      {R"({"model":"m","messages":[]})", "messages"},
      {R"({"model":"m","messages":[7]})", "messages[0]"},
      {R"({"model":"m","messages":[{"content":"x"}]})", "messages[0].role"},
      {R"({"model":"m","messages":[{"role":"user","content":7}]})", "messages[0].content"},
      {R"({"model":"m","messages":[{"role":"user","content":"x"}],"stream":"yes"})", "stream"},
      {R"({"model":"m","messages":[{"role":"user","content":"x"}],"n":0})", "n"},
      {R"({"model":"m","messages":[{"role":"user","content":"x"}],"top_logprobs":21})", "top_logprobs"},
      {R"({"model":"m","messages":[{"role":"user","content":"x"}],"tools":{}})", "tools"},
      {R"({"model":"m","messages":[{"role":"user","content":"x"}],"model":"other"})", "model"},
      {R"({"model":"m","messages":[{"role":"user","content":"x"}],"stream_options":3})", "stream_options"},
  };
  for (const BadCase& bad : cases) {
    const auto request = parse_chat_request(bad.body);
    ASSERT_FALSE(request) << bad.body;
    EXPECT_EQ(request.error().kind, ErrorKind::kInvalidRequest);
    EXPECT_EQ(request.error().param, bad.param) << bad.body << ": " << request.error().message;
  }
}

TEST(ChatRequest, RefusesWhatIsNotJson) {
  for (const char* body : {"", "{", "[]", "null", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]} trailing",
                           "{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}],\"x\":tru}", "{\"model\":\"m\" \"messages\":[]}", "\xff\xfe",
                           "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"x\":[1,}"}) {
    EXPECT_FALSE(parse_chat_request(body)) << body;
  }
  EXPECT_FALSE(parse_chat_request(std::string_view{}));
  std::string deep = R"({"model":"m","messages":[{"role":"user","content":"x"}],"x":)";
  deep += std::string(500, '[') + std::string(500, ']') + "}";
  const auto request = parse_chat_request(deep);
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().param, "x");
}

TEST(ChatRequest, ABrokenNullIsRefusedWhereverItStands) {
  const std::string fields[] = {R"("x":nul1)",           R"("x":[{"y":nxll}])",  R"("temperature":nulll)", R"("stream":nul)",
                                R"("top_logprobs":nope)", R"("tools":nil)",      R"("tools":[n])",         R"("stream_options":nan)",
                                R"("stream_options":{"include_usage":none})",    R"("metadata":{"task":nu})"};
  for (const std::string& field : fields) {
    EXPECT_FALSE(parse_chat_request(R"({"model":"m","messages":[{"role":"user","content":"x"}],)" + field + "}")) << field;
  }
  EXPECT_FALSE(parse_chat_request(R"({"model":nul1,"messages":[{"role":"user","content":"x"}]})"));
  EXPECT_FALSE(parse_chat_request(R"({"model":"m","messages":[{"role":"user","content":nul1}]})"));
}

TEST(ChatRequest, EveryPrefixOfAGoodBodyIsRefusedWithoutACrash) {
  const std::string body = R"({"model":"m","messages":[{"role":"user","content":"h\u00e9"}],"metadata":{"task":"t"},"x":[1.5e3,true,null,{}]})";
  ASSERT_TRUE(parse_chat_request(body));
  for (std::size_t n = 0; n < body.size(); ++n) EXPECT_FALSE(parse_chat_request(std::string_view(body).substr(0, n))) << n;
}

TEST(ChatRequest, SaysWhatMayNotBeCascaded) {
  const auto bypass_of = [](const char* extra, const char* content = "\"x\"") {
    const std::string body = std::string(R"({"model":"m","messages":[{"role":"user","content":)") + content + "}]" + extra + "}";
    const auto request = parse_chat_request(body);
    EXPECT_TRUE(request) << body;
    return request ? request->bypass : Bypass::kNone;
  };
  EXPECT_EQ(bypass_of(",\"n\":2"), Bypass::kManyChoices);
  EXPECT_EQ(bypass_of(",\"n\":1"), Bypass::kNone);
  EXPECT_EQ(bypass_of("", R"([{"type":"image_url","image_url":{"url":"u"}}])"), Bypass::kMedia);
  EXPECT_EQ(bypass_of(",\"modalities\":[\"text\",\"audio\"]"), Bypass::kMedia);
  EXPECT_EQ(bypass_of(",\"tools\":[{\"type\":\"web_search\"}]"), Bypass::kServerTools);
  EXPECT_EQ(bypass_of(",\"previous_response_id\":\"r\""), Bypass::kPreviousResponse);
  EXPECT_EQ(bypass_of(",\"previous_response_id\":null"), Bypass::kNone);
}

std::string canonical(const std::string& body) {
  const auto request = parse_chat_request(body);
  EXPECT_TRUE(request);
  std::string out;
  if (request) append_canonical(*request, body, out);
  return out;
}

TEST(Canonical, IgnoresOrderWhiteSpaceAndDelivery) {
  const std::string a = canonical(R"({"model":"m","messages":[{"role":"user","content":"a b"}],"temperature":0})");
  EXPECT_EQ(a, canonical("{\"temperature\": 0,\n \"messages\" : [ {\"role\":\"user\", \"content\":\"a b\"} ],\"model\":\"m\",\"stream\":true,\"user\":\"u\"}"));
  EXPECT_NE(a, canonical(R"({"model":"m","messages":[{"role":"user","content":"a  b"}],"temperature":0})"));
  EXPECT_NE(a, canonical(R"({"model":"m","messages":[{"role":"user","content":"a b"}],"temperature":1})"));
  EXPECT_NE(a, canonical(R"({"model":"m","messages":[{"role":"user","content":"a b"}],"temperature":0,"logprobs":true})"));
}

}  // namespace
}  // namespace understudy::chat
