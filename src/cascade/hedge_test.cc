// `hedge_above`: the teacher is asked beside the students where they are rarely enough. Who serves stays the same.
#include <gtest/gtest.h>

#include "cascade/escalation_share.h"
#include "cascade/internal/test_support.h"

namespace understudy::cascade {
namespace {

constexpr std::int64_t kStudentCost = 100 * 100'000 + 10 * 400'000;
constexpr std::int64_t kTeacherCost = 100 * 1'000'000 + 10 * 10'000'000;

class HedgeTest : public EngineFixture {
 protected:
  HedgeTest() {
    policy_->cascades[0].hedge_above = 0.9;
    policy_->cascades[0].cache = false;
  }

  providers::Script student() {
    return [this](const std::string& body, bool stream) {
      ScriptedAnswer out = says(recorded("student says", sure_ ? -0.01 : -1.0), &student_saw_)(body, stream);
      out.delay_ms = student_delay_ms_;
      return out;
    };
  }
  providers::Script teacher() {
    return [this](const std::string& body, bool stream) {
      ScriptedAnswer out = says(recorded("teacher says", -0.01), &teacher_saw_)(body, stream);
      if (teacher_breaks_-- > 0) out = breaks(500, "no")(body, stream);
      out.delay_ms = teacher_delay_ms_;
      return out;
    };
  }
  /// The students have just been enough for nothing.
  void learn_that_students_are_not_enough() {
    script(student(), teacher());
    sure_ = false;
    for (std::uint32_t i = 0; i < EscalationShare::kLeast; ++i) EXPECT_EQ(ask(request()).decision.served_by, Stage::kTeacher);
    EXPECT_EQ(counters_.hedges, 0u) << "nothing is known before";
    student_saw_.clear();
    teacher_saw_.clear();
  }
  static std::string text_of(const FakeSink& sink) { return sink.begun ? sink.stream : sink.body; }

