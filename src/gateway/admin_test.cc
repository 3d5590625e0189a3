// The admin routes and the status page from outside: who may ask, what reaches the handler, what comes back.

#include "gateway/admin.h"

#include <simdjson.h>

#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include "gateway/internal/admin_routes.h"
#include "gateway/internal/test_support.h"

namespace understudy::gateway {
namespace {

class AdminTest : public GatewayTest {
 protected:
  AdminTest() {
    admin_ = [this](const AdminQuestion& question) -> Result<AdminAnswer> {
      const std::lock_guard lock(mutex_);
      asked_ = question;
      if (question.name == "missing") return fail(ErrorKind::kNotFound, "no such task");
      if (question.name == "slip") return fail(ErrorKind::kUsage, "not like this");
      if (question.name == "bug") throw std::runtime_error("a bug");
      return AdminAnswer{"text/html; charset=utf-8", "default-src 'none'; style-src 'sha256-x'", "<p>page</p>"};
    };
  }
  HttpAnswer post(std::string_view path, std::string_view body, std::string_view fields) { return send(gateway_->port(), "POST", path, body, fields); }
  AdminQuestion asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

  std::mutex mutex_;
  AdminQuestion asked_;   ///< guarded
};

constexpr std::string_view kHere = "Host: localhost\r\n";

TEST_F(AdminTest, QuestionsReachTheHandlerTakenApart) {
  start();
  const HttpAnswer answer = get("/admin/api/tasks/a%2Fb%20c?format=text&task=x%26y&task=second&empty=&plus=a+b", kHere);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "<p>page</p>");
  EXPECT_EQ(answer.field("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(answer.field("content-security-policy"), "default-src 'none'; style-src 'sha256-x'");
  EXPECT_EQ(answer.field("cache-control"), "no-store");
  EXPECT_EQ(answer.field("x-content-type-options"), "nosniff");
  const AdminQuestion question = asked();
  EXPECT_EQ(question.route, AdminRoute::kTask);
  EXPECT_EQ(question.name, "a/b c");
  EXPECT_EQ(question.parameter("task"), "x&y");
  EXPECT_EQ(question.parameter("empty"), "");
  EXPECT_EQ(question.parameter("plus"), "a b");
  EXPECT_EQ(question.parameter("none"), std::nullopt);
  ASSERT_TRUE(question.live.policy);
  EXPECT_TRUE(question.live.pin);
}

TEST_F(AdminTest, EveryRouteIsDescribedAndEveryDescribedRouteIsServed) {
  start();
  simdjson::dom::parser parser;
  simdjson::dom::object paths;
  ASSERT_EQ(parser.parse(get("/admin/api/openapi.json", kHere).body)["paths"].get_object().get(paths), simdjson::SUCCESS);
  std::set<std::string> described, served;
  for (const auto& [path, methods] : paths) {
    for (const auto& [method, operation] : methods.get_object()) {
      std::string upper(method);
      std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
      described.insert(upper + " " + std::string(path));
    }
  }
  for (const AdminRouteInfo& info : admin_routes()) {
    served.insert(fmt::format("{} {}", info.method, info.path));
    std::string path(info.path);
    if (const std::size_t open = path.find('{'); open != std::string::npos) path.replace(open, path.find('}') - open + 1, "thing");
    const bool no_store = info.route == AdminRoute::kCalls;
    EXPECT_EQ(send(gateway_->port(), info.method, path, {}, kHere).status, no_store ? 404 : 200) << path;
    const auto matched = internal::match_admin(path, info.method);
    ASSERT_TRUE(matched) << path;
    EXPECT_EQ(matched->info->route, info.route) << path;
    EXPECT_EQ(send(gateway_->port(), "DELETE", path, {}, kHere).status, 405) << path;
  }
  EXPECT_EQ(described, served);
}

TEST_F(AdminTest, ErrorsKeepTheirStatus) {
  start();
  EXPECT_EQ(get("/admin/api/tasks/missing", kHere).status, 404);
  EXPECT_TRUE(get("/admin/api/tasks/missing", kHere).has("no such task"));
  EXPECT_EQ(get("/admin/api/tasks/slip", kHere).status, 400) << "a wrong flag there is a wrong parameter here";
  EXPECT_EQ(get("/admin/api/tasks/bug", kHere).status, 500);
  EXPECT_EQ(get("/admin/api/tasks/fine", kHere).status, 200) << "it goes on";
}

TEST_F(AdminTest, WithoutAHandlerNothingIsRecorded) {
  admin_ = {};
  start();
  const HttpAnswer answer = get("/", kHere);
  EXPECT_EQ(answer.status, 404);
  EXPECT_TRUE(answer.has("Nothing is recorded")) << answer.body;
}

TEST_F(AdminTest, WithoutKeysOnlyThisMachineUnderItsOwnNameIsAnswered) {
  start();
  for (const char* path : {"/", "/admin", "/admin/api/status", "/admin/api/openapi.json"}) {
    EXPECT_EQ(get(path, kHere).status, 200) << path;
    EXPECT_EQ(get(path, "Host: attacker.example\r\n").status, 403) << path;
  }
  EXPECT_FALSE(get("/", "Host: attacker.example\r\n").field("www-authenticate"));
}

TEST_F(AdminTest, WithKeysAnAdminKeyIsNeededInWhicheverForm) {
  ApiKey admin = key("operator", "admin:secret");
  admin.admin = true;
  start({key("bot", "secret"), admin});
  const HttpAnswer none = get("/");
  EXPECT_EQ(none.status, 401);
  EXPECT_TRUE(none.field("www-authenticate").value_or("").starts_with("Basic realm=")) << "so that a browser asks";
  EXPECT_FALSE(get("/admin/api/status").field("www-authenticate")) << "programs are not asked";
  EXPECT_EQ(get("/", "x-api-key: secret\r\n").status, 403);
  EXPECT_EQ(get("/", "x-api-key: admin:secret\r\n").status, 200);
  EXPECT_EQ(get("/", "Authorization: Bearer admin:secret\r\n").status, 200);
  EXPECT_EQ(get("/", "Authorization: Basic YW55OmFkbWluOnNlY3JldA==\r\n").status, 200) << "any:admin:secret";
  EXPECT_EQ(get("/admin/api/tasks", "authorization: basic OmFkbWluOnNlY3JldA==\r\n").status, 200) << ":admin:secret";
  EXPECT_EQ(get("/", "Authorization: Basic YW55OnNlY3JldA==\r\n").status, 403) << "any:secret is the bot's";
  for (const char* wrong : {"YW55Ondyb25n", "YW55", "", "===", "\x01\x02"}) EXPECT_NE(get("/", fmt::format("Authorization: Basic {}\r\n", wrong)).status, 200) << wrong;
  EXPECT_EQ(chat(kSure, "Authorization: Basic YW55OnNlY3JldA==\r\n").status, 401) << "for people's pages only";
}

TEST_F(AdminTest, PagesOfOtherSitesCannotChangeAnything) {
  start();
  const auto pin = [&](std::string_view fields) { return post("/admin/api/tasks/t/pin", R"({"to":"teacher"})", "Host: localhost:8080\r\n" + std::string(fields)).status; };
  EXPECT_EQ(pin(""), 200);
  EXPECT_EQ(asked().body, R"({"to":"teacher"})");
  EXPECT_EQ(asked().route, AdminRoute::kPin);
  EXPECT_EQ(pin("Origin: http://localhost:8080\r\n"), 200);
  EXPECT_EQ(pin("Origin: http://LOCALHOST:8080\r\nSec-Fetch-Site: same-origin\r\n"), 200);
  EXPECT_EQ(pin("Origin: http://attacker.example\r\n"), 403);
  EXPECT_EQ(pin("Origin: http://localhost:9090\r\n"), 403);
  EXPECT_EQ(pin("Origin: null\r\n"), 403);
  EXPECT_EQ(pin("Sec-Fetch-Site: cross-site\r\n"), 403);
  EXPECT_EQ(post("/admin/api/reload", "", "Host: localhost\r\nOrigin: https://attacker.example\r\n").status, 403);
}

TEST_F(AdminTest, MetricsTellTheStateOfEachTask) {
  start();
  EXPECT_EQ(chat(kSure, "x-understudy-task: a\"b\\c\r\n").status, 200);
  // The copy is at most a second old.
  const std::string name = R"(promise_state{cascade="default",task="a\"b\\c",state="by_hand"})";
  for (int i = 0; i < 400 && metric(name).empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(25));
  EXPECT_EQ(metric(name), "1");
  EXPECT_EQ(metric(R"(promise_state{cascade="default",task="a\"b\\c",state="proven"})"), "0");
  EXPECT_EQ(metric(R"(promise_coin{cascade="default",task="a\"b\\c"})"), "0");
  EXPECT_EQ(metric(R"(alarms_total{name="promise"})"), "0");
}

}  // namespace
}  // namespace understudy::gateway
