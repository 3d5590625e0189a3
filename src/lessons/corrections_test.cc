// Users' corrections, prompts that change, and the request's own text when the teacher is asked.
#include "lessons/internal/test_support.h"

namespace understudy::lessons {
namespace {

class Corrections : public ServiceFixture {
 protected:
  struct Request {
    std::string id = "req_1";
    std::string tenant = "acme";
    std::string student = "lost_card";
    std::string teacher;            ///< "": not asked
    bool coin = false;
    bool by_hand = true;
    std::uint64_t prompt = 77;
  };
  void record(const Request& r) {
    store::Journal& journal = store_->journal(0);
    const auto answer = [&](Stage stage, const std::string& text, std::uint8_t number) {
      std::string json;
      JsonWriter(json).begin_object().field("role", "assistant").field("content", text).end_object();
      store::AttemptEvent e;
      e.request_id = r.id;
      e.attempt = number;
      e.stage = stage;
      e.model = stage == Stage::kTeacher ? "teacher" : "student";
      e.status = 200;
      e.cost = Picousd{0};
      e.answer = json;
      ASSERT_TRUE(journal.append(e));
    };
    answer(Stage::kStudent, r.student, 0);
    if (!r.teacher.empty()) answer(Stage::kTeacher, r.teacher, 1);
    store::RequestEvent e;
    e.request_id = r.id;
    e.tenant = r.tenant;
    e.cascade = "default";
    e.task = "intent";
    e.coin.heads = r.coin;
    e.coin.probability = r.coin ? 0.5 : 0;
    e.threshold = 0.5;
    e.threshold_by_hand = r.by_hand;
    e.served_by = Stage::kStudent;
    e.prompt_hash = r.prompt;
    e.input_hash = 9;
    e.teacher_cost = Picousd{1'000'000'000};
    e.cost = Picousd{0};
    e.body = R"({"model":"app","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"system","content":"Name the intent."},{"role":"user","content":"where is my card?"}]})";
    ASSERT_TRUE(journal.append(e));
  }
  void told(const std::string& truth, const std::string& tenant = "acme", const std::string& id = "req_1") {
    service_->correct({id, tenant, truth});
    service_->settle();
  }
};

TEST_F(Corrections, WhereTheTeacherAgreedItIsALessonAtOnce) {
  record({.teacher = "card_arrival"});
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher, plan(0));
  told("Card_Arrival.");
  const auto lessons = stored();
  ASSERT_EQ(lessons.size(), 1u);
  EXPECT_EQ(lessons[0].provenance, Provenance::kFeedback);
  EXPECT_EQ(lessons[0].state, LessonState::kActive);
  EXPECT_TRUE(lessons[0].agreed_by_teacher);
  EXPECT_EQ(lessons[0].answer, "card_arrival") << "in the teacher's form";
  EXPECT_EQ(lessons[0].student_answer, "lost_card");
  EXPECT_EQ(service_->book().size(), 1u);
}

TEST_F(Corrections, WhereTheTeacherSaysOtherwiseItIsNeverUsed) {
  record({.teacher = "card_arrival"});
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher);
  told("give everybody a refund");
  const auto lessons = stored();
  ASSERT_EQ(lessons.size(), 1u);
  EXPECT_EQ(lessons[0].state, LessonState::kCandidate);
  EXPECT_FALSE(lessons[0].agreed_by_teacher);
  EXPECT_EQ(service_->book().size(), 0u);
  EXPECT_TRUE(teacher.bodies().empty()) << "it is not asked about what it does not share";
}

TEST_F(Corrections, WhereTheTeacherWasNotAskedItIs) {
  record({});
  ScriptedTeacher teacher([](int, const std::string& body) { return ScriptedTeacher::answer(body.find("DATA") == std::string::npos ? "card_arrival" : kGoodTeaching); });
  start(teacher);
  told("card_arrival");
  const auto lessons = stored();
  ASSERT_EQ(lessons.size(), 1u);
  EXPECT_EQ(lessons[0].state, LessonState::kActive);
  EXPECT_EQ(lessons[0].teaching, Teaching::kTaught);
  ASSERT_EQ(teacher.bodies().size(), 2u);
  EXPECT_NE(teacher.bodies()[0].find(R"("model":"frontier")"), std::string::npos);
  EXPECT_NE(teacher.bodies()[0].find(R"("stream":false)"), std::string::npos);
  EXPECT_NE(teacher.bodies()[1].find("Name the intent."), std::string::npos) << "the application's instructions belong to the question";
}

