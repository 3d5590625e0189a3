// POST /v1/classify from outside.

#include <simdjson.h>

#include "gateway/internal/test_support.h"
#include "specialists/registry.h"
#include "specialists/small_specialist_test_util.h"

namespace understudy::gateway {
namespace {

class ClassifyTest : public GatewayTest {
 protected:
  ClassifyTest() { specialists::testing::write_small_specialist(folder_ / "all" / "intent-v1"); }

  std::shared_ptr<const cascade::Policy> with_specialists() {
    auto made = policy();
    auto registry = specialists::Registry::load({folder_ / "all", true, {}});
    EXPECT_TRUE(registry) << registry.error().message;
    made->specialists = *registry;
    return made;
  }
  void start(std::vector<ApiKey> keys = {}) {
    GatewayOptions options;
    options.server.workers = 1;
    auto started = Gateway::start(std::move(options), {with_specialists(), std::make_shared<KeyRing>(std::move(keys))}, nullptr);
    ASSERT_TRUE(started) << started.error().message;
    gateway_ = std::move(*started);
  }
  HttpAnswer classify(std::string_view body, std::string_view fields = {}, std::string_view path = "/v1/classify") { return send(gateway_->port(), "POST", path, body, fields); }

  static std::string at(const HttpAnswer& answer, std::string_view pointer) {
    simdjson::dom::parser parser;
    const auto found = parser.parse(answer.body).at_pointer(pointer);
    return found.error() == simdjson::SUCCESS ? simdjson::minify(found.value_unsafe()) : "";
  }
};

TEST_F(ClassifyTest, AnswersOneTextAndSeveralUnderBothPaths) {
  start();
  for (const char* path : {"/v1/classify", "/classify"}) {
    const HttpAnswer one = classify(R"({"model":"intent-v1","input":"where is my card"})", {}, path);
    ASSERT_EQ(one.status, 200) << one.body;
    EXPECT_EQ(at(one, "/object"), "\"classify\"");
    EXPECT_EQ(at(one, "/model"), "\"intent-v1\"");
    EXPECT_EQ(at(one, "/data/0/0/label"), "\"card\"");
    EXPECT_GT(std::stod(at(one, "/data/0/0/score")), 0.5);
    EXPECT_EQ(at(one, "/data/1"), "");
    EXPECT_NE(at(one, "/data/0/2/label"), "") << "all labels";
    EXPECT_GE(std::stod(at(one, "/data/0/0/score")), std::stod(at(one, "/data/0/1/score"))) << "sorted";
    EXPECT_GT(std::stoi(at(one, "/usage/prompt_tokens")), 0);
    EXPECT_EQ(at(one, "/usage/prompt_tokens"), at(one, "/usage/total_tokens"));
    EXPECT_EQ(at(one, "/calibration/id").size(), 18u) << one.body;
    EXPECT_NE(at(one, "/calibration/ece15"), "");
    EXPECT_EQ(at(one, "/calibration/rows"), "60") << "each was held back once";
    EXPECT_EQ(one.field("x-understudy-served-by"), "specialist:intent-v1");
    EXPECT_TRUE(one.field("x-request-id"));
  }
  const HttpAnswer several = classify(R"({"model":"intent-v1","input":["my password does not work","i want my money back"]})");
  EXPECT_EQ(at(several, "/data/0/0/label"), "\"login\"");
  EXPECT_EQ(at(several, "/data/1/0/label"), "\"refund\"");
  EXPECT_NE(at(several, "/in_scope/1"), "");
}

TEST_F(ClassifyTest, LargeRequestsGetTheSameAnswers) {
  start();
  std::string many = R"({"input":["where is my card")";
  for (int i = 0; i < 500; ++i) many += R"(,"my password does not work")";
  const HttpAnswer small = classify(R"({"input":["where is my card","my password does not work"]})");
  const HttpAnswer large = classify(many + "]}");
  ASSERT_EQ(large.status, 200) << large.body;
  EXPECT_EQ(at(large, "/data/0"), at(small, "/data/0"));
  EXPECT_EQ(at(large, "/data/500"), at(small, "/data/1"));
}

TEST_F(ClassifyTest, RawScoresAreWhatTheModelSaidBeforeItsCalibration) {
  start();
  const HttpAnswer plain = classify(R"({"input":"where is my card"})"), raw = classify(R"({"input":"where is my card","raw_scores":true})");
  EXPECT_EQ(at(plain, "/data/0/0/label"), at(raw, "/data/0/0/label"));
  double sum = 0, logits = 0;
  for (const char* place : {"/data/0/0/score", "/data/0/1/score", "/data/0/2/score"}) {
    sum += std::stod(at(plain, place));
    logits += std::stod(at(raw, place));
  }
  EXPECT_NEAR(sum, 1, 1e-4);
  EXPECT_GT(std::abs(logits - 1), 0.01) << "no probabilities";
}

TEST_F(ClassifyTest, RefusalsSayWhatIsThere) {
  start();
  const HttpAnswer unknown = classify(R"({"model":"intent-v2","input":"a"})");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_TRUE(unknown.has("did you mean \\\"intent-v1\\\"?")) << unknown.body;
  EXPECT_EQ(at(unknown, "/error/param"), "\"model\"");
  EXPECT_EQ(classify(R"({"model":"intent-v1","input":[]})").status, 400);
  EXPECT_EQ(at(classify(R"({"model":"intent-v1","input":[3]})"), "/error/param"), "\"input\"");
  EXPECT_EQ(send(gateway_->port(), "GET", "/v1/classify").status, 405);
}

TEST_F(ClassifyTest, NeedsAKeyWithTheScopeInference) {
  ApiKey operators = key("ops", "ops-key");
  operators.inference = false;
  start({key("bot", "bot-key"), operators});
  const std::string_view body = R"({"input":"where is my card"})";
  EXPECT_EQ(classify(body).status, 401);
  EXPECT_EQ(classify(body, "Authorization: Bearer ops-key\r\n").status, 403);
  EXPECT_EQ(classify(body, "Authorization: Bearer bot-key\r\n").status, 200);
}

TEST_F(ClassifyTest, AReloadPutsAnotherVersionBesideTheFirst) {
  start();
  EXPECT_FALSE(get("/v1/models").has("intent-v2"));
  specialists::testing::write_small_specialist(folder_ / "all" / "intent-v2", "b_");
  ASSERT_TRUE(gateway_->reload({with_specialists(), std::make_shared<KeyRing>()}));
  EXPECT_TRUE(get("/v1/models").has("\"id\":\"intent-v2\""));
  EXPECT_EQ(get("/v1/models/intent-v2").status, 200);
  EXPECT_EQ(at(classify(R"({"model":"intent-v2","input":"where is my card"})"), "/data/0/0/label"), "\"b_card\"");
  EXPECT_EQ(at(classify(R"({"model":"intent-v1","input":"where is my card"})"), "/data/0/0/label"), "\"card\"");
  EXPECT_EQ(classify(R"({"input":"where is my card"})").status, 400) << "which of the two?";
}

}  // namespace
}  // namespace understudy::gateway
