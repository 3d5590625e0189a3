// POST /v1/embeddings and /v1/score from outside: our own encoder, and an upstream's.

#include <simdjson.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "base/base64.h"
#include "gateway/internal/test_support.h"
#include "net/server.h"
#include "neural/encoder_pool.h"
#include "neural/tiny_model_test_util.h"
#include "specialists/registry.h"
#include "specialists/small_specialist_test_util.h"

namespace understudy::gateway {
namespace {

/// (1, 0), turned by the text's length.
class Lengths final : public neural::TextEncoder {
 public:
  const neural::EncoderIdentity& identity() const override { return identity_; }
  std::size_t dimension() const override { return 2; }
  std::size_t max_tokens() const override { return 8; }
  const neural::WordPiece& tokenizer() const override { return tokenizer_; }
  Result<void> embed(std::span<const std::string_view> texts, std::span<float> vectors) const override {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (texts[i] == "fail") return fail(ErrorKind::kInternal, "told to");
      const double angle = 0.01 * static_cast<double>(texts[i].size());
      vectors[2 * i] = static_cast<float>(std::cos(angle));
      vectors[2 * i + 1] = static_cast<float>(std::sin(angle));
    }
    return {};
  }
  Result<std::vector<float>> token_vectors(const neural::Tokens&) const override { return fail(ErrorKind::kUnsupported, "no"); }

 private:
  neural::EncoderIdentity identity_{"lengths-v1", "w", "t", "s", "fp32", "avx2", "none"};
  neural::WordPiece tokenizer_ = *neural::WordPiece::create(neural::testing::TinyModel::kVocabulary, {});
};

/// What the upstream was sent last.
struct Seen {
  std::mutex mutex;
  std::string path, body, authorization;
} seen;

net::Awaitable<void> answer_as_upstream(net::Exchange& exchange) {
  {
    const std::lock_guard lock(seen.mutex);
    seen.path = exchange.head().path;
    seen.body = exchange.body();
    seen.authorization = exchange.head().find("authorization").value_or("");
  }
  const bool broken = exchange.body().find("broken") != std::string_view::npos;
  const net::Field type("content-type", "application/json");
  const std::string_view answer = broken ? R"({"error":{"message":"no such input"}})" : R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"theirs","usage":{"prompt_tokens":1,"total_tokens":1}})";
  [[maybe_unused]] auto sent = co_await exchange.respond(broken ? 400 : 200, std::span<const net::Field>(&type, 1), answer);
}

class EmbeddingsTest : public GatewayTest {
 protected:
  void start(bool encoder, cascade::UnknownModel unknown = cascade::UnknownModel::kAuto) {
    net::ServerOptions upstream;
    upstream.workers = 1;
    upstream_ = std::move(*net::Server::create(upstream, [](net::Reactor&) -> Result<std::unique_ptr<net::Service>> { return net::make_service(answer_as_upstream); }));
    auto made = policy();
    made->unknown_model = unknown;
    cascade::PricedModel model;
    model.config.name = "vectors";
    model.config.url = fmt::format("http://127.0.0.1:{}/v1", upstream_->port());
    model.config.upstream_model = "text-embedding-x";
    model.config.key = "up-key";
    made->models.push_back(model);
    if (!std::filesystem::exists(folder_ / "all")) specialists::testing::write_small_specialist(folder_ / "all" / "intent-v1");
    made->specialists = *specialists::Registry::load({folder_ / "all", true, {}});
    GatewayOptions options;
    options.server.workers = 1;
    if (encoder) options.encoder = std::make_shared<neural::EncoderPool>(std::make_unique<Lengths>());
    auto started = Gateway::start(std::move(options), {made, std::make_shared<KeyRing>()}, nullptr);
    ASSERT_TRUE(started) << started.error().message;
    gateway_ = std::move(*started);
  }
  ~EmbeddingsTest() override {
    gateway_.reset();
    if (upstream_) upstream_->drain(0);
  }
  HttpAnswer post(std::string_view path, std::string_view body) { return send(gateway_->port(), "POST", path, body); }
  HttpAnswer embed(std::string_view body) { return post("/v1/embeddings", body); }
  static std::string at(const HttpAnswer& answer, std::string_view pointer) {
    simdjson::dom::parser parser;
    const auto found = parser.parse(answer.body).at_pointer(pointer);
    return found.error() == simdjson::SUCCESS ? simdjson::minify(found.value_unsafe()) : "";
  }

