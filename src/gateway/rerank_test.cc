// POST /v1/rerank and /v1/score by rerankers and judges, from outside.

#include <simdjson.h>

#include <future>

#include "gateway/internal/test_support.h"
#include "neural/encoder_pool.h"
#include "neural/tiny_model_test_util.h"
#include "specialists/registry.h"
#include "specialists/small_pairs_test_util.h"
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
      if (texts[i] == "wait") {
        waits.set_value();
        go.get_future().wait();
      }
      const double angle = 0.01 * static_cast<double>(texts[i].size());
      vectors[2 * i] = static_cast<float>(std::cos(angle));
      vectors[2 * i + 1] = static_cast<float>(std::sin(angle));
    }
    return {};
  }
  Result<std::vector<float>> token_vectors(const neural::Tokens&) const override { return fail(ErrorKind::kUnsupported, "no"); }
  mutable std::promise<void> waits, go;   ///< once: it computes "wait"; it may go on

 private:
  neural::EncoderIdentity identity_{"lengths-v1", "w", "t", "s", "fp32", "avx2", "none"};
  neural::WordPiece tokenizer_ = *neural::WordPiece::create(neural::testing::TinyModel::kVocabulary, {});
};

constexpr std::string_view kBody = R"("query":"who made the compass of 9","documents":["Somebody made the violin once.","Somebody made the compass once.",{"text":"Somebody made the lantern once.","id":7}])";

class RerankTest : public GatewayTest {
 protected:
  std::shared_ptr<const cascade::Policy> loaded(cascade::UnknownModel unknown = cascade::UnknownModel::kAuto) {
    auto made = policy();
    std::filesystem::create_directories(folder_ / "all");
    auto registry = specialists::Registry::load({folder_ / "all", true, {}});
    EXPECT_TRUE(registry) << registry.error().message;
    std::vector<std::string> notes;
    made->specialists = specialists::Registry::fitted(**registry, nullptr, notes);
    made->unknown_model = unknown;
    return made;
  }
  void start(bool encoder = false, cascade::UnknownModel unknown = cascade::UnknownModel::kAuto, std::vector<ApiKey> keys = {}) {
    GatewayOptions options;
    options.server.workers = 1;
    if (encoder) {
      auto made = std::make_unique<Lengths>();
      encoder_ = made.get();
      options.encoder = std::make_shared<neural::EncoderPool>(std::move(made));
    }
    auto started = Gateway::start(std::move(options), {loaded(unknown), std::make_shared<KeyRing>(std::move(keys))}, nullptr);
    ASSERT_TRUE(started) << started.error().message;
    gateway_ = std::move(*started);
  }
  HttpAnswer post(std::string_view path, std::string_view body, std::string_view fields = {}) { return send(gateway_->port(), "POST", path, body, fields); }
  HttpAnswer rerank(std::string_view fields) { return post("/v1/rerank", fmt::format("{{{}}}", fields)); }
  static std::string at(const HttpAnswer& answer, std::string_view pointer) {
    simdjson::dom::parser parser;
    const auto found = parser.parse(answer.body).at_pointer(pointer);
    return found.error() == simdjson::SUCCESS ? simdjson::minify(found.value_unsafe()) : "";
  }
  const Lengths* encoder_ = nullptr;
  void reranker(const char* name, std::size_t queries = 40) { specialists::testing::write_small_reranker(folder_ / "all" / name, queries); }
};

TEST_F(RerankTest, AnswersUnderEachPathInTheFormOfCohereAndJina) {
  reranker("rank-v1");
  start();
  for (const char* path : {"/v1/rerank", "/rerank", "/v2/rerank", "/cohere/v2/rerank", "/v1/reranking"}) {
    const HttpAnswer answer = post(path, fmt::format(R"({{"model":"rank-v1",{}}})", kBody), "x-request-id: mine\r\n");
    ASSERT_EQ(answer.status, 200) << path << answer.body;
    EXPECT_EQ(at(answer, "/id"), "\"mine\"");
    EXPECT_EQ(at(answer, "/model"), "\"rank-v1\"");
    EXPECT_EQ(at(answer, "/results/0/index"), "1");
    EXPECT_GT(std::stod(at(answer, "/results/0/relevance_score")), 0.5);
    EXPECT_LE(std::stod(at(answer, "/results/1/relevance_score")), std::stod(at(answer, "/results/0/relevance_score")));
    EXPECT_NE(at(answer, "/results/2/index"), "");
    EXPECT_EQ(at(answer, "/results/3"), "");
    EXPECT_EQ(at(answer, "/results/0/document"), "") << "not asked for";
    EXPECT_GT(std::stoi(at(answer, "/usage/total_tokens")), 10);
    EXPECT_EQ(at(answer, "/meta/api_version/version"), "\"2\"");
    EXPECT_EQ(at(answer, "/meta/billed_units/search_units"), "0");
    EXPECT_EQ(at(answer, "/meta/warnings"), "");
    EXPECT_EQ(at(answer, "/calibration/id").size(), 18u);
    EXPECT_EQ(answer.field("x-understudy-served-by"), "specialist:rank-v1");
    EXPECT_EQ(answer.field("x-understudy-cost-usd"), "0");
    EXPECT_TRUE(answer.field("x-understudy-overhead-us"));
  }
  EXPECT_TRUE(get("/v1/models").has("\"id\":\"rank-v1\""));
}

