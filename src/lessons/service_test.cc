#include "lessons/service.h"

#include "lessons/internal/test_support.h"

namespace understudy::lessons {
namespace {

class Service : public ServiceFixture {};

TEST_F(Service, AnOfferBecomesATaughtLessonThatMayBeUsed) {
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher);
  EXPECT_TRUE(service_->offer(offer(1)));
  service_->settle();
  const auto lessons = stored();
  ASSERT_EQ(lessons.size(), 1u);
  const Lesson& l = lessons[0];
  EXPECT_EQ(l.state, LessonState::kActive);
  EXPECT_EQ(l.teaching, Teaching::kTaught);
  EXPECT_EQ(l.reasoning, "the card has not come");
  ASSERT_EQ(l.examples.size(), 1u);
  EXPECT_EQ(l.parts.at(0).reliability, 0.9);
  EXPECT_EQ(l.text, "where is my card?");
  EXPECT_EQ(l.messages, R"([{"role":"user","content":"where is my card?"}])") << "without the system message";
  EXPECT_EQ(l.parameters, R"({"temperature":0})");
  EXPECT_EQ(l.cost.value, 500 * 1'000'000 + 100 * 5'000'000);
  EXPECT_EQ(l.reserved.value, 0);
  EXPECT_EQ(service_->report().spent_today.value, l.cost.value);
  int seen = 0;
  service_->book().for_each(l.scope, [&](const auto& usable) {
    EXPECT_EQ(usable->answer, "card_arrival");
    return ++seen > 0;
  });
  EXPECT_EQ(seen, 1);
  const std::string body = teacher.bodies().at(0);
  EXPECT_NE(body.find(R"("model":"frontier")"), std::string::npos);
  EXPECT_NE(body.find("json_schema"), std::string::npos);
}

TEST_F(Service, OneLessonAnInput) {
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher);
  service_->offer(offer(1));
  service_->settle();
  service_->offer(offer(1));
  service_->settle();
  EXPECT_EQ(stored().size(), 1u);
  EXPECT_EQ(service_->report().repeated, 1u);
  EXPECT_EQ(teacher.bodies().size(), 1u);
}

TEST_F(Service, WithoutMoneyOrAPriceLessonsAreAnswerOnly) {
  for (const bool priced : {false, true}) {
    auto teacher = ScriptedTeacher::saying(kGoodTeaching);
    start(teacher, plan(priced ? 0 : 5, priced));
    service_->offer(offer(priced ? 1 : 2));
    service_->settle();
    EXPECT_TRUE(teacher.bodies().empty());
    const auto lessons = stored();
    ASSERT_EQ(lessons.size(), priced ? 2u : 1u);
    const Lesson& l = lessons[0].input_hash == (priced ? 1u : 2u) ? lessons[0] : lessons[1];
    EXPECT_EQ(l.state, LessonState::kActive) << "the teacher's answer is there all the same";
    EXPECT_EQ(l.teaching, Teaching::kAnswerOnly);
    EXPECT_NE(l.teaching_note.find(priced ? "budget" : "price"), std::string::npos);
    service_.reset();
  }
}