  bool sure_ = false;
  int teacher_breaks_ = 0;
  std::int64_t student_delay_ms_ = 0, teacher_delay_ms_ = 0;
  std::vector<std::string> student_saw_, teacher_saw_;
};

constexpr const char* kDeliveries[] = {"", ",\"stream\":true"};

TEST_F(HedgeTest, TheTeacherThatIsNeededIsAskedOnce) {
  learn_that_students_are_not_enough();
  for (const char* delivery : kDeliveries) {
    for (const std::int64_t delay_ms : {0, 20}) {   // before and after the student's answer
      teacher_delay_ms_ = delay_ms;
      student_delay_ms_ = 20 - delay_ms;
      teacher_saw_.clear();
      const FakeSink sink = ask(request(delivery));
      EXPECT_EQ(sink.decision.served_by, Stage::kTeacher);
      EXPECT_EQ(sink.decision.reason, reason::kBelowThreshold);
      EXPECT_NE(text_of(sink).find("teacher"), std::string::npos) << delivery;
      EXPECT_EQ(text_of(sink).find("student says"), std::string::npos) << delivery;
      EXPECT_EQ(teacher_saw_.size(), 1u);
      if (!sink.begun) {
        EXPECT_EQ(sink.decision.cost->value, kStudentCost + kTeacherCost);
      }
    }
  }
  EXPECT_EQ(counters_.hedges, 4u);
  EXPECT_EQ(counters_.hedges_lost, 0u);
}

TEST_F(HedgeTest, ATeacherThatIsNotNeededIsCancelledAndChargedForWhatItRead) {
  learn_that_students_are_not_enough();
  sure_ = true;
  teacher_delay_ms_ = 600'000;
  for (const char* delivery : kDeliveries) {
    teacher_saw_.clear();
    const FakeSink sink = ask(request(delivery));
    EXPECT_EQ(sink.decision.served_by, Stage::kStudent);
    EXPECT_NE(text_of(sink).find("student"), std::string::npos);
    EXPECT_EQ(teacher_saw_.size(), 1u) << "it was asked beside the student";
    ASSERT_TRUE(sink.decision.cost);
    EXPECT_GT(sink.decision.cost->value, kStudentCost);
    EXPECT_LT(sink.decision.cost->value, kStudentCost + kTeacherCost);
    EXPECT_TRUE(sink.decision.cost_estimated);
  }
  EXPECT_EQ(counters_.hedges_lost, 2u);
}

TEST_F(HedgeTest, AnAnswerThatCameInVainIsChargedWhole) {
  learn_that_students_are_not_enough();
  sure_ = true;
  student_delay_ms_ = 20;
  const FakeSink plain = ask(request());
  EXPECT_EQ(plain.decision.served_by, Stage::kStudent);
  EXPECT_EQ(plain.decision.cost->value, kStudentCost + kTeacherCost);
  EXPECT_FALSE(plain.decision.cost_estimated);
  EXPECT_EQ(plain.decision.teacher_cost->value, kTeacherCost);
  const FakeSink streamed = ask(request(",\"stream\":true"));   // its events lie ready, unread
  EXPECT_EQ(streamed.decision.served_by, Stage::kStudent);
  EXPECT_EQ(streamed.stream.find("teacher"), std::string::npos);
  EXPECT_GT(streamed.decision.cost->value, kStudentCost);
}

TEST_F(HedgeTest, AHedgeThatFailsIsTheFirstOfItsTries) {
  learn_that_students_are_not_enough();
  teacher_breaks_ = 1;
  const FakeSink sink = ask(request());
  EXPECT_EQ(sink.decision.served_by, Stage::kTeacher);
  EXPECT_EQ(teacher_saw_.size(), 2u);
}

TEST_F(HedgeTest, StudentsThatAreEnoughAgainEndIt) {
  learn_that_students_are_not_enough();
  sure_ = true;
  for (int i = 0; i < 10; ++i) ask(request());
  const auto begun = counters_.hedges.load();
  EXPECT_GT(begun, 0u);
  EXPECT_LT(begun, 10u);
  teacher_saw_.clear();
  ask(request());
  EXPECT_TRUE(teacher_saw_.empty());
}

TEST_F(HedgeTest, ARequestThatMayCostSoMuchPaysForNoAnswerInVain) {
  learn_that_students_are_not_enough();
  sure_ = true;
  RequestContext context;
  context.request_id = "req_capped";
  const std::string body = request(R"(,"max_tokens":10)");
  context.body = body;
  context.max_cost = Picousd{kPicousdPerUsd};
  context.started = reactor_->clock().mono();
  FakeSink sink;
  net::block_on(*reactor_, engine_->handle(std::move(context), sink));
  EXPECT_EQ(sink.decision.served_by, Stage::kStudent);
  EXPECT_TRUE(teacher_saw_.empty());
  EXPECT_EQ(sink.decision.cost->value, kStudentCost);
}

TEST_F(HedgeTest, IsOffUnlessConfigured) {
  policy_->cascades[0].hedge_above.reset();
  learn_that_students_are_not_enough();
  sure_ = true;
  ask(request());
  EXPECT_TRUE(teacher_saw_.empty());
}

TEST(EscalationShare, ForgetsAndSaysNothingTooSoon) {
  EscalationShare share;
  for (std::uint32_t i = 1; i < EscalationShare::kLeast; ++i) share.add(true);
  EXPECT_FALSE(share.value());
  share.add(false);
  EXPECT_NEAR(*share.value(), 0.95, 1e-6);
  for (int i = 0; i < 1000; ++i) share.add(true);
  EXPECT_GT(*share.value(), 0.999);
  for (int i = 0; i < 100; ++i) share.add(i % 2 == 0);
  EXPECT_NEAR(*share.value(), 0.68, 0.02) << "about the last hundred count";
}

}  // namespace
}  // namespace understudy::cascade
