// A bound specialist on the engine: by hand and under the promise, streamed and plain.
#include <gtest/gtest.h>

#include "cascade/bound_specialist.h"
#include "cascade/internal/kept_test_support.h"
#include "chat/answer.h"
#include "specialists/small_specialist_test_util.h"

namespace understudy::cascade {
namespace {

using calibration::PromiseState;

constexpr std::string_view kTask = R"(,"metadata":{"task":"intent"})";

class BoundTest : public EngineFixture {
 protected:
  BoundTest() { bind(R"({"intent": "{label}"})"); }

  void bind(const std::string& render) {
    const auto rows = specialists::parse_intent_rows(specialists::testing::small_rows(40), "f", {});
    auto named = std::make_shared<specialists::NamedSpecialist>();
    named->name = "intent-v1";
    named->kind = "intent";
    named->intent = std::make_shared<const specialists::IntentSpecialist>(*specialists::train_intent(*rows, nullptr, {}, {}));
    policy_->tasks.assign(1, {});
    policy_->tasks[0].name = "intent";
    auto bound = bind_specialist(named, render);
    ASSERT_TRUE(bound) << bound.error().message;
    policy_->tasks[0].bound = *bound;
    script(says(recorded("draft", -0.01), &student_), says(recorded(R"({"intent": "card"})", -0.01), &teacher_));
  }
  static std::string ask_for(const std::string& text, const std::string& extra = "") { return request(std::string(kTask) + extra, text); }

  std::vector<std::string> student_, teacher_;
};

TEST_F(BoundTest, AnswersInTheTemplatesWordsAndNobodyElseIsAsked) {
  const FakeSink sink = ask(ask_for("where is my new card please"));
  ASSERT_EQ(sink.status, 200) << sink.body;
  const auto answer = chat::parse_answer(sink.body);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->content, R"({"intent": "card"})");
  EXPECT_EQ(sink.decision.served_by, Stage::kSpecialist);
  EXPECT_EQ(sink.decision.model, "intent-v1");
  EXPECT_EQ(sink.decision.rung, "specialist:intent-v1");
  EXPECT_EQ(sink.decision.reason, reason::kConfident);
  EXPECT_GE(*sink.decision.confidence, 0.8);
  EXPECT_EQ(sink.decision.cost, Picousd{0});
  EXPECT_GT(sink.decision.saved()->value, 0);
  EXPECT_NE(sink.body.find(R"("stage":"specialist","model":"intent-v1")"), std::string::npos) << sink.body;
  EXPECT_TRUE(student_.empty() && teacher_.empty());
}

TEST_F(BoundTest, StreamsTheSameAnswer) {
  const FakeSink sink = ask(ask_for("where is my new card please", R"(,"stream":true)"));
  EXPECT_TRUE(sink.ended);
  EXPECT_EQ(sink.decision.served_by, Stage::kSpecialist);
  EXPECT_NE(sink.stream.find(R"({\"intent\": \"card\"})"), std::string::npos) << sink.stream;
  EXPECT_NE(sink.stream.find("data: [DONE]"), std::string::npos);
  EXPECT_TRUE(student_.empty() && teacher_.empty());
}

TEST_F(BoundTest, WhereItIsUnsureTheNextStageAnswers) {
  const FakeSink sink = ask(ask_for("quantum chromodynamics"));
  EXPECT_EQ(sink.decision.served_by, Stage::kStudent);
  EXPECT_EQ(student_.size(), 1u);
}

TEST_F(BoundTest, WithoutAStudentTheTeacherAnswers) {
  policy_->cascades[0].student.reset();
  const FakeSink above = ask(ask_for("quantum chromodynamics"));
  EXPECT_EQ(above.decision.served_by, Stage::kTeacher);
  EXPECT_TRUE(above.decision.escalated);
  EXPECT_EQ(above.decision.reason, reason::kBelowThreshold);
  EXPECT_LT(*above.decision.confidence, 0.8);
}

TEST_F(BoundTest, OtherTasksKnowNothingOfIt) {
  EXPECT_EQ(ask(request("", "where is my new card please")).decision.served_by, Stage::kStudent);
}

TEST_F(BoundTest, RequestsThatItCannotAnswerGoOn) {
  const std::string text = "where is my new card please";
  EXPECT_EQ(ask(ask_for(text, R"(,"tools":[{"type":"function","function":{"name":"f"}}])")).decision.served_by, Stage::kStudent);
  EXPECT_EQ(ask(ask_for(text, R"(,"logprobs":true)")).decision.served_by, Stage::kStudent);
  EXPECT_EQ(ask(ask_for(text, R"(,"response_format":{"type":"json_object"})")).decision.served_by, Stage::kSpecialist);
  bind("{label}");
  EXPECT_EQ(ask(ask_for(text, R"(,"response_format":{"type":"json_object"})")).decision.served_by, Stage::kStudent) << "a bare label is no JSON";
  EXPECT_EQ(ask(ask_for(text)).decision.served_by, Stage::kSpecialist);
}

TEST_F(BoundTest, AnotherVersionOrTemplateIsAnotherLadder) {
  const TaskConfig task = policy_->tasks[0];
  const CascadeConfig& cascade = policy_->cascades[0];
  const auto id = [&](const TaskConfig& t) { return ladder_id(*policy_, cascade, &t, make_ladder(*policy_, cascade, &t)); };
  bind("{label}");
  EXPECT_NE(id(task), id(policy_->tasks[0]));
  EXPECT_NE(id(task), id(TaskConfig{}));
}

/// With a store and the promise in place of a threshold by hand.
class BoundPromiseTest : public BoundTest {
 protected:
  BoundPromiseTest() {
    CascadeConfig& cascade = policy_->cascades[0];
    cascade.escalate_below.reset();
    cascade.alpha = 0.2;
    cascade.spot_check = 0.05;
    cascade.cache = false;
    cascade.student.reset();
    engine_ = std::make_unique<Engine>(kept_.open({*reactor_, nullptr, cache_, counters_, budget_, random_}, policy_));
    // The teacher's answer is the specialist's, but for texts about logins.
    const auto teacher = [](const std::string& body, bool stream) {
      const char* label = body.find("money") != std::string::npos ? "refund" : body.find("password") != std::string::npos ? "other" : "card";
      return says(recorded(fmt::format(R"({{"intent": "{}"}})", label), -0.01))(body, stream);
    };
    script(breaks(500, "nobody asks the student"), teacher);
  }
  ~BoundPromiseTest() override {
    net::block_on(*reactor_, engine_->shut_down(1000));
    engine_->set_runtime(nullptr);
    kept_.close();
  }

