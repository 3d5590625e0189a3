// What the cascade offers to the lessons: escalations, and spot checks that disagree; never what the exact test has drawn.
#include "cascade/internal/test_support.h"
#include "lessons/offer.h"

namespace understudy::cascade {
namespace {

class Offers final : public lessons::LessonSink {
 public:
  bool offer(lessons::LessonOffer offer) override {
    all.push_back(std::move(offer));
    return true;
  }
  std::vector<lessons::LessonOffer> all;
};

class LessonOffers : public EngineFixture {
 protected:
  LessonOffers() { remake(nullptr); }
  ~LessonOffers() override { promises_.reset(); }
  void remake(PromiseService* promises) {
    EngineDeps deps{*reactor_, nullptr, cache_, counters_, budget_, random_};
    deps.lessons = &offers_;
    deps.promises = promises;
    engine_ = std::make_unique<Engine>(deps);
  }
  void run_labels() { net::block_on(*reactor_, engine_->shut_down(5000)); }

  Offers offers_;
  std::unique_ptr<PromiseService> promises_;
};

TEST_F(LessonOffers, AnEscalationIsOfferedWithBothAnswers) {
  script(says(recorded("wrong_one", -3)), says(recorded("right_one", -0.01)));
  const std::string body = request(R"(,"metadata":{"task":"intent"})");
  ask(body);
  ASSERT_EQ(offers_.all.size(), 1u);
  const lessons::LessonOffer& o = offers_.all[0];
  EXPECT_EQ(o.provenance, lessons::Provenance::kEscalation);
  EXPECT_EQ(o.answer, "right_one");
  EXPECT_EQ(o.student_answer, "wrong_one");
  EXPECT_EQ(o.student_agrees, false);
  EXPECT_EQ(o.student_rung, "student");
  EXPECT_LT(o.student_confidence.value_or(1), 0.8);
  EXPECT_EQ(o.scope.cascade, "default");
  EXPECT_EQ(o.scope.task, "intent");
  EXPECT_EQ(o.body, body);
  EXPECT_TRUE(o.agreed_by_teacher);
  EXPECT_TRUE(o.teacher_cost.has_value());
  EXPECT_EQ(o.teacher_model, "teacher");
}

TEST_F(LessonOffers, AStreamedEscalationIsOfferedToo) {
  script(says(recorded("wrong_one", -3)), says(recorded("right_one", -0.01)));
  ask(request(R"(,"stream":true)"));
  ASSERT_EQ(offers_.all.size(), 1u);
  EXPECT_EQ(offers_.all[0].answer, "right_one");
}

TEST_F(LessonOffers, AConfidentAnswerIsNot) {
  script(says(recorded("right_one", -0.001)), says(recorded("right_one", -0.01)));
  ask(request());
  EXPECT_TRUE(offers_.all.empty());
}

TEST_F(LessonOffers, NothingIsKeptWhereNoTextsAreOrNothingMayBeStored) {
  script(says(recorded("wrong_one", -3)), says(recorded("right_one", -0.01)));
  ask(request(), Mode::kOff);
  EXPECT_TRUE(offers_.all.empty());
  policy_->keep_bodies = false;
  ask(request());
  EXPECT_TRUE(offers_.all.empty());
}

TEST_F(LessonOffers, ASpotCheckIsOfferedWhereItDisagrees) {
  policy_->cascades[0].spot_check = 1;
  script(says(recorded("wrong_one", -0.001)), says(recorded("right_one", -0.01)));
  ask(request());
  run_labels();
  ASSERT_EQ(offers_.all.size(), 1u);
  EXPECT_EQ(offers_.all[0].provenance, lessons::Provenance::kSpotCheck);
  EXPECT_EQ(offers_.all[0].student_answer, "wrong_one");
  EXPECT_EQ(offers_.all[0].answer, "right_one");
}

TEST_F(LessonOffers, ASpotCheckThatAgreesIsNot) {
  policy_->cascades[0].spot_check = 1;
  script(says(recorded("right_one", -0.001)), says(recorded("right_one", -0.01)));
  ask(request());
  run_labels();
  EXPECT_TRUE(offers_.all.empty());
}

TEST_F(LessonOffers, ACallOfToolsIsNoLesson) {
  const auto calls = [](const std::string&, bool) {
    ScriptedAnswer out;
    out.body = R"({"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,)"
               R"("tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":1}})";
    return out;
  };
  script(says(recorded("wrong_one", -3)), calls);
  ask(request());
  EXPECT_TRUE(offers_.all.empty());
}

TEST_F(LessonOffers, WhatTheExactTestHasDrawnIsNeverOffered) {
  // Under the promise, not proven yet: every request is labelled, and a second coin gives some rows to the test alone.
  policy_->cascades[0].escalate_below.reset();
  PromiseServiceOptions options;
  options.tick_ms = 1'000'000;
  promises_ = std::make_unique<PromiseService>(std::move(options));
  promises_->configure(policy_);
  remake(promises_.get());
  script(says(recorded("wrong_one", -0.001)), says(recorded("right_one", -0.01)));
  constexpr int kRequests = 200;
  for (int i = 0; i < kRequests; ++i) {
    ask(request("", "question " + std::to_string(i)));
    if (i % 10 != 9) continue;
    while (engine_->labels_running() > 0) {
      net::block_on(*reactor_, [](net::Reactor& r) -> net::Awaitable<void> { co_await net::sleep_for(r, 1); }(*reactor_));
    }
    promises_->settle();   // the second coin's probability follows the rows that have come in
  }
  const auto reports = promises_->reports();
  ASSERT_EQ(reports.size(), 1u);
  const auto& promise = reports[0].promise;
  ASSERT_GT(promise.test_rows, 20u);
  ASSERT_GT(promise.fit_rows, 20u);
  EXPECT_EQ(offers_.all.size(), promise.fit_rows) << "one lesson for each row that may train, none for a row of the test";
}

}  // namespace
}  // namespace understudy::cascade
