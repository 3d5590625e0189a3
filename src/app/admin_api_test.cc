/// The admin API's answers from a store: the commands' own, under the API's parameters.

#include "app/admin_api.h"

#include "app/test_support.h"

namespace understudy::app {
namespace {

class AdminApi : public StoreCommands {
 protected:
  Result<gateway::AdminAnswer> ask(gateway::AdminRoute route, std::vector<std::pair<std::string, std::string>> query) {
    gateway::AdminQuestion question;
    question.route = route;
    question.query = std::move(query);
    return make_admin_handler(data_)(question);
  }
  std::string refused(gateway::AdminRoute route, std::vector<std::pair<std::string, std::string>> query) {
    const auto answer = ask(route, std::move(query));
    return answer ? "answered: " + answer->body : answer.error().message;
  }
};

TEST_F(AdminApi, TheCurveIsTheCommands) {
  write_three();
  const auto answer = ask(gateway::AdminRoute::kCurve, {{"task", "intent"}, {"by", "requests"}, {"points", "2"}, {"since", "1h"}});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->content_type, "application/json");
  EXPECT_EQ(at(answer->body, "/schema"), "\"understudy.curve/1\"");
  EXPECT_EQ(at(answer->body, "/points/1/teacher_calls"), "1");
  const auto text = ask(gateway::AdminRoute::kCurve, {{"task", "intent"}, {"format", "text"}, {"ascii", "1"}, {"columns", "80"}});
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->content_type, "text/plain; charset=utf-8");
  EXPECT_TRUE(text->body.starts_with("Curve: ")) << text->body;
  for (const char c : text->body) ASSERT_TRUE(static_cast<unsigned char>(c) < 0x80) << text->body;
  const auto status = ask(gateway::AdminRoute::kStatus, {{"task", "intent"}, {"by", "requests"}});
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(at(status->body, "/curve/by"), "\"requests\"");

  EXPECT_TRUE(contains(refused(gateway::AdminRoute::kCurve, {}), "task=NAME"));
  EXPECT_TRUE(contains(refused(gateway::AdminRoute::kCurve, {{"task", "intnet"}}), "did you mean \"intent\"?"));
  EXPECT_TRUE(contains(refused(gateway::AdminRoute::kCurve, {{"task", "intent"}, {"points", "1"}}), "from 2 to 1000"));
  EXPECT_TRUE(contains(refused(gateway::AdminRoute::kCurve, {{"task", "intent"}, {"by", "hours"}}), "it takes time or requests"));
  EXPECT_TRUE(contains(refused(gateway::AdminRoute::kCurve, {{"task", "intent"}, {"tenant", "acme"}}), "no query parameter 'tenant'"));
}

TEST_F(AdminApi, EscalationsComeAsPagesOfLines) {
  write_three();
  write_request("req_d", true);
  const auto first = ask(gateway::AdminRoute::kEscalations, {{"format", "jsonl"}, {"limit", "1"}, {"stage", "student"}});
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->content_type, "application/x-ndjson");
  EXPECT_EQ(at(first->body, "/request_id"), "\"req_d\"") << first->body;
  const std::string after = at(first->body, "/after");
  ASSERT_GT(after.size(), 2u);
  const auto second = ask(gateway::AdminRoute::kEscalations, {{"format", "jsonl"}, {"limit", "1"}, {"after", after.substr(1, after.size() - 2)}});
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(at(second->body, "/request_id"), "\"req_c\"");
  const std::string last = at(second->body, "/after");
  const auto none = ask(gateway::AdminRoute::kEscalations, {{"format", "jsonl"}, {"after", last.substr(1, last.size() - 2)}});
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_EQ(none->body, "");
  EXPECT_TRUE(contains(refused(gateway::AdminRoute::kRequests, {{"format", "jsonl"}}), "format must be json or text"));
  EXPECT_TRUE(contains(refused(gateway::AdminRoute::kRequests, {{"agrees", "no"}}), "no query parameter 'agrees'"));
  EXPECT_TRUE(contains(refused(gateway::AdminRoute::kEscalations, {{"agrees", "maybe"}}), "it takes yes or no"));
  EXPECT_TRUE(contains(refused(gateway::AdminRoute::kEscalations, {{"rung", "smal"}}), "did you mean \"small\"?"));
}

TEST_F(AdminApi, ThePageHasACurveForEachTaskWithTwoPoints) {
  open_writer();
  write_request("req_0", true);
  for (int i = 0; i < 400; ++i) {   // until the clock has moved on by a bucket
    write_request("req_1", false);
    ::usleep(1'000);
  }
  const auto page = ask(gateway::AdminRoute::kPage, {});
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_TRUE(contains(page->body, "<title id=\"curve0-t\">Curve of intent</title>")) << page->body;
  EXPECT_TRUE(contains(page->body, "The figures as a table"));
}

}  // namespace
}  // namespace understudy::app