  std::unique_ptr<net::Server> upstream_;
};

TEST_F(EmbeddingsTest, OurOwnEncoderAnswersByEachOfItsNames) {
  start(true);
  for (const char* model : {"understudy/encoder", "lengths-v1"}) {
    const HttpAnswer answer = embed(fmt::format(R"({{"model":"{}","input":["a","where is my card"],"dimensions":2}})", model));
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(at(answer, "/object"), "\"list\"");
    EXPECT_EQ(at(answer, "/model"), fmt::format("\"{}\"", model));
    EXPECT_EQ(at(answer, "/data/1/object"), "\"embedding\"");
    EXPECT_EQ(at(answer, "/data/1/index"), "1");
    EXPECT_EQ(std::stof(at(answer, "/data/0/embedding/0")), std::cos(0.01f));
    EXPECT_EQ(at(answer, "/data/0/embedding/2"), "") << "two numbers a vector";
    EXPECT_EQ(at(answer, "/usage/prompt_tokens"), "9") << "[CLS] a [SEP], and four words between them";
    EXPECT_EQ(answer.field("x-understudy-served-by"), "encoder");
  }
  EXPECT_EQ(embed(R"({"input":"a"})").status, 200) << "without a model's name it is ours";
  EXPECT_TRUE(get("/v1/models").has("\"id\":\"lengths-v1\""));
}

TEST_F(EmbeddingsTest, WhatTheEncoderDidIsInTheMetrics) {
  start(true);
  ASSERT_EQ(embed(R"({"model":"understudy/encoder","input":["a","b"]})").status, 200);
  const std::string text = get("/metrics").body;
  std::ifstream page(std::filesystem::path(UNDERSTUDY_SOURCE_DIR) / "docs" / "operate" / "metrics.md");
  const std::string documented{std::istreambuf_iterator<char>(page), {}};
  for (const char* name : {"encoder_batches_total", "encoder_texts_total", "encoder_failed_total", "encoder_turned_away_total", "encoder_wait_seconds_total", "encoder_waiting"}) {
    EXPECT_NE(text.find(fmt::format("# TYPE understudy_{} ", name)), std::string::npos) << name;
    EXPECT_NE(documented.find(fmt::format("`{}`", name)), std::string::npos) << name;
  }
  EXPECT_NE(text.find("understudy_encoder_waiting{lane=\"bulk\"} 0\n"), std::string::npos);
  EXPECT_EQ(text.find("understudy_encoder_texts_total 0\n"), std::string::npos) << text;
}

TEST_F(EmbeddingsTest, Base64IsTheSameFloats) {
  start(true);
  const HttpAnswer answer = embed(R"({"model":"understudy/encoder","input":"abc","encoding_format":"base64"})");
  const std::string quoted = at(answer, "/data/0/embedding");
  const auto bytes = from_base64(std::string_view(quoted).substr(1, quoted.size() - 2));
  ASSERT_TRUE(bytes);
  ASSERT_EQ(bytes->size(), 2 * sizeof(float));
  float first = 0;
  std::memcpy(&first, bytes->data(), sizeof first);
  EXPECT_EQ(first, static_cast<float>(std::cos(0.03)));
}