TEST_F(Service, AReplyThatCannotBeReadIsRepairedOnce) {
  ScriptedTeacher teacher([](int call, const std::string&) { return ScriptedTeacher::answer(call == 0 ? "I think it is the card." : kGoodTeaching); });
  start(teacher);
  service_->offer(offer(1));
  service_->settle();
  EXPECT_EQ(stored().at(0).teaching, Teaching::kTaught);
  EXPECT_EQ(service_->report().repaired, 1u);
  ASSERT_EQ(teacher.bodies().size(), 2u);
  EXPECT_NE(teacher.bodies()[1].find("it is not JSON"), std::string::npos);
  EXPECT_EQ(stored().at(0).cost.value, 2 * 1'000'000'000);
}

TEST_F(Service, GarbageLeavesAnAnswerOnlyLesson) {
  auto teacher = ScriptedTeacher::saying("no");
  start(teacher);
  service_->offer(offer(1));
  service_->settle();
  EXPECT_EQ(teacher.bodies().size(), 2u);
  const Lesson l = stored().at(0);
  EXPECT_EQ(l.teaching, Teaching::kAnswerOnly);
  EXPECT_EQ(l.state, LessonState::kActive);
  EXPECT_EQ(l.reasoning, "");
}

TEST_F(Service, AnUpstreamWithoutSchemasIsAskedInWords) {
  ScriptedTeacher teacher([](int, const std::string& body) {
    return body.find("json_schema") != std::string::npos ? ScriptedTeacher::status(400) : ScriptedTeacher::answer(std::string("```json\n") + kGoodTeaching + "\n```");
  });
  start(teacher);
  service_->offer(offer(1));
  service_->settle();
  EXPECT_EQ(stored().at(0).teaching, Teaching::kTaught);
}

TEST_F(Service, RefusalsForLongOnlyWait) {
  std::atomic<bool> open{false};
  ScriptedTeacher teacher([&](int, const std::string&) { return open ? ScriptedTeacher::answer(kGoodTeaching) : ScriptedTeacher::status(429); });
  start(teacher);
  service_->offer(offer(1));
  ASSERT_TRUE(eventually([&] { return teacher.bodies().size() >= 12; })) << "more often than a lesson may fail";
  EXPECT_EQ(stored().at(0).state, LessonState::kActive) << "its answer is used meanwhile";
  EXPECT_TRUE(eventually([&] { return service_->report().spent_today.value == 0; })) << "a refusal costs nothing; only while a call is under way money is set aside";
  open = true;
  ASSERT_TRUE(eventually([&] { return service_->report().taught == 1; }));
  EXPECT_EQ(stored().at(0).teaching, Teaching::kTaught);
}

TEST_F(Service, FailuresAreGivenUpAfterSomeTries) {
  ScriptedTeacher teacher([](int, const std::string&) { return ScriptedTeacher::status(503); });
  start(teacher, plan(), [](LessonServiceOptions& o) { o.most_tries = 3; });
  service_->offer(offer(1));
  ASSERT_TRUE(eventually([&] { return service_->report().answer_only == 1; }));
  EXPECT_EQ(teacher.bodies().size(), 3u);
  EXPECT_NE(stored().at(0).teaching_note.find("503"), std::string::npos);
}

TEST_F(Service, TheDaysMoneyEndsAndTheNextDayGoesOn) {
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher, plan(0.02));   // a call sets aside about 0.008, and costs 0.001
  for (int i = 1; i <= 30; ++i) service_->offer(offer(i));
  service_->settle();
  const std::size_t today = teacher.bodies().size();
  EXPECT_GE(today, 5u);
  EXPECT_LE(today, 20u);
  EXPECT_LE(service_->report().spent_today.value, 20'000'000'000);
  EXPECT_TRUE(service_->report().budget_spent);
  EXPECT_EQ(stored().size(), 30u) << "all are kept, answer-only for now";
  clock_.next_day();
  service_->settle();
  EXPECT_GT(teacher.bodies().size(), today);
}

TEST_F(Service, ARestartGoesOnWhereItWasAndCountsTheMoney) {
  ScriptedTeacher hangs([](int, const std::string&) {
    providers::ScriptedAnswer a = ScriptedTeacher::answer(kGoodTeaching);
    a.delay_ms = 600'000;
    return a;
  });
  start(hangs);
  service_->offer(offer(1));
  ASSERT_TRUE(eventually([&] { return hangs.bodies().size() == 1; }));
  // As a killed process would leave it.
  ASSERT_TRUE(store_->flush());
  std::filesystem::copy(path_ / "data", path_ / "left", std::filesystem::copy_options::recursive);
  const Lesson before = stored().at(0);
  EXPECT_EQ(before.state, LessonState::kActive);
  EXPECT_EQ(before.teaching, Teaching::kPending);
  EXPECT_GT(before.reserved.value, 0);
  service_.reset();
  store_.reset();
  std::filesystem::remove_all(path_ / "data");
  std::filesystem::rename(path_ / "left", path_ / "data");
  open_store();
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher);
  EXPECT_EQ(service_->report().usable, 1u);
  EXPECT_EQ(service_->report().spent_today.value, before.reserved.value) << "nobody knows what the lost call cost";
  service_->settle();
  const Lesson after = stored().at(0);
  EXPECT_EQ(after.teaching, Teaching::kTaught);
  EXPECT_EQ(after.id, before.id);
  EXPECT_TRUE(after.cost_unknown);
  EXPECT_EQ(after.cost.value, before.reserved.value + 1'000'000'000);
}

TEST_F(Service, AnOrderlyStopGivesUpTheCall) {
  ScriptedTeacher hangs([](int, const std::string&) {
    providers::ScriptedAnswer a = ScriptedTeacher::answer(kGoodTeaching);
    a.delay_ms = 600'000;
    return a;
  });
  start(hangs);
  service_->offer(offer(1));
  ASSERT_TRUE(eventually([&] { return hangs.bodies().size() == 1; }));
  service_->offer(offer(2));
  service_.reset();
  const auto lessons = stored();
  ASSERT_EQ(lessons.size(), 2u) << "what was offered is kept";
  for (const Lesson& l : lessons) EXPECT_EQ(l.reserved.value, 0);
}

TEST_F(Service, AFullStoreDropsTheLessonAndNothingElse) {
  store_.reset();
  std::filesystem::remove_all(path_ / "data");
  store::StoreOptions small;
  small.segment_bytes = 64 * 1024;
  small.journal_max_bytes = 128 * 1024;
  small.batch_interval_ms = 3'600'000;   // nobody empties it
  open_store(small);
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher);
  for (int i = 1; i <= 60; ++i) service_->offer(offer(i, std::string(8'000, 'x')));
  service_->settle();
  const LessonReport report = service_->report();
  EXPECT_GT(report.dropped_store, 0u);
  EXPECT_EQ(report.stored + report.dropped_store, 60u);
  EXPECT_EQ(report.usable, report.stored) << "what could not be kept is not used either";
}

TEST_F(Service, TextsAreRedactedBeforeTheyAreStored) {
  auto teacher = ScriptedTeacher::saying(R"({"reasoning":"me@c.de wrote","examples":[{"input":"call +49 170 1234567","answer":"x"}],"parts":[{"part":"p","reliability":1,"rests_on":"4111111111111111"}]})");
  LessonPlan with = plan();
  with.redact = *Redactor::create({"email", "phone", "card"});
  start(teacher, std::move(with));
  LessonOffer o = offer(1, "I am jane@example.com, card 4111 1111 1111 1111");
  o.answer = "mail jane@example.com";
  o.student_answer = "call +49 170 1234567";
  service_->offer(o);
  service_->settle();
  const std::string json = lesson_json(stored().at(0));
  for (const char* secret : {"jane@", "4111", "170", "me@c.de"}) EXPECT_EQ(json.find(secret), std::string::npos) << secret << " in " << json;
  EXPECT_EQ(stored().at(0).text, "I am [EMAIL], card [CARD]");
  EXPECT_EQ(teacher.bodies().at(0).find("jane@"), std::string::npos) << "nor sent again";
}

TEST_F(Service, ARetiredLessonIsUsedNoMore) {
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher);
  service_->offer(offer(1));
  service_->settle();
  const std::string id = stored().at(0).id;
  const auto others = service_->retire(id, "evil", "mine");
  ASSERT_FALSE(others);
  EXPECT_EQ(others.error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(service_->book().size(), 1u);
  ASSERT_TRUE(service_->retire(id, "acme", "by hand"));
  EXPECT_EQ(service_->book().size(), 0u);
  EXPECT_EQ(stored().at(0).state, LessonState::kRetired);
  EXPECT_EQ(stored().at(0).retired_because, "by hand");
  EXPECT_FALSE(service_->retire("les_none", std::nullopt, "by hand"));
  service_->offer(offer(1));
  service_->settle();
  EXPECT_EQ(stored().size(), 1u) << "and does not come back";
}

TEST_F(Service, WhatTheStoreHasLetGoIsNotShownEither) {
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher, plan(0), [](LessonServiceOptions& o) { o.gone_ms = 5; });
  service_->offer(offer(1));
  service_->offer(offer(2));
  service_->settle();
  EXPECT_EQ(service_->book().size(), 2u);
  ASSERT_TRUE(store_->delete_request("req_1"));
  ASSERT_TRUE(eventually([&] { return service_->book().size() == 1; }));
  usleep(30'000);
  EXPECT_EQ(service_->book().size(), 1u);
}

TEST_F(Service, TenantsLessonsStayApart) {
  auto teacher = ScriptedTeacher::saying(kGoodTeaching);
  start(teacher);
  service_->offer(offer(1, "where is my card?", "acme"));
  service_->offer(offer(1, "where is my card?", "evil"));
  service_->settle();
  EXPECT_EQ(stored("acme").size(), 1u);
  EXPECT_EQ(stored("evil").size(), 1u);
  int seen = 0;
  service_->book().for_each(offer(1).scope, [&](const auto& lesson) {
    EXPECT_EQ(lesson->scope.tenant, "acme");
    return ++seen > 0;
  });
  EXPECT_EQ(seen, 1);
}

}  // namespace
}  // namespace understudy::lessons