TEST_F(RerankTest, TopNDocumentsAndTies) {
  reranker("rank-v1");
  start();
  const HttpAnswer one = rerank(fmt::format(R"({},"top_n":1,"return_documents":true)", kBody));
  EXPECT_EQ(at(one, "/results/0/document"), R"({"text":"Somebody made the compass once."})");
  EXPECT_EQ(at(one, "/results/1"), "");
  const HttpAnswer all = rerank(fmt::format(R"({},"top_n":50,"return_documents":true)", kBody));
  EXPECT_NE(at(all, "/results/2/index"), "");
  EXPECT_TRUE(all.has(R"({"text":"Somebody made the lantern once.","id":7})")) << "an object comes back as it was: " << all.body;
  const HttpAnswer alike = rerank(R"("query":"who made the compass of 9","documents":["the same","the same","the same"])");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(at(alike, fmt::format("/results/{}/index", i)), std::to_string(i));
  const HttpAnswer single = rerank(R"("query":"q","documents":["d"])");
  EXPECT_EQ(single.status, 200);
  EXPECT_EQ(at(single, "/results/0/index"), "0");
}

TEST_F(RerankTest, TheFormOfTei) {
  reranker("rank-v1");
  start();
  const std::string_view body = R"("query":"who made the compass of 9","texts":["Somebody made the violin once.","Somebody made the compass once."])";
  const HttpAnswer plain = rerank(body);
  ASSERT_EQ(plain.status, 200) << plain.body;
  EXPECT_EQ(at(plain, "/0/index"), "1");
  EXPECT_EQ(at(plain, "/0/text"), "");
  const double score = std::stod(at(plain, "/0/score"));
  const HttpAnswer raw = rerank(fmt::format(R"({},"raw_scores":true,"return_text":true)", body));
  EXPECT_EQ(at(raw, "/0/text"), "\"Somebody made the compass once.\"");
  EXPECT_GT(std::stod(at(raw, "/0/score")), score) << "log-odds";
  const HttpAnswer none = rerank(R"("query":"q","texts":[])");
  EXPECT_EQ(none.status, 422);
  EXPECT_EQ(at(none, "/error_type"), "\"Validation\"");
  EXPECT_NE(at(none, "/error"), "");
  const std::string enormous = fmt::format(R"("query":"q","texts":["{}"])", std::string(70'000, 'a'));
  EXPECT_EQ(rerank(enormous).status, 422);
  EXPECT_EQ(rerank(enormous + R"(,"truncate":true)").status, 200);
}

TEST_F(RerankTest, AThousandDocumentsAndEnormousOnes) {
  reranker("rank-v1");
  start();
  std::string documents;
  for (int i = 0; i < 1'000; ++i) documents += fmt::format(R"({}"Somebody made the {} once, at place {}.")", i == 0 ? "" : ",", i == 777 ? "compass" : "violin", i);
  const HttpAnswer many = rerank(fmt::format(R"("query":"who made the compass of old","top_n":3,"documents":[{}])", documents));
  ASSERT_EQ(many.status, 200) << many.body.substr(0, 300);
  EXPECT_EQ(at(many, "/results/0/index"), "777");
  EXPECT_EQ(at(many, "/results/3"), "");
  EXPECT_EQ(metric("rerank_documents_total"), "1000");
  const HttpAnswer enormous = rerank(fmt::format(R"("query":"who made the compass of 9","documents":["{}","the compass"])", std::string(3'000'000, 'x')));
  EXPECT_EQ(enormous.status, 200) << "only its beginning is read";
  EXPECT_EQ(at(enormous, "/results/0/index"), "1");
}

TEST_F(RerankTest, WhoAnswersWhichName) {
  reranker("rank-v1");
  specialists::testing::write_small_specialist(folder_ / "all" / "intents");
  specialists::testing::write_small_judge(folder_ / "all" / "truth");
  start();
  const HttpAnswer theirs = rerank(fmt::format(R"("model":"cohere-large-v3.5",{})", kBody));
  EXPECT_EQ(theirs.status, 200) << "an application changes its base_url and nothing else";
  EXPECT_EQ(at(theirs, "/model"), "\"cohere-large-v3.5\"");
  EXPECT_EQ(theirs.field("x-understudy-model"), "rank-v1");
  EXPECT_EQ(rerank(kBody).status, 200);
  const HttpAnswer slip = rerank(fmt::format(R"("model":"rank-v2",{})", kBody));
  EXPECT_EQ(slip.status, 404);
  EXPECT_TRUE(slip.has("did you mean \\\"rank-v1\\\"?")) << slip.body;
  for (const char* name : {"intents", "truth", "teacher", "default", "understudy/auto"}) {
    const HttpAnswer other = rerank(fmt::format(R"("model":"{}",{})", name, kBody));
    EXPECT_EQ(other.status, 400) << name << other.body;
    EXPECT_EQ(at(other, "/error/param"), "\"model\"");
  }
  EXPECT_TRUE(rerank(fmt::format(R"("model":"truth",{})", kBody)).has("it answers /v1/score"));
  EXPECT_EQ(rerank(fmt::format(R"("model":"understudy/encoder",{})", kBody)).status, 404) << "there is none";
  EXPECT_EQ(post("/v1/classify", R"({"model":"rank-v1","input":"a"})").status, 400);
  EXPECT_EQ(post("/v1/classify", R"({"input":"where is my card"})").status, 200) << "the only one of its kind";
  gateway_.reset();
  reranker("second", 44);
  start();
  const HttpAnswer which = rerank(kBody);
  EXPECT_EQ(which.status, 400);
  EXPECT_TRUE(which.has("rank-v1, second")) << which.body;
  EXPECT_EQ(rerank(fmt::format(R"("model":"cohere-large-v3.5",{})", kBody)).status, 404);
  gateway_.reset();
  std::filesystem::remove_all(folder_ / "all" / "second");
  start(false, cascade::UnknownModel::kError);
  EXPECT_EQ(rerank(fmt::format(R"("model":"cohere-large-v3.5",{})", kBody)).status, 404);
}

TEST_F(RerankTest, ErrorsHaveTheFormOfTheService) {
  reranker("rank-v1");
  start(false, cascade::UnknownModel::kAuto, {key("bot", "bot-key")});
  const HttpAnswer cohere = post("/v2/rerank", R"({"query":"q","documents":[]})", "Authorization: Bearer bot-key\r\n");
  EXPECT_EQ(cohere.status, 400);
  EXPECT_TRUE(at(cohere, "/message").starts_with("\"Field 'documents'")) << cohere.body;
  EXPECT_EQ(at(post("/v1/rerank", R"({"query":"q","documents":[]})", "Authorization: Bearer bot-key\r\n"), "/error/param"), "\"documents\"");
  EXPECT_EQ(post("/v2/rerank", R"({"query":"q","documents":["d"]})").status, 401);
  EXPECT_NE(at(post("/cohere/v2/rerank", R"({"query":"q","documents":["d"]})"), "/message"), "");
  EXPECT_EQ(send(gateway_->port(), "GET", "/v2/rerank").status, 405);
}

TEST_F(RerankTest, WithoutARerankerTheEncoderAnswersAndSaysSo) {
  start(true);
  const HttpAnswer answer = rerank(R"("model":"rerank-v3.5","query":"aaaa","documents":["aaaaaaaaaaaaaa","aaaa"])");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(at(answer, "/results/0/index"), "1");
  EXPECT_NEAR(std::stod(at(answer, "/results/1/relevance_score")), std::cos(0.1), 1e-5);
  EXPECT_TRUE(at(answer, "/meta/warnings/0").find("cosine") != std::string::npos);
  EXPECT_EQ(at(answer, "/calibration"), "null");
  EXPECT_EQ(answer.field("x-understudy-served-by"), "encoder");
  EXPECT_EQ(metric("score_cache_entries"), "2") << "each text once: the query is one of the documents";
  EXPECT_EQ(metric("score_cache_misses_total"), "3");
  ASSERT_EQ(rerank(R"("query":"aaaa","documents":["aaaaaaaaaaaaaa","aaaa"])").status, 200);
  EXPECT_EQ(metric("score_cache_misses_total"), "3");
  EXPECT_EQ(rerank(R"("query":"fail","documents":["a"])").status, 500);
  EXPECT_EQ(rerank(R"("query":"fail","texts":["a"])").status, 424);
  gateway_.reset();
  start(false);
  const HttpAnswer none = rerank(R"("query":"a","documents":["b"])");
  EXPECT_EQ(none.status, 404);
  EXPECT_TRUE(none.has("understudy train rerank")) << none.body;
}

TEST_F(RerankTest, NothingIsComputedForAClientThatHasLeft) {
  start(true);
  std::string body = R"({"query":"wait","documents":[")";
  for (int i = 0; i < 1'000; ++i) body += std::string(static_cast<std::size_t>(i) + 5, 'a') + (i < 999 ? "\",\"" : "\"]}");
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(gateway_->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const std::string request = fmt::format("POST /v1/rerank HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{}", body.size(), body);
  for (std::size_t sent = 0; sent < request.size();) sent += static_cast<std::size_t>(::send(fd, request.data() + sent, request.size() - sent, 0));
  encoder_->waits.get_future().wait();   // on a thread of its own: the reactor serves on
  EXPECT_EQ(get("/health").status, 200);
  ::close(fd);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(get("/health").status, 200);   // turns of the reactor's loop, in which it sees that
  encoder_->go.set_value();
  while (metric("requests_in_flight") != "1") EXPECT_EQ(get("/health").status, 200);   // that of /metrics itself
  EXPECT_EQ(metric("rerank_requests_total"), "0");
  EXPECT_EQ(metric("score_cache_entries"), "16") << "one piece";
}

TEST_F(RerankTest, ScoresAreProbabilitiesOfRerankersAndJudges) {
  reranker("rank-v1");
  specialists::testing::write_small_judge(folder_ / "all" / "truth");
  start();
  const HttpAnswer ranked = post("/v1/score", R"({"model":"rank-v1","text_1":"who made the compass of 9","text_2":["Somebody made the violin once.","Somebody made the compass once."]})");
  ASSERT_EQ(ranked.status, 200) << ranked.body;
  EXPECT_EQ(at(ranked, "/object"), "\"list\"");
  EXPECT_GT(std::stod(at(ranked, "/data/1/score")), std::stod(at(ranked, "/data/0/score")));
  EXPECT_EQ(at(ranked, "/calibration/id").size(), 18u);
  EXPECT_EQ(ranked.field("x-understudy-served-by"), "specialist:rank-v1");
  const HttpAnswer reranked = rerank(R"("model":"rank-v1","query":"who made the compass of 9","documents":["Somebody made the violin once.","Somebody made the compass once."])");
  EXPECT_EQ(at(reranked, "/results/0/relevance_score"), at(ranked, "/data/1/score"));
  const HttpAnswer judged = post("/score", R"({"model":"truth","text_1":["Ann made the compass in 1850.","Ann made the compass in 1850."],"text_2":["In 1850 Ann made the compass.","In 1853 Bob sold a violin."]})");
  ASSERT_EQ(judged.status, 200) << judged.body;
  EXPECT_GT(std::stod(at(judged, "/data/0/score")), 0.5);
  EXPECT_LT(std::stod(at(judged, "/data/1/score")), 0.5);
  const HttpAnswer which = post("/v1/score", R"({"text_1":"a","text_2":"b"})");
  EXPECT_EQ(which.status, 400);
  EXPECT_TRUE(which.has("rank-v1, truth")) << which.body;
  EXPECT_EQ(metric("score_pairs_total"), "4");
}

TEST_F(RerankTest, JudgesOfAnswersScoreResponsesAndCompareTwo) {
  using specialists::JudgeForm;
  specialists::testing::write_small_answer_judge(folder_ / "all" / "grader", JudgeForm::kScore);
  specialists::testing::write_small_answer_judge(folder_ / "all" / "better", JudgeForm::kPreference);
  start();
  const std::string prompt = specialists::testing::small_prompt(7), good = specialists::testing::small_response(5), poor = specialists::testing::small_response(0);
  const HttpAnswer scored = post("/v1/score", fmt::format(R"({{"model":"grader","prompt":"{}","response":["{}","{}",""]}})", prompt, good, poor));
  ASSERT_EQ(scored.status, 200) << scored.body;
  EXPECT_EQ(at(scored, "/object"), "\"list\"");
  EXPECT_EQ(at(scored, "/data/1/object"), "\"score\"");
  EXPECT_GT(std::stod(at(scored, "/data/0/score")), std::stod(at(scored, "/data/1/score")) + 2);
  EXPECT_GT(std::stod(at(scored, "/data/0/raw")), std::stod(at(scored, "/data/1/raw")));
  EXPECT_GE(std::stod(at(scored, "/data/0/rating")), 1);
  EXPECT_LE(std::stod(at(scored, "/data/0/probability")), 1);
  EXPECT_EQ(at(scored, "/data/2/index"), "2") << "an empty response is an answer, too";
  EXPECT_EQ(at(scored, "/scale"), R"({"lowest":1,"highest":6,"step":1})");
  EXPECT_EQ(at(scored, "/calibration/rows"), "144");
  EXPECT_GT(std::stoi(at(scored, "/usage/total_tokens")), 10);
  EXPECT_EQ(scored.field("x-understudy-served-by"), "specialist:grader");
  const auto compared = [&](const std::string& a, const std::string& b) { return post("/score", fmt::format(R"({{"model":"better","prompt":"{}","a":"{}","b":"{}"}})", prompt, a, b)); };
  const HttpAnswer first = compared(good, poor), second = compared(poor, good), same = compared(good, good);
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(at(first, "/data/0/choice"), "1");
  EXPECT_EQ(at(second, "/data/0/choice"), "2");
  EXPECT_EQ(at(first, "/data/0/object"), "\"preference\"");
  EXPECT_EQ(at(first, "/data/0/probability"), at(second, "/data/0/probability")) << "no side is preferred";
  EXPECT_GT(std::stod(at(first, "/data/0/probability")), 0.5);
  EXPECT_EQ(at(same, "/data/0/choice"), "0");
  EXPECT_EQ(at(first, "/scale"), "");
  EXPECT_EQ(metric("score_requests_total"), "4");
  EXPECT_EQ(metric("score_pairs_total"), "6");
  EXPECT_TRUE(get("/v1/models").has("\"id\":\"grader\""));
}

TEST_F(RerankTest, AScoreIsAskedOfWhatReadsSuchFields) {
  using specialists::JudgeForm;
  reranker("rank-v1");
  specialists::testing::write_small_answer_judge(folder_ / "all" / "grader", JudgeForm::kScore);
  specialists::testing::write_small_answer_judge(folder_ / "all" / "better", JudgeForm::kPreference);
  start();
  const auto score = [&](std::string_view fields) { return post("/v1/score", fmt::format("{{{}}}", fields)); };
  constexpr std::string_view kPair = R"("text_1":"q","text_2":"d")", kResponse = R"("prompt":"p","response":"r")", kTwo = R"("prompt":"p","a":"x","b":"y")";
  for (const auto& [fields, served_by] : {std::pair(kPair, "specialist:rank-v1"), {kResponse, "specialist:grader"}, {kTwo, "specialist:better"}}) {
    const HttpAnswer answer = score(fields);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.field("x-understudy-served-by"), served_by) << "the only one that reads them";
  }
  const auto refused = [&](std::string_view model, std::string_view fields, std::string_view param, std::string_view words) {
    const HttpAnswer answer = score(fmt::format(R"("model":"{}",{})", model, fields));
    EXPECT_EQ(answer.status, 400) << answer.body;
    EXPECT_EQ(at(answer, "/error/param"), fmt::format("\"{}\"", param));
    EXPECT_TRUE(answer.has(words)) << answer.body;
  };
  refused("grader", kPair, "text_1", "'grader' is of kind judge (score): it reads 'prompt' and 'response', and the request has 'text_1' and 'text_2'");
  refused("grader", kTwo, "a", "reads 'prompt' and 'response'");
  refused("better", kResponse, "response", "of kind judge (preference): it reads 'prompt', 'a' and 'b'");
  refused("rank-v1", kResponse, "response", "of kind rerank: it reads 'text_1' and 'text_2'");
  refused("grader", R"("prompt":"p")", "response", "'response' is missing");
  const HttpAnswer unknown = score(fmt::format(R"("model":"grade",{})", kResponse));
  EXPECT_EQ(unknown.status, 404);
  EXPECT_TRUE(unknown.has("did you mean \\\"grader\\\"?")) << unknown.body;
  EXPECT_TRUE(rerank(fmt::format(R"("model":"grader",{})", kBody)).has("of kind judge (score): it answers /v1/score"));
  EXPECT_EQ(post("/v1/classify", R"({"model":"grader","input":"a"})").status, 400);
  // One more of a form: then it must be named. A reload brings it.
  specialists::testing::write_small_answer_judge(folder_ / "all" / "grader-2", JudgeForm::kScore, 100);
  ASSERT_TRUE(gateway_->reload({loaded(), std::make_shared<KeyRing>()}));
  const HttpAnswer which = score(kResponse);
  EXPECT_EQ(which.status, 400);
  EXPECT_TRUE(which.has("grader, grader-2")) << which.body;
  EXPECT_FALSE(which.has("rank-v1")) << which.body;
  EXPECT_EQ(score(fmt::format(R"("model":"grader-2",{})", kResponse)).status, 200);
  EXPECT_EQ(score(kPair).status, 200);
}

TEST_F(RerankTest, ANewVersionNeverGetsTheOldOnesScores) {
  if (const std::string none = specialists::testing::write_small_cross_reranker(folder_ / "all" / "rank", "gateway_cross"); !none.empty()) GTEST_SKIP() << none;
  start();
  const std::string_view body = R"("model":"rank","query":"is my pin lost","documents":["where is my card","the money is lost","why not transfer"])";
  const HttpAnswer first = rerank(body);
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(metric("score_cache_misses_total"), "3");
  EXPECT_EQ(at(rerank(body), "/results"), at(first, "/results"));
  EXPECT_EQ(metric("score_cache_hits_total"), "3");

  // Under the same name another reranker, whose cross-encoder has other weights.
  std::filesystem::remove_all(folder_ / "all" / "rank");
  ASSERT_EQ(specialists::testing::write_small_cross_reranker(folder_ / "all" / "rank", "gateway_cross_2", 48), "");
  ASSERT_TRUE(gateway_->reload({loaded(), std::make_shared<KeyRing>()}));
  const HttpAnswer second = rerank(body);
  ASSERT_EQ(second.status, 200) << second.body;
  EXPECT_NE(at(second, "/calibration/id"), at(first, "/calibration/id"));
  EXPECT_EQ(metric("score_cache_misses_total"), "6");
  gateway_.reset();
  start();   // with an empty cache
  EXPECT_EQ(at(rerank(body), "/results"), at(second, "/results"));
}

TEST_F(RerankTest, OneThatCannotAnswerHereSaysWhy) {
  if (const std::string none = specialists::testing::write_small_cross_reranker(folder_ / "all" / "rank", "gateway_unfit"); !none.empty()) GTEST_SKIP() << none;
  std::filesystem::remove(folder_ / "all" / "rank" / "cross_encoder" / "model.safetensors");
  start();
  const HttpAnswer answer = rerank(R"("query":"is my pin lost","documents":["where is my card"])");
  EXPECT_EQ(answer.status, 501);
  EXPECT_TRUE(answer.has("cannot answer on this machine")) << answer.body;
  EXPECT_TRUE(get("/v1/models").has("\"rank\""));
}

TEST_F(RerankTest, WhatItDidIsInTheMetrics) {
  reranker("rank-v1");
  start();
  ASSERT_EQ(rerank(kBody).status, 200);
  EXPECT_EQ(metric("rerank_requests_total"), "1");
  EXPECT_EQ(metric("rerank_documents_total"), "3");
  const std::string text = get("/metrics").body;
  std::ifstream page(std::filesystem::path(UNDERSTUDY_SOURCE_DIR) / "docs" / "operate" / "metrics.md");
  const std::string documented{std::istreambuf_iterator<char>(page), {}};
  for (const char* name : {"rerank_requests_total", "rerank_documents_total", "score_requests_total", "score_pairs_total", "score_waiting", "score_turned_away_total", "score_wait_seconds_total",
                           "score_work_seconds_total", "score_cache_hits_total", "score_cache_misses_total", "score_cache_bytes", "score_cache_entries"}) {
    EXPECT_NE(text.find(fmt::format("# TYPE understudy_{} ", name)), std::string::npos) << name;
    EXPECT_NE(documented.find(fmt::format("`{}`", name)), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace understudy::gateway