TEST_F(EmbeddingsTest, ManyTextsKeepTheirPlaces) {
  start(true);
  std::string body = R"({"model":"understudy/encoder","input":[)";
  for (int i = 1; i <= 2'048; ++i) body += (i == 1 ? "\"" : ",\"") + std::string(static_cast<std::size_t>(i % 90) + 1, 'a') + '"';
  const HttpAnswer answer = embed(body + "]}");
  ASSERT_EQ(answer.status, 200) << answer.body.substr(0, 300);
  for (const int i : {1, 17, 500, 2'048}) EXPECT_EQ(std::stof(at(answer, fmt::format("/data/{}/embedding/0", i - 1))), static_cast<float>(std::cos(0.01 * (i % 90 + 1)))) << i;
}

TEST_F(EmbeddingsTest, WhatTheEncoderCannotDoIsRefused) {
  start(true);
  EXPECT_EQ(at(embed(R"({"model":"understudy/encoder","input":[[1,2]]})"), "/error/param"), "\"input\"");
  const HttpAnswer shorter = embed(R"({"model":"understudy/encoder","input":"a","dimensions":1})");
  EXPECT_EQ(shorter.status, 400);
  EXPECT_TRUE(shorter.has("2 dimensions")) << shorter.body;
  EXPECT_EQ(embed(R"({"model":"understudy/encoder","input":["a","fail"]})").status, 500);
  EXPECT_EQ(embed(R"({"model":"understudy/encoder","input":""})").status, 400);
}

TEST_F(EmbeddingsTest, WithoutAnEncoderTheRemedyIsNamed) {
  start(false);
  for (const char* path : {"/v1/embeddings", "/v1/score"}) {
    const HttpAnswer answer = post(path, path[4] == 'e' ? R"({"model":"understudy/encoder","input":"a"})" : R"({"model":"understudy/encoder","text_1":"a","text_2":"b"})");
    EXPECT_EQ(answer.status, 404) << answer.body;
    EXPECT_TRUE(answer.has("encoder = \\\"on\\\"")) << answer.body;
  }
}

TEST_F(EmbeddingsTest, AConfiguredModelsUpstreamIsAskedUnderItsOwnName) {
  start(false);
  const HttpAnswer answer = embed(R"({"input": [1, 2], "model": "vectors", "dimensions": 256})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(at(answer, "/data/0/embedding/0"), "0.5");
  EXPECT_EQ(answer.field("x-understudy-served-by"), "upstream");
  {
    const std::lock_guard lock(seen.mutex);
    EXPECT_EQ(seen.path, "/v1/embeddings");
    EXPECT_EQ(seen.body, R"({"model":"text-embedding-x","input":[1,2],"dimensions":256})");
    EXPECT_EQ(seen.authorization, "Bearer up-key");
  }
  const HttpAnswer refused = embed(R"({"input":"broken","model":"vectors"})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_TRUE(refused.has("no such input")) << refused.body;
}

TEST_F(EmbeddingsTest, UnknownNamesGoToTheTeachersUpstreamOrAreErrors) {
  start(false);
  const HttpAnswer file = embed(R"({"input":"a","model":"text-embedding-3-small"})");
  EXPECT_EQ(file.status, 404) << "the teacher of this test is a file: " << file.body;
  EXPECT_TRUE(file.has("understudy/encoder")) << file.body;
  gateway_.reset();
  start(false, cascade::UnknownModel::kError);
  const HttpAnswer unknown = embed(R"({"input":"a","model":"vector"})");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_TRUE(unknown.has("did you mean \\\"vectors\\\"?")) << unknown.body;
}

TEST_F(EmbeddingsTest, ScoresAreCosinesAndSayThatTheyAreNotCalibrated) {
  start(true);
  const HttpAnswer answer = post("/score", R"({"model":"understudy/encoder","text_1":"aaaa","text_2":["aaaa","aaaaaaaaaaaaaa"]})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(at(answer, "/object"), "\"list\"");
  EXPECT_NEAR(std::stod(at(answer, "/data/0/score")), 1, 1e-5);
  EXPECT_NEAR(std::stod(at(answer, "/data/1/score")), std::cos(0.1), 1e-5);
  EXPECT_EQ(at(answer, "/data/1/object"), "\"score\"");
  EXPECT_EQ(at(answer, "/calibration"), "null");
}

TEST_F(EmbeddingsTest, AScoreNeedsASpecialistThatScores) {
  start(true);
  const HttpAnswer intent = post("/v1/score", R"({"model":"intent-v1","text_1":"a","text_2":"b"})");
  EXPECT_EQ(intent.status, 400);
  EXPECT_TRUE(intent.has("kind judge or rerank")) << intent.body;
  const HttpAnswer unknown = post("/v1/score", R"({"model":"judge","text_1":"a","text_2":"b"})");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_TRUE(unknown.has("kind judge or rerank")) << unknown.body;
}

}  // namespace
}  // namespace understudy::gateway
