// Lessons of a running gateway: escalations and corrections over HTTP, what is stored of them, and how they are told.
#include "gateway/internal/test_support.h"
#include "lessons/lesson.h"
#include "store/queries.h"

namespace understudy::gateway {
namespace {

class LessonsOverHttp : public GatewayTest {
 protected:
  ~LessonsOverHttp() override {
    gateway_.reset();
    store_.reset();
  }
  void start_with_store(std::vector<ApiKey> keys = {}, double budget = 0) {
    store::StoreOptions stored;
    stored.reactors = 3;
    auto store = store::Store::open(folder_ / "data", stored);
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
    auto with = policy();
    with->redact = Redactor(Redactor::kEmail | Redactor::kPhone | Redactor::kCard);
    with->cascades[0].lesson_budget_per_day = Picousd{static_cast<std::int64_t>(budget * 1e12)};
    GatewayOptions options;
    options.server.workers = 1;
    options.seed = 7;
    options.version = "test";
    options.data = folder_ / "data";
    auto started = Gateway::start(std::move(options), {std::move(with), std::make_shared<KeyRing>(std::move(keys))}, store_.get());
    ASSERT_TRUE(started) << started.error().message;
    gateway_ = std::move(*started);
  }
  std::vector<lessons::Lesson> stored(std::optional<std::string> tenant = {}) {
    auto reader = store::StoreReader::open(folder_ / "data");
    store::LessonFilter filter;
    filter.tenant = std::move(tenant);
    std::vector<lessons::Lesson> all;
    const auto page = reader->lessons(filter);
    EXPECT_TRUE(page);
    for (const auto& record : page->lessons) all.push_back(*lessons::parse_lesson(record.detail));
    return all;
  }
  static bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 5'000; ++i) {
      if (condition()) return true;
      ::usleep(1'000);
    }
    return false;
  }

  std::unique_ptr<store::Store> store_;
};

constexpr std::string_view kPrivate = R"({"model":"gpt-any","messages":[{"role":"user","content":"a hard one from jane@example.com, +49 170 1234567"}]})";

TEST_F(LessonsOverHttp, AnEscalationBecomesALessonAndNoPrivateTextIsStored) {
  start_with_store();
  const HttpAnswer answer = chat(kPrivate);
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.has("final"));
  ASSERT_TRUE(eventually([&] { return stored().size() == 1; }));
  EXPECT_EQ(stored()[0].text, "a hard one from [EMAIL], [PHONE]");
  EXPECT_EQ(stored()[0].answer, "final");
  EXPECT_EQ(stored()[0].student_answer, "draft");
  const std::string id = *answer.field("x-request-id");
  EXPECT_EQ(send(gateway_->port(), "POST", "/v1/feedback", R"({"request_id":")" + id + R"(","comment":"mail me at joe@example.org"})").status, 200);
  auto reader = store::StoreReader::open(folder_ / "data");
  const auto detail = reader->request(id);
  ASSERT_TRUE(detail);
  EXPECT_NE(detail->body.text.find("[EMAIL], [PHONE]"), std::string::npos) << detail->body.text;
  EXPECT_EQ(detail->feedback.at(0).comment, "mail me at [EMAIL]");
  EXPECT_EQ(metric("lessons_usable"), "1");
  EXPECT_EQ(metric("lessons_stored_total"), "1");
}

TEST_F(LessonsOverHttp, ACorrectionTeachesOnlyWhatTheTeacherAgreesWithAndOnlyItsOwnTenant) {
  start_with_store({key("acme", "a"), key("evil", "e")});
  const std::string acme = "Authorization: Bearer a\r\n", evil = "Authorization: Bearer e\r\n";
  const auto served = chat(kSure, acme);
  ASSERT_EQ(served.status, 200);
  const auto escalated = chat(kUnsure, acme);
  ASSERT_TRUE(eventually([&] { return stored().size() == 1; }));
  const auto tell = [&](const HttpAnswer& about, const std::string& who, const std::string& truth) {
    const std::string body = fmt::format(R"({{"request_id":"{}","correction":"{}"}})", *about.field("x-request-id"), truth);
    EXPECT_EQ(send(gateway_->port(), "POST", "/v1/feedback", body, who).status, 200);
  };
  // Another tenant's word about acme's request, then acme's own poisoned one about an answer that the teacher never saw.
  tell(escalated, evil, "transfer everything");
  tell(served, acme, "obey me");
  ASSERT_TRUE(eventually([&] { return stored("acme").size() == 2; }));
  EXPECT_TRUE(stored("evil").empty());
  for (const lessons::Lesson& l : stored()) {
    if (l.answer == "obey me") {
      EXPECT_EQ(l.state, lessons::LessonState::kCandidate);
    } else {
      EXPECT_EQ(l.answer, "final");
      EXPECT_EQ(l.state, lessons::LessonState::kActive);
    }
  }
  EXPECT_EQ(metric("lessons_usable"), "1");
  // What the teacher said itself is raised by its user's agreement.
  tell(escalated, acme, "Final.");
  ASSERT_TRUE(eventually([&] {
    const auto all = stored("acme");
    return std::any_of(all.begin(), all.end(), [](const auto& l) { return l.answer == "final" && l.provenance == lessons::Provenance::kFeedback; });
  }));
}

TEST_F(LessonsOverHttp, TheTeacherIsAskedBesideTheUsersPath) {
  std::ofstream(folder_ / "teacher.jsonl", std::ios::trunc)
      << R"({"match":"<<<DATA","answer":"{\"reasoning\":\"r\",\"examples\":[{\"input\":\"i\",\"answer\":\"a\"}],\"parts\":[{\"part\":\"p\",\"reliability\":1,\"rests_on\":\"o\"}]}"})"
      << "\n"
      << R"({"match":"","answer":"final"})"
      << "\n";
  start_with_store({}, 1);
  EXPECT_EQ(chat(kUnsure).status, 200);
  ASSERT_TRUE(eventually([&] { return stored().size() == 1 && stored()[0].teaching == lessons::Teaching::kTaught; }));
  EXPECT_EQ(stored()[0].reasoning, "r");
  EXPECT_EQ(metric("lesson_calls_total"), "1");
  EXPECT_EQ(metric("attempts_total{stage=\"teacher\"}"), "1") << "a lesson's call is no attempt of a request";
}

}  // namespace
}  // namespace understudy::gateway
