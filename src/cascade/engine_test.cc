#include "cascade/engine.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cascade/internal/test_support.h"

namespace understudy::cascade {
namespace {

class EngineTest : public EngineFixture {};

/// The answer in a reply or an event stream.
chat::Answer answer_in(const FakeSink& sink) {
  if (!sink.begun) {
    auto answer = chat::parse_answer(sink.body);
    EXPECT_TRUE(answer) << sink.body;
    return answer ? *answer : chat::Answer{};
  }
  chat::StreamAssembler assembler;
  std::string_view rest = sink.stream;
  bool done = false;
  while (!rest.empty()) {
    const std::size_t end = rest.find("\n\n");
    const std::string_view data = rest.substr(6, end - 6);
    if (data == "[DONE]") {
      done = true;
    } else {
      EXPECT_TRUE(assembler.add(data, true)) << data;
    }
    rest.remove_prefix(end + 2);
  }
  EXPECT_TRUE(done) << sink.stream;
  return assembler.take();
}

TEST_F(EngineTest, ServesTheStudentWhereItIsConfident) {
  std::vector<std::string> student_saw;
  std::vector<std::string> teacher_saw;
  script(says(recorded("student says", -0.01), &student_saw), says(recorded("teacher says", -0.01), &teacher_saw));
  const FakeSink sink = ask(request());
  EXPECT_EQ(sink.status, 200);
  EXPECT_EQ(answer_in(sink).content, "student says");
  EXPECT_EQ(answer_in(sink).model, "app-model");
  EXPECT_FALSE(answer_in(sink).has_logprobs) << "they were ours to ask, not the client's to see";
  EXPECT_EQ(sink.decision.served_by, Stage::kStudent);
  EXPECT_EQ(sink.decision.reason, reason::kConfident);
  EXPECT_NEAR(*sink.decision.confidence, std::exp(-0.01), 1e-6);
  EXPECT_TRUE(teacher_saw.empty());
  ASSERT_EQ(student_saw.size(), 1u);
  EXPECT_NE(student_saw[0].find("\"logprobs\":true"), std::string::npos);
  EXPECT_NE(student_saw[0].find("\"model\":\"student-upstream\""), std::string::npos);
  // 100 x 0.1 + 10 x 0.4 USD per 1M against 100 x 1 + 10 x 10.
  EXPECT_EQ(sink.decision.cost->value, 14'000'000);
  EXPECT_EQ(sink.decision.teacher_cost->value, 200'000'000);
  EXPECT_TRUE(sink.decision.teacher_cost_estimated);
  EXPECT_NE(sink.body.find("\"understudy\":[{\"stage\":\"student\""), std::string::npos);
}

TEST_F(EngineTest, AsksTheTeacherBelowTheThreshold) {
  script(says(recorded("student says", -1.0)), says(recorded("teacher says", -0.01)));
  const FakeSink sink = ask(request());
  EXPECT_EQ(answer_in(sink).content, "teacher says");
  EXPECT_EQ(sink.decision.served_by, Stage::kTeacher);
  EXPECT_TRUE(sink.decision.escalated);
  EXPECT_EQ(sink.decision.reason, reason::kBelowThreshold);
  EXPECT_EQ(sink.decision.cost->value, 214'000'000);
  EXPECT_EQ(sink.decision.teacher_cost->value, 200'000'000);
  EXPECT_FALSE(sink.decision.teacher_cost_estimated);
}

TEST_F(EngineTest, NoLogprobsAreNoConfidence) {
  script(says(recorded("student says", 0, false)), says(recorded("teacher says", -0.01)));
  const FakeSink sink = ask(request());
  EXPECT_EQ(answer_in(sink).content, "teacher says");
  EXPECT_EQ(sink.decision.reason, reason::kNoSignal);
  EXPECT_FALSE(sink.decision.confidence);
}

TEST_F(EngineTest, StudentFailuresGoToTheTeacher) {
  for (const int status : {400, 401, 404, 429, 500, 503}) {
    script(breaks(status, "no"), says(recorded("teacher says", -0.01)));
    const FakeSink sink = ask(request("", "case " + std::to_string(status)));
    EXPECT_EQ(answer_in(sink).content, "teacher says") << status;
    EXPECT_EQ(sink.decision.reason, reason::kStudentError);
    EXPECT_EQ(sink.decision.cost->value, 200'000'000) << "a refused call costs nothing";
  }
}

TEST_F(EngineTest, TeacherFailuresReachTheClientUnlessConfiguredOtherwise) {
  script(says(recorded("student says", -1.0)), breaks(429, "slow down"));
  FakeSink sink = ask(request());
  EXPECT_EQ(sink.status, 429);
  EXPECT_NE(sink.body.find("slow down"), std::string::npos);
  script(says(recorded("student says", -1.0)), breaks(401, "bad key"));
  sink = ask(request());
  EXPECT_EQ(sink.status, 502) << "our key is not the client's fault";
  policy_->cascades[0].on_teacher_failure = OnTeacherFailure::kStudent;
  script(says(recorded("student says", -1.0)), breaks(500, "down"));
  sink = ask(request());
  EXPECT_EQ(answer_in(sink).content, "student says");
  EXPECT_EQ(sink.decision.reason, reason::kTeacherError);
}

TEST_F(EngineTest, AModelThatFailsAgainAndAgainIsNotAskedForAWhile) {
  int student_calls = 0;
  const auto broken = breaks(500, "down");
  script([&](const std::string& body, bool stream) { return ++student_calls, broken(body, stream); }, says(recorded("teacher says", -0.01)));
  for (int i = 0; i < 8; ++i) {
    const FakeSink sink = ask(request("", std::to_string(i)));
    EXPECT_EQ(answer_in(sink).content, "teacher says");
    EXPECT_EQ(sink.decision.reason, reason::kStudentError);
    EXPECT_TRUE(sink.decision.cost) << "calls that were not made cost nothing";
  }
  EXPECT_EQ(student_calls, 5);
}

TEST_F(EngineTest, WhileTheTeacherIsNotAskedOnlySureStudentsAnswer) {
  script(says(recorded("student says", -1.0)), breaks(500, "down"));
  for (int i = 0; i < 3; ++i) ask(request("", std::to_string(i)));
  const FakeSink refused = ask(request());
  ASSERT_TRUE(refused.error);
  EXPECT_EQ(refused.error->kind, ErrorKind::kCircuitOpen);
  EXPECT_GT(refused.error->retry_after_ms.value_or(0), 0);
  policy_->cascades[0].on_teacher_failure = OnTeacherFailure::kStudent;
  EXPECT_EQ(answer_in(ask(request())).content, "student says");
  EXPECT_EQ(cache_.entries(), 0u) << "a draft that served for want of better must not be remembered";
  policy_->cascades[0].on_teacher_failure = OnTeacherFailure::kError;
  script(says(recorded("sure student", -0.01)), breaks(500, "down"));
  EXPECT_EQ(answer_in(ask(request())).content, "sure student");
}

// A stream may say [DONE] without ever having finished: plain or streamed, that is no answer.
TEST_F(EngineTest, AHeldStreamWithoutAFinishReasonIsNoAnswer) {
  auto events = providers::render_recorded_stream(recorded("student says", -0.01), "up", 7, true, 1, true);
  std::erase_if(events, [](const std::string& event) { return event.find("\"finish_reason\":\"") != std::string::npos; });
  ASSERT_NE(events.back().find("[DONE]"), std::string::npos);
  const auto student = [&](const std::string&, bool) {
    ScriptedAnswer out;
    out.events = events;
    return out;
  };
  script(student, says(recorded("teacher says", -0.01)));
  const FakeSink sink = ask(request(",\"stream\":true"));
  EXPECT_EQ(answer_in(sink).content, "teacher says");
  EXPECT_EQ(sink.decision.reason, reason::kStudentError);
}

TEST_F(EngineTest, ACallThatWasLeftWithoutAWordIsChargedForItsInput) {
  const auto hangs = [](const std::string&, bool) {
    ScriptedAnswer out;
    out.error = Error(ErrorKind::kUpstreamTimeout, "no answer");
    return out;
  };
  script(says(recorded("student says", -1.0)), hangs);
  const FakeSink sink = ask(request());
  EXPECT_EQ(sink.status, 504);
  ASSERT_TRUE(sink.decision.cost);
  EXPECT_TRUE(sink.decision.cost_estimated);
  EXPECT_GT(sink.decision.cost->value, 100 * 100'000 + 10 * 400'000) << "more than the student alone";
}

TEST_F(EngineTest, TheSecondEqualRequestComesFromTheCache) {
  std::vector<std::string> seen;
  script(says(recorded("student says", -0.01), &seen), says(recorded("teacher says", -0.01), &seen));
  ask(request(",\"temperature\":0"));
  const FakeSink again = ask("{\"temperature\": 0, \"model\":\"app-model\",\"messages\":[ {\"role\":\"user\",\"content\":\"hi\"} ]}");
  EXPECT_EQ(again.decision.served_by, Stage::kCache);
  EXPECT_EQ(again.decision.reason, reason::kCacheHit);
  EXPECT_EQ(again.decision.cost->value, 0);
  EXPECT_EQ(answer_in(again).content, "student says");
  EXPECT_EQ(seen.size(), 1u);
  const FakeSink streamed = ask(request(",\"temperature\":0,\"stream\":true"));
  EXPECT_EQ(streamed.decision.served_by, Stage::kCache);
  EXPECT_EQ(answer_in(streamed).content, "student says");
}

TEST_F(EngineTest, StreamedAndPlainGetTheSameDecisionAndAnswer) {
  for (const double logprob : {-0.01, -1.0}) {
    for (const char* asked : {"", ",\"logprobs\":true,\"top_logprobs\":1"}) {
      cache_.clear();
      script(says(recorded("student says", logprob)), says(recorded("teacher says", -0.02)));
      const FakeSink plain = ask(request(asked));
      cache_.clear();
      const FakeSink streamed = ask(request(std::string(asked) + ",\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
      EXPECT_TRUE(streamed.ended);
      const chat::Answer a = answer_in(plain);
      const chat::Answer b = answer_in(streamed);
      EXPECT_EQ(a.content, b.content);
      EXPECT_EQ(a.usage, b.usage);
      EXPECT_EQ(a.finish_reason, b.finish_reason);
      EXPECT_EQ(a.has_logprobs, b.has_logprobs);
      EXPECT_EQ(a.has_logprobs, *asked != 0);
      EXPECT_EQ(a.logprobs_content, b.logprobs_content);
      EXPECT_EQ(plain.decision.served_by, streamed.decision.served_by);
      EXPECT_EQ(plain.decision.reason, streamed.decision.reason);
      EXPECT_NE(streamed.stream.find("\"model\":\"app-model\""), std::string::npos);
      EXPECT_EQ(streamed.stream.find("\"model\":\"up\""), std::string::npos);
    }
  }
}

TEST_F(EngineTest, NoByteOfARejectedDraftReachesTheStream) {
  script(says(recorded("SECRETDRAFT", -1.0)), says(recorded("teacher says", -0.01)));
  const FakeSink sink = ask(request(",\"stream\":true"));
  EXPECT_EQ(answer_in(sink).content, "teacher says");
  EXPECT_EQ(sink.stream.find("SECRET"), std::string::npos);
  EXPECT_EQ(sink.stream.find("DRAFT"), std::string::npos);
  EXPECT_EQ(sink.stream.find("\"choices\":[]"), std::string::npos) << "usage was not asked for";
}

TEST_F(EngineTest, AStreamThatBreaksEndsWithAnErrorEventAndNoDone) {
  const auto whole = providers::render_recorded_stream(recorded("teacher says", -0.01), "up", 7, false, 0, false);
  script(says(recorded("student says", -1.0)), [&](const std::string&, bool) {
    ScriptedAnswer out;
    out.events = {whole[0], whole[1]};
    return out;
  });
  const FakeSink sink = ask(request(",\"stream\":true"));
  EXPECT_TRUE(sink.ended);
  EXPECT_NE(sink.stream.find("\"error\":{"), std::string::npos);
  EXPECT_EQ(sink.stream.find("[DONE]"), std::string::npos);
}

TEST_F(EngineTest, ModesAndBypassSayWhoAnswers) {
  script(says(recorded("student says", -1.0)), says(recorded("teacher says", -0.01)));
  EXPECT_EQ(answer_in(ask(request(), Mode::kStudent)).content, "student says");
  EXPECT_EQ(answer_in(ask(request(), Mode::kTeacher)).content, "teacher says");
  const FakeSink many = ask(request(",\"n\":2"));
  EXPECT_EQ(many.decision.reason, "many_choices");
  EXPECT_EQ(many.decision.served_by, Stage::kTeacher);
  const FakeSink direct = ask(R"({"model":"student","messages":[{"role":"user","content":"x"}]})");
  EXPECT_EQ(direct.decision.reason, reason::kDirect);
  EXPECT_EQ(answer_in(direct).content, "student says");
  TaskConfig pinned;
  pinned.name = "risky";
  pinned.pin_teacher = true;
  policy_->tasks.push_back(pinned);
  const FakeSink sink = ask(request(",\"metadata\":{\"task\":\"risky\"}"));
  EXPECT_EQ(sink.decision.reason, reason::kPinned);
}

TEST_F(EngineTest, UnknownModelsFollowTheConfiguration) {
  script(says(recorded("student says", -0.01)), says(recorded("teacher says", -0.01)));
  EXPECT_EQ(ask(request()).decision.served_by, Stage::kStudent);
  policy_->unknown_model = UnknownModel::kTeacher;
  EXPECT_EQ(ask(request()).decision.served_by, Stage::kTeacher);
  policy_->unknown_model = UnknownModel::kError;
  const FakeSink sink = ask(request());
  EXPECT_EQ(sink.status, 404);
  EXPECT_EQ(sink.error->kind, ErrorKind::kModelNotFound);
}

TEST_F(EngineTest, ShadowServesTheTeacherAndLabelsTheStudent) {
  std::vector<std::string> student_saw;
  script(says(recorded("same", -0.01), &student_saw), says(recorded("same", -0.01)));
  const FakeSink sink = ask(request(",\"stream\":true"), Mode::kShadow);
  EXPECT_EQ(sink.decision.served_by, Stage::kTeacher);
  net::block_on(*reactor_, engine_->shut_down(1000));
  EXPECT_EQ(student_saw.size(), 1u);
  EXPECT_EQ(counters_.labels.load(), 1u);
  EXPECT_EQ(counters_.labels_agree.load(), 1u);
}

TEST_F(EngineTest, CoinHeadsAskTheTeacherOffThePath) {
  policy_->cascades[0].spot_check = 1;
  std::vector<std::string> teacher_saw;
  script(says(recorded("student says", -0.01)), says(recorded("teacher says", -0.01), &teacher_saw));
  const FakeSink sink = ask(request());
  EXPECT_EQ(sink.decision.served_by, Stage::kStudent);
  net::block_on(*reactor_, engine_->shut_down(1000));
  EXPECT_EQ(teacher_saw.size(), 1u);
  EXPECT_EQ(counters_.coins.load(), 1u);
  EXPECT_EQ(counters_.labels.load(), 1u);
  EXPECT_EQ(counters_.labels_agree.load(), 0u);
}

TEST_F(EngineTest, TheLabelBudgetStopsSpotChecks) {
  policy_->cascades[0].spot_check = 1;
  policy_->cascades[0].label_budget_per_day = Picousd{300'000'000};  // one call of 200 M and a half
  script(says(recorded("student says", -0.01)), says(recorded("teacher says", -0.01)));
  for (int i = 0; i < 4; ++i) ask(request("", "text " + std::to_string(i)));
  net::block_on(*reactor_, engine_->shut_down(1000));
  EXPECT_EQ(counters_.labels.load(), 1u);
  EXPECT_EQ(counters_.labels_skipped.load(), 3u);
}

TEST_F(EngineTest, BadRequestsAreRefusedBeforeAnyCall) {
  std::vector<std::string> seen;
  script(says(recorded("x", -0.01), &seen), says(recorded("x", -0.01), &seen));
  EXPECT_EQ(ask("{").status, 400);
  EXPECT_EQ(ask(R"({"model":"m"})").status, 400);
  EXPECT_TRUE(seen.empty());
}

TEST(AnswerCache, IsBoundedByBytesAndAgeAndKeepsScopesApart) {
  AnswerCache cache(16 * 4096);
  const auto answer = [](std::size_t bytes) {
    CachedAnswer made;
    made.completion.assign(bytes, 'x');
    return made;
  };
  cache.put({"tenant-a", "q"}, answer(10));
  EXPECT_NE(cache.find({"tenant-a", "q"}, MonoTime{}, 1000), nullptr);
  EXPECT_EQ(cache.find({"tenant-b", "q"}, MonoTime{}, 1000), nullptr);
  EXPECT_EQ(cache.find({"tenant-a", "q"}, MonoTime{}.plus_ms(1001), 1000), nullptr);
  for (int i = 0; i < 1000; ++i) cache.put({"t", std::to_string(i)}, answer(1000));
  EXPECT_LE(cache.bytes(), 16u * 4096);
  EXPECT_GT(cache.entries(), 10u);
  cache.put({"t", "huge"}, answer(100'000));
  EXPECT_EQ(cache.find({"t", "huge"}, MonoTime{}, 1000), nullptr);
}

}  // namespace
}  // namespace understudy::cascade
