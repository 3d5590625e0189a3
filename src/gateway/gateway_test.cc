// The HTTP API from outside: a gateway on a port of its own, scripted upstreams behind it, plain sockets in front.

#include "gateway/gateway.h"

#include <fstream>
#include <set>

#include "gateway/internal/test_support.h"

namespace understudy::gateway {
namespace {

TEST_F(GatewayTest, ChatIsServedUnderEachOfItsPaths) {
  start();
  for (const char* path : {"/v1/chat/completions", "/chat/completions", "/openai/v1/chat/completions", "/openai/chat/completions"}) {
    const HttpAnswer answer = chat(kSure, {}, path);
    EXPECT_EQ(answer.status, 200) << path;
    EXPECT_TRUE(answer.has("\"content\":\"sure\"")) << answer.body;
  }
}

TEST_F(GatewayTest, RoutesThatDoNotExistSayWhichDo) {
  start();
  for (const char* path : {"/v1", "/v2/chat/completions", "/admin/api", "/admin/api/tasks/a/b", "/admin/api/tasks/", "/v1/chat/completions/", "/v1/images", "/openai/health", "/metrics/x"}) {
    const HttpAnswer answer = get(path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_TRUE(answer.has("\"code\":\"not_found\"") && answer.has("POST /v1/chat/completions")) << answer.body;
    EXPECT_TRUE(answer.field("x-request-id").value_or("").starts_with("req_")) << path;
  }
}

TEST_F(GatewayTest, WrongMethodsNameTheRightOne) {
  start();
  const std::vector<std::tuple<const char*, const char*, const char*>> cases{{"GET", "/v1/chat/completions", "POST"}, {"DELETE", "/v1/chat/completions", "POST"},
                                                                             {"POST", "/v1/models", "GET"},           {"PUT", "/v1/models/teacher", "GET"},
                                                                             {"POST", "/health", "GET"},              {"POST", "/metrics", "GET"}};
  for (const auto& [method, path, allowed] : cases) {
    const HttpAnswer answer = send(gateway_->port(), method, path);
    EXPECT_EQ(answer.status, 405) << method << " " << path;
    EXPECT_EQ(answer.field("allow"), allowed);
    EXPECT_TRUE(answer.has("\"code\":\"method_not_allowed\"")) << answer.body;
    EXPECT_TRUE(answer.field("x-request-id")) << path;
  }
  const HttpAnswer head = send(gateway_->port(), "HEAD", "/health");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
}

TEST_F(GatewayTest, HealthAndReadinessNeedNoKey) {
  start({key("bot", "secret")});
  for (const char* path : {"/health", "/healthz", "/health/ready", "/readyz"}) EXPECT_EQ(get(path).status, 200) << path;
}

TEST_F(GatewayTest, ModelsAreListedAndFoundByName) {
  start();
  const HttpAnswer list = get("/v1/models");
  EXPECT_EQ(list.status, 200);
  for (const char* name : {"understudy/auto", "understudy/student", "understudy/teacher", "default", "student", "teacher"}) {
    EXPECT_TRUE(list.has(fmt::format("\"id\":\"{}\"", name))) << name;
  }
  EXPECT_TRUE(get("/v1/models/understudy/auto").has("\"id\":\"understudy/auto\""));
  EXPECT_TRUE(get("/v1/models/understudy%2Fauto").has("\"id\":\"understudy/auto\"")) << "as SDKs write it";
  const HttpAnswer none = get("/v1/models/gpt-nonsense");
  EXPECT_EQ(none.status, 404);
  EXPECT_TRUE(none.has("gpt-nonsense") && none.has("model_not_found")) << none.body;
}

TEST_F(GatewayTest, HeadersSayWhoServedAndWhy) {
  start();
  const HttpAnswer sure = chat(kSure);
  EXPECT_EQ(sure.field("x-understudy-served-by"), "student");
  EXPECT_EQ(sure.field("x-understudy-model"), "student");
  EXPECT_EQ(sure.field("x-understudy-reason"), "confident");
  EXPECT_EQ(sure.field("x-understudy-escalated"), "0");
  EXPECT_EQ(sure.field("x-understudy-confidence"), "0.9900");
  EXPECT_EQ(sure.field("x-understudy-threshold"), "0.8000");
  EXPECT_EQ(sure.field("x-litellm-response-cost"), sure.field("x-understudy-cost-usd"));
  EXPECT_TRUE(sure.field("x-understudy-saved-usd").value_or("").starts_with("~")) << "the teacher was not asked: an estimate";
  const HttpAnswer unsure = chat(kUnsure, "x-understudy-task: intent\r\n");
  EXPECT_TRUE(unsure.has("\"content\":\"final\"") && !unsure.has("draft")) << unsure.body;
  EXPECT_EQ(unsure.field("x-understudy-served-by"), "teacher");
  EXPECT_EQ(unsure.field("x-understudy-reason"), "below_threshold");
  EXPECT_EQ(unsure.field("x-understudy-escalated"), "1");
  EXPECT_EQ(unsure.field("x-understudy-task"), "intent");
  const HttpAnswer again = chat(kUnsure, "x-understudy-task: intent\r\n");
  EXPECT_EQ(again.field("x-understudy-served-by"), "cache");
  EXPECT_EQ(again.field("x-understudy-reason"), "cache_hit");
  EXPECT_EQ(again.field("x-understudy-cost-usd"), "0.000000000000");
}

TEST_F(GatewayTest, RequestIdsAreTakenOverWhereTheyAreFit) {
  start();
  EXPECT_EQ(chat(kSure, "x-request-id: mine-1\r\n").field("x-request-id"), "mine-1");
  EXPECT_EQ(get("/v1/models", "x-request-id: mine-2\r\n").field("x-request-id"), "mine-2");
  EXPECT_EQ(get("/nowhere", "x-request-id: mine-3\r\n").field("x-request-id"), "mine-3");
  for (const std::string& unfit : {std::string(129, 'a'), std::string("with space"), std::string("caf\xc3\xa9")}) {
    EXPECT_TRUE(chat(kSure, "x-request-id: " + unfit + "\r\n").field("x-request-id").value_or("").starts_with("req_")) << unfit;
  }
  std::set<std::string> ids;
  for (int i = 0; i < 20; ++i) ids.insert(chat(kSure).field("x-request-id").value_or(""));
  EXPECT_EQ(ids.size(), 20u);
}

TEST_F(GatewayTest, ModesOfOneRequest) {
  start();
  EXPECT_EQ(chat(kSure, "x-understudy-mode: teacher\r\n").field("x-understudy-served-by"), "teacher");
  EXPECT_EQ(chat(kSure, "x-understudy-mode: off\r\n").field("x-understudy-served-by"), "teacher");
  EXPECT_EQ(chat(kUnsure, "x-understudy-mode: student\r\n").field("x-understudy-served-by"), "student");
  EXPECT_EQ(chat(kSure, "x-understudy-mode: shadow\r\n").field("x-understudy-reason"), "shadow");
  EXPECT_EQ(chat(kSure, "x-understudy-mode: auto\r\n").field("x-understudy-served-by"), "student");
  const HttpAnswer wrong = chat(kSure, "x-understudy-mode: wild\r\n");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_TRUE(wrong.has("wild") && wrong.has("shadow")) << wrong.body;
}

TEST_F(GatewayTest, RefusedRequestsCostNothingAndSaySo) {
  start();
  for (const char* body : {"", "hello", "[1]", "{\"model\":", R"({"model":"x"})"}) {
    const HttpAnswer answer = chat(body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_TRUE(answer.has("\"type\":\"invalid_request_error\"")) << answer.body;
    EXPECT_EQ(answer.field("x-understudy-cost-usd"), "0.000000000000") << "nobody was asked";
    EXPECT_EQ(answer.field("x-should-retry"), "false");
  }
  EXPECT_TRUE(chat("[1]").has("not a JSON object"));
  EXPECT_EQ(metric("requests_failed_total"), "6");
  EXPECT_EQ(metric("cost_unknown_total"), "0");
}

TEST_F(GatewayTest, WithoutKeysAnyoneOnLoopbackMayCallAndNameATenant) {
  start();
  EXPECT_EQ(chat(kSure, "x-understudy-tenant: a\r\n").status, 200);
  EXPECT_EQ(chat(kSure, "x-understudy-tenant: b\r\n").field("x-understudy-served-by"), "student") << "not a's cached answer";
  EXPECT_EQ(chat(kSure, "x-understudy-tenant: a\r\n").field("x-understudy-served-by"), "cache");
  EXPECT_EQ(chat(kSure, "Authorization: Bearer whatever\r\n").status, 200);
}

TEST_F(GatewayTest, KeysSayWhoMayCall) {
  ApiKey blind = key("auditor", "audit-only");
  blind.inference = false;
  start({key("bot", "secret-1"), blind});
  const HttpAnswer none = chat(kSure);
  EXPECT_EQ(none.status, 401);
  EXPECT_TRUE(none.has("No API key was given") && none.has("invalid_api_key")) << none.body;
  EXPECT_TRUE(none.field("x-request-id"));
  const HttpAnswer wrong = chat(kSure, "Authorization: Bearer secret-2\r\n");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_FALSE(wrong.has("secret-2")) << "a key is never repeated";
  EXPECT_EQ(chat(kSure, "Authorization: Bearer audit-only\r\n").status, 403);
  EXPECT_EQ(get("/v1/models").status, 401);
  EXPECT_EQ(get("/v1/models", "x-api-key: secret-1\r\n").status, 200);
  for (const char* field : {"Authorization: Bearer secret-1\r\n", "authorization: bearer secret-1\r\n", "x-api-key: secret-1\r\n"}) {
    EXPECT_EQ(chat(kSure, field).status, 200) << field;
  }
  EXPECT_EQ(metric("requests_total"), "3") << "refused callers do not reach the cascade";
}

TEST_F(GatewayTest, TenantsOfKeysAreApart) {
  ApiKey trusted = key("proxy", "trusted");
  trusted.trusted = true;
  start({key("a", "secret-a"), key("b", "secret-b"), trusted});
  EXPECT_EQ(chat(kSure, "x-api-key: secret-a\r\n").field("x-understudy-served-by"), "student");
  EXPECT_EQ(chat(kSure, "x-api-key: secret-b\r\n").field("x-understudy-served-by"), "student") << "a's answer is not b's";
  EXPECT_EQ(chat(kSure, "x-api-key: secret-a\r\n").field("x-understudy-served-by"), "cache");
  const HttpAnswer claims = chat(kSure, "x-api-key: secret-b\r\nx-understudy-tenant: a\r\n");
  EXPECT_EQ(claims.status, 403);
  EXPECT_TRUE(claims.has("trusted = true")) << claims.body;
  EXPECT_EQ(chat(kSure, "x-api-key: trusted\r\nx-understudy-tenant: a\r\n").field("x-understudy-served-by"), "cache");
}

TEST_F(GatewayTest, TheLogIsHandedToAdminKeysOnly) {
  ApiKey admin = key("operator", "admin-secret");
  admin.admin = true;
  start({key("bot", "secret"), admin});
  EXPECT_EQ(get("/admin/api/calls").status, 401);
  EXPECT_EQ(get("/admin/api/calls", "x-api-key: wrong\r\n").status, 401);
  const HttpAnswer scope = get("/admin/api/calls", "x-api-key: secret\r\n");
  EXPECT_EQ(scope.status, 403);
  EXPECT_TRUE(scope.has("'admin'")) << scope.body;
  EXPECT_EQ(get("/admin/api/calls", "x-api-key: admin-secret\r\n").status, 404) << "this gateway has no store";
  EXPECT_EQ(send(gateway_->port(), "POST", "/admin/api/calls").status, 405);
}

TEST_F(GatewayTest, EachScopeOpensItsRoutesAndNoOther) {
  ApiKey ops = key("ops", "k-admin"), auditor = key("auditor", "k-audit"), bot = key("bot", "k-inference");
  ops.inference = auditor.inference = false;
  ops.admin = auditor.audit = true;
  start({ops, auditor, bot});
  const std::string feedback = R"({"request_id":"r","score":1})";
  struct Case {
    const char *method, *path;
    int inference, admin, audit;
  };
  // 404: let in, and this gateway has no store; 503: let in, and there is no journal.
  for (const Case& c : {Case{"POST", "/v1/chat/completions", 200, 403, 403}, Case{"GET", "/v1/models", 200, 403, 403}, Case{"GET", "/v1/models/teacher", 200, 403, 403},
                        Case{"POST", "/v1/feedback", 503, 403, 403}, Case{"GET", "/admin/api/calls", 403, 404, 404}, Case{"GET", "/admin/api/openapi.json", 403, 200, 403},
                        Case{"GET", "/admin/api/status", 403, 404, 403}, Case{"GET", "/admin/api/curve", 403, 404, 403}, Case{"GET", "/admin/api/tasks", 403, 404, 403},
                        Case{"POST", "/admin/api/tasks/a/pin", 403, 404, 403}, Case{"GET", "/admin/api/tasks/a", 403, 404, 403}, Case{"GET", "/admin/api/alarms", 403, 404, 403},
                        Case{"GET", "/admin/api/requests", 403, 404, 403}, Case{"GET", "/admin/api/requests/r", 403, 404, 403}, Case{"GET", "/admin/api/escalations", 403, 404, 403},
                        Case{"GET", "/admin/api/lessons", 403, 404, 403}, Case{"GET", "/admin/api/lessons/l", 403, 404, 403}, Case{"POST", "/admin/api/lessons/l/retire", 403, 404, 403},
                        Case{"POST", "/admin/api/reload", 403, 404, 403}, Case{"GET", "/", 403, 404, 403}, Case{"GET", "/admin", 403, 404, 403}}) {
    const std::string_view body = std::string_view(c.path) == "/v1/feedback" ? std::string_view(feedback) : std::string_view(c.method) == "POST" ? kSure : std::string_view{};
    const auto status = [&](const char* secret) { return send(gateway_->port(), c.method, c.path, body, fmt::format("Authorization: Bearer {}\r\n", secret)).status; };
    EXPECT_EQ(status("k-inference"), c.inference) << c.method << " " << c.path;
    EXPECT_EQ(status("k-admin"), c.admin) << c.method << " " << c.path;
    EXPECT_EQ(status("k-audit"), c.audit) << c.method << " " << c.path;
    EXPECT_EQ(status("k-other"), 401) << c.method << " " << c.path;
  }
  for (const AdminRouteInfo& info : admin_routes()) {
    std::string path(info.path);
    if (const auto open = path.find('{'); open != std::string::npos) path.replace(open, path.find('}') - open + 1, "x");
    EXPECT_EQ(send(gateway_->port(), info.method, path).status, 401) << path << " without a key";
  }
}

TEST_F(GatewayTest, AKeysLimitIsToldOnEveryAnswerAndOutlivesAReload) {
  const auto keys = [](std::int64_t per_minute) {
    ApiKey limited = key("bot", "limited");
    limited.requests = std::make_shared<RateMeter>(RateLimit{per_minute, 60'000});
    return std::vector<ApiKey>{limited, key("free", "unlimited")};
  };
  start(keys(2));
  const std::string_view me = "Authorization: Bearer limited\r\n";
  const HttpAnswer first = chat(kSure, me);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.field("x-ratelimit-limit-requests"), "2");
  EXPECT_EQ(first.field("x-ratelimit-remaining-requests"), "1");
  EXPECT_EQ(first.field("x-ratelimit-reset-requests"), "30s");
  const HttpAnswer stream = chat(R"({"model":"x","stream":true,"messages":[{"role":"user","content":"a hard stream"}]})", me);
  EXPECT_EQ(stream.status, 200);
  EXPECT_EQ(stream.field("x-ratelimit-remaining-requests"), "0");
  const HttpAnswer refused = chat(kSure, me);
  EXPECT_EQ(refused.status, 429);
  EXPECT_TRUE(refused.has("rate_limit_exceeded") && refused.has("'bot' may ask 2 times a minute")) << refused.body;
  EXPECT_EQ(refused.field("x-ratelimit-remaining-requests"), "0");
  EXPECT_TRUE(refused.field("x-request-id"));
  const int wait_ms = std::stoi(refused.field("retry-after-ms").value_or("0"));
  EXPECT_TRUE(wait_ms > 20'000 && wait_ms <= 30'000) << wait_ms;
  EXPECT_EQ(refused.field("retry-after"), "30");
  EXPECT_EQ(get("/v1/models", me).status, 200) << "only what may cost money counts";
  const HttpAnswer other = chat(kSure, "Authorization: Bearer unlimited\r\n");
  EXPECT_EQ(other.status, 200);
  EXPECT_FALSE(other.field("x-ratelimit-limit-requests"));
  EXPECT_EQ(metric("rate_limited_total{key=\"bot\"}"), "1");
  ASSERT_TRUE(gateway_->reload({policy(), std::make_shared<KeyRing>(keys(2))}));
  EXPECT_EQ(chat(kSure, me).status, 429) << "a reload is no new start";
  ASSERT_TRUE(gateway_->reload({policy(), std::make_shared<KeyRing>(keys(60))}));
  EXPECT_EQ(chat(kSure, me).field("x-ratelimit-limit-requests"), "60");
  EXPECT_EQ(metric("requests_total"), "4") << "what is refused does not reach the cascade";
}

TEST(KeyRing, AReplacedSecretIsGoodUntilItsTime) {
  ApiKey one = key("bot", "new");
  ManualClock clock;
  one.previous = PreviousSecret{hash_key("old"), WallTime{clock.wall().us + 1'000'000}};
  const KeyRing ring({one});
  EXPECT_EQ(ring.find("new", clock), ring.find("old", clock));
  EXPECT_NE(ring.find("old", clock), nullptr);
  clock.advance_ms(1'000);
  EXPECT_EQ(ring.find("old", clock), nullptr);
  EXPECT_NE(ring.find("new", clock), nullptr);
  EXPECT_EQ(ring.find("", clock), nullptr);
}

TEST_F(GatewayTest, WithoutKeysTheLogIsForCallersWhoMeanThisMachine) {
  start({});
  for (const std::string host : {"localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST"}) {
    EXPECT_EQ(get("/admin/api/calls", "Host: " + host + "\r\n").status, 404) << host << ": this gateway has no store";
  }
  for (const std::string host : {"attacker.example", "127.attacker.example:8080", "localhost.attacker.example"}) {
    EXPECT_EQ(get("/admin/api/calls", "Host: " + host + "\r\n").status, 403) << host;
  }
}

TEST_F(GatewayTest, MetricsCountWhatHappenedAndAreWellFormed) {
  start();
  chat(kSure);
  chat(kSure);
  chat(kUnsure);
  chat(R"({"model":"x","stream":true,"messages":[{"role":"user","content":"a hard stream"}]})");
  chat(R"({"model":"x","messages":[{"role":"user","content":"hard and broken"}]})");
  EXPECT_EQ(metric("requests_total"), "5");
  EXPECT_EQ(metric("requests_failed_total"), "1");
  EXPECT_EQ(metric("requests_streamed_total"), "1");
  EXPECT_EQ(metric("requests_escalated_total"), "3");
  EXPECT_EQ(metric("served_total{stage=\"cache\"}"), "1");
  EXPECT_EQ(metric("served_total{stage=\"student\"}"), "1");
  EXPECT_EQ(metric("served_total{stage=\"teacher\"}"), "2");
  EXPECT_EQ(metric("attempts_total{stage=\"student\"}"), "4");
  EXPECT_EQ(metric("attempt_errors_total{stage=\"teacher\"}"), "1");
  EXPECT_EQ(metric("request_seconds_bucket{le=\"+Inf\"}"), "5");
  EXPECT_NE(metric("request_seconds_bucket{le=\"0.00005\"}"), "") << "bounds are plain decimals";
  EXPECT_EQ(metric("request_seconds_count"), "5");
  EXPECT_EQ(metric("build_info{version=\"test\"}"), "1");
  EXPECT_GT(std::stod(metric("cost_usd_total")), 0);
  std::ifstream page(std::filesystem::path(UNDERSTUDY_SOURCE_DIR) / "docs" / "operate" / "metrics.md");
  const std::string documented{std::istreambuf_iterator<char>(page), {}};

  // Every sample belongs to a family that was announced, and its value is a number.
  std::set<std::string> families;
  std::string text = get("/metrics").body;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("# TYPE ")) {
      const std::string family = line.substr(7, line.find(' ', 7) - 7);
      families.insert(family);
      EXPECT_NE(documented.find("`" + family.substr(11) + "`"), std::string::npos) << family << " is not in docs/operate/metrics.md";
    }
    if (line.starts_with('#')) continue;
    std::string name = line.substr(0, line.find_first_of("{ "));
    for (const char* suffix : {"_bucket", "_sum", "_count"}) {
      if (name.ends_with(suffix) && families.contains(name.substr(0, name.size() - std::string_view(suffix).size()))) name.resize(name.size() - std::string_view(suffix).size());
    }
    EXPECT_TRUE(families.contains(name)) << line;
    std::size_t read = 0;
    const std::string value = line.substr(line.rfind(' ') + 1);
    EXPECT_NO_THROW(std::stod(value, &read)) << line;
    EXPECT_EQ(read, value.size()) << line;
  }
}

TEST_F(GatewayTest, ReloadReplacesPolicyAndKeysAtOnceAndForgetsCachedAnswers) {
  start();
  EXPECT_EQ(chat(kUnsure).field("x-understudy-served-by"), "teacher");
  EXPECT_EQ(chat(kUnsure).field("x-understudy-served-by"), "cache");
  const auto keys = std::make_shared<KeyRing>(std::vector<ApiKey>{key("bot", "secret")});
  ASSERT_TRUE(gateway_->reload({policy(0.01), keys}));
  EXPECT_EQ(chat(kUnsure).status, 401);
  const HttpAnswer after = chat(kUnsure, "x-api-key: secret\r\n");
  EXPECT_EQ(after.field("x-understudy-served-by"), "student");
  EXPECT_EQ(after.field("x-understudy-threshold"), "0.0100");
}

TEST_F(GatewayTest, ReloadThatCannotBeDoneChangesNothing) {
  start();
  auto broken = policy(0.01);
  broken->models[0].config.url = (folder_ / "nowhere.jsonl").string();
  const auto done = gateway_->reload({broken, std::make_shared<KeyRing>(std::vector<ApiKey>{key("bot", "secret")})});
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("nowhere.jsonl"), std::string::npos) << done.error().message;
  const HttpAnswer answer = chat(kUnsure);
  EXPECT_EQ(answer.field("x-understudy-served-by"), "teacher");
  EXPECT_EQ(answer.field("x-understudy-threshold"), "0.8000");
}

TEST(KeyHash, IsReadAndRefusedWithTheReason) {
  const auto parsed = parse_key_hash("2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b");  // of "secret"
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, hash_key("secret"));
  EXPECT_TRUE(parse_key_hash("2BB80D537B1DA3E38BD30361AA855686BDE0EACD7162FEF6A25FE97BF527A25B"));
  EXPECT_NE(parse_key_hash("abc").error().message.find("64"), std::string::npos);
  EXPECT_FALSE(parse_key_hash(std::string(64, 'g')));
}

}  // namespace
}  // namespace understudy::gateway