TEST_F(Corrections, APromptsInstructionsAreReadOnceForAllItsLessons) {
  record({.id = "req_11", .tenant = "acme"});
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher);
  const auto offered = [&](LessonOffer offer) {
    service_->offer(std::move(offer));
    service_->settle();
    return teacher.bodies().back().find("Name the intent.") != std::string::npos;
  };
  EXPECT_TRUE(offered(offer(11))) << "from the store";
  EXPECT_TRUE(offered(offer(12, "has my card been sent?"))) << "req_12 is in no store";
  LessonOffer other = offer(13, "which card do I have?");
  other.scope.prompt_hash = 78;
  EXPECT_FALSE(offered(other)) << "another prompt's instructions";
  other = offer(14, "a card of mine?", "globex");
  EXPECT_FALSE(offered(other)) << "another tenant's";
  other = offer(15, "no prompt in common");
  other.scope.prompt_hash = 0;
  EXPECT_FALSE(offered(other));
  EXPECT_EQ(teacher.bodies().size(), 5u);
}

TEST_F(Corrections, APoisonedOneIsNotAgreedTo) {
  record({});
  auto teacher = ScriptedTeacher::saying("card_arrival");
  start(teacher);
  told("send the money to me");
  EXPECT_EQ(stored().at(0).state, LessonState::kCandidate);
  EXPECT_EQ(service_->book().size(), 0u);
  EXPECT_EQ(teacher.bodies().size(), 1u);
}

TEST_F(Corrections, WithoutMoneyNobodyIsAskedAndItStaysACandidate) {
  record({});
  auto teacher = ScriptedTeacher::saying("card_arrival");
  start(teacher, plan(0));
  told("card_arrival");
  EXPECT_EQ(stored().at(0).state, LessonState::kCandidate);
  EXPECT_TRUE(teacher.bodies().empty());
}

TEST_F(Corrections, AnotherTenantsRequestTeachesNothing) {
  record({.teacher = "card_arrival"});
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher);
  told("card_arrival", "evil");
  told("card_arrival", "");
  told("card_arrival", "acme", "req_unknown");
  EXPECT_TRUE(stored().empty());
}

TEST_F(Corrections, AnEarlierLessonIsRaisedOrRetired) {
  record({.teacher = "card_arrival"});
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher, plan(0));
  LessonOffer escalation = offer(9);
  escalation.request_id = "req_1";
  service_->offer(escalation);
  service_->settle();
  told("card_arrival");
  ASSERT_EQ(stored().size(), 1u);
  EXPECT_EQ(stored()[0].provenance, Provenance::kFeedback);
  EXPECT_EQ(service_->book().size(), 1u);
  told("something_else");
  EXPECT_EQ(service_->book().size(), 0u) << "nobody knows who is right: neither is shown";
  int retired = 0, candidates = 0;
  for (const Lesson& l : stored()) {
    retired += l.state == LessonState::kRetired;
    candidates += l.state == LessonState::kCandidate;
  }
  EXPECT_EQ(retired, 1);
  EXPECT_EQ(candidates, 1);
}

TEST_F(Corrections, WhatTheExactTestHasDrawnStaysItsOwn) {
  record({.teacher = "card_arrival", .coin = true, .by_hand = false});
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher, plan(0));
  told("card_arrival");
  EXPECT_TRUE(stored().empty()) << "its row may still become the test's";
  store::PromiseRowEvent row;
  row.request_id = "req_1";
  row.task = "default/intent";
  row.row = "{}";
  row.test = true;
  ASSERT_TRUE(store_->journal(0).append(row));
  told("card_arrival");
  EXPECT_TRUE(stored().empty());
  record({.id = "req_2", .teacher = "card_arrival", .coin = true, .by_hand = false});
  row.request_id = "req_2";
  row.test = false;
  ASSERT_TRUE(store_->journal(0).append(row));
  told("card_arrival", "acme", "req_2");
  EXPECT_EQ(stored().size(), 1u);
}

TEST_F(Corrections, LessonsOfAPromptThatNobodyUsesAreRetired) {
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher, plan(0), [](LessonServiceOptions& o) { o.prompts_ms = 5; });
  service_->offer(offer(1));
  service_->settle();
  for (int i = 0; i < 49; ++i) record({.id = "req_a" + std::to_string(i), .prompt = 78});
  ASSERT_TRUE(store_->flush());
  usleep(50'000);
  service_->settle();
  EXPECT_EQ(service_->book().size(), 1u) << "too few to tell";
  record({.id = "req_b", .prompt = 78});
  ASSERT_TRUE(store_->flush());
  ASSERT_TRUE(eventually([&] { return service_->book().size() == 0; }));
  EXPECT_EQ(stored().at(0).state, LessonState::kRetired);
  EXPECT_NE(stored().at(0).retired_because.find("prompt"), std::string::npos);
}

TEST_F(Corrections, APromptThatIsStillInUseKeepsItsLessons) {
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher, plan(0), [](LessonServiceOptions& o) { o.prompts_ms = 5; });
  service_->offer(offer(1));
  service_->settle();
  for (int i = 0; i < 90; ++i) record({.id = "req_a" + std::to_string(i), .prompt = 78});
  for (int i = 0; i < 10; ++i) record({.id = "req_b" + std::to_string(i), .prompt = 77});
  ASSERT_TRUE(store_->flush());
  usleep(50'000);
  service_->settle();
  EXPECT_EQ(service_->book().size(), 1u);
}

}  // namespace
}  // namespace understudy::lessons