  FakeSink send(const std::string& text) {
    FakeSink sink = ask(ask_for(fmt::format("{} {}", text, next_++)));
    EXPECT_EQ(sink.status, 200);
    return sink;
  }
  void settle() { kept_.settle(*engine_, *reactor_); }
  PromiseState state() { return kept_.report("default/intent").promise.state; }

  KeptPromises kept_{"bound"};
  int next_ = 0;
};

TEST_F(BoundPromiseTest, IsProvenOnTheTeachersAnswersAndThenServes) {
  EXPECT_EQ(send("where is my new card").decision.reason, reason::kNoCalibration);
  for (int i = 0; i < 60 && state() != PromiseState::kProven; ++i) {
    for (int k = 0; k < 10; ++k) send(k % 2 == 0 ? "where is my new card" : "i want my money back");
    settle();
  }
  ASSERT_EQ(state(), PromiseState::kProven);
  // The first version may be a careful one: bolder ones follow.
  int served = 0;
  for (int round = 0; round < 60 && served < 10; ++round) {
    served = 0;
    for (int k = 0; k < 20; ++k) {
      const FakeSink sink = send(k % 2 == 0 ? "where is my new card" : "i want my money back");
      if (sink.decision.served_by != Stage::kSpecialist) continue;
      ++served;
      EXPECT_EQ(sink.decision.rung, "specialist:intent-v1");
      EXPECT_FALSE(sink.decision.promise_version.empty());
      EXPECT_GE(*sink.decision.confidence, *sink.decision.threshold);
    }
    settle();
  }
  EXPECT_GE(served, 10);
}

TEST_F(BoundPromiseTest, NeverServesWhatTheTeacherSaysOtherwise) {
  for (int i = 0; i < 30; ++i) {
    for (int k = 0; k < 10; ++k) EXPECT_EQ(send("my password does not work").decision.served_by, Stage::kTeacher);
    settle();
  }
  EXPECT_NE(state(), PromiseState::kProven);
}

}  // namespace
}  // namespace understudy::cascade
