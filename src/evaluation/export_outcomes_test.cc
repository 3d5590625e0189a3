#include "evaluation/export_outcomes.h"

#include <gtest/gtest.h>

#include <cmath>

#include "calibration/features.h"
#include "evaluation/outcomes.h"

namespace understudy::evaluation {
namespace {

store::Body body(const char* text) { return {text, std::string_view(text).size(), true}; }

store::RequestDetail escalated() {
  store::RequestDetail d;
  d.request.request_id = "req_1";
  d.request.task = "intent";
  d.request.coin_probability = 0.1;
  d.request.agrees = false;
  d.body = body(R"({"messages": [{"role": "system", "content": "Name the intent."}, {"role": "user", "content": [{"type": "text", "text": "lost it"}]}]})");
  store::AttemptRecord student, failed, teacher;
  student.stage = Stage::kStudent;
  student.model = "small";
  student.cost = Picousd{1'500'000};
  student.answer = body(R"({"role": "assistant", "content": "lost_card"})");
  calibration::LogprobAccumulator acc;
  acc.add(-0.25f);
  acc.add(-1.5f);
  const auto features = *acc.finish();
  student.feature_schema = calibration::kLogprobSchema;
  student.features.assign(features.span().begin(), features.span().end());
  failed.stage = Stage::kTeacher;
  failed.error = "upstream_timeout";
  teacher.stage = Stage::kTeacher;
  teacher.model = "large";
  teacher.answer = body(R"({"role": "assistant", "content": null, "tool_calls": [{"id": "x"}]})");
  d.attempts = {student, failed, teacher};
  return d;
}

TEST(ExportOutcomes, ALineReadsBackAsTheRequest) {
  const auto line = outcome_line(escalated(), "req_1");
  ASSERT_TRUE(line.has_value());
  const auto o = parse_outcomes(*line, "export");
  ASSERT_TRUE(o.has_value()) << o.error().message;
  const Visible& row = o->rows[0];
  EXPECT_EQ(row.system, "Name the intent.");
  EXPECT_EQ(row.prompt, "lost it");
  EXPECT_EQ(*row.weak_answer, "lost_card");
  EXPECT_DOUBLE_EQ(*row.weak_logprob, -1.5);
  EXPECT_DOUBLE_EQ(*row.weak_cost_usd, 1.5e-6);
  EXPECT_FALSE(row.strong_cost_usd.has_value());  // not known
  EXPECT_EQ(*o->truth[0].strong_answer, R"([{"id":"x"}])");
  EXPECT_EQ(o->weak_model, "small");
}

TEST(ExportOutcomes, ALabelThatCameLaterCounts) {
  store::RequestDetail d = escalated();
  d.request.agrees.reset();
  d.request.coin_heads = true;
  store::LabelRecord feedback, label;
  label.source = "coin";
  label.stage = Stage::kStudent;
  label.agrees = true;
  feedback.source = "feedback";
  d.labels = {label, feedback};
  const auto line = outcome_line(d, "a");
  const auto o = parse_outcomes(*line, "export");
  ASSERT_TRUE(o.has_value()) << o.error().message;
  EXPECT_EQ(o->truth[0].agrees, true);
  EXPECT_EQ(o->rows[0].coin, true);
  EXPECT_NE(line->find("\"label_source\":\"coin\""), std::string::npos) << *line;
}

TEST(ExportOutcomes, CallsOfASignalAreNoAnswers) {
  store::RequestDetail d = escalated();
  store::AttemptRecord check;
  check.stage = Stage::kStudent;
  check.model = "small";
  check.rung = "student+self_check";
  check.confidence = 0.9;
  check.answer = body(R"({"role": "assistant", "content": "yes"})");
  d.attempts.insert(d.attempts.begin() + 1, check);
  EXPECT_EQ(outcome_line(d, "a"), outcome_line(escalated(), "a"));
}

TEST(ExportOutcomes, UnknownIsLeftOut) {
  store::RequestDetail d = escalated();
  d.attempts.resize(1);
  d.attempts[0].answer = {};  // bodies are off
  d.attempts[0].features.clear();
  d.attempts[0].confidence = 0.7;
  const auto o = parse_outcomes(*outcome_line(d, "a"), "export");
  ASSERT_TRUE(o.has_value());
  EXPECT_FALSE(o->rows[0].weak_answer.has_value());
  EXPECT_FALSE(o->truth[0].strong_answer.has_value());
  EXPECT_NEAR(*o->rows[0].weak_logprob, std::log(0.7), 1e-12);
}

TEST(ExportOutcomes, RequestsThatOnlyTheTeacherAnsweredAreLeftOut) {
  store::RequestDetail d = escalated();
  d.attempts.erase(d.attempts.begin());
  EXPECT_FALSE(outcome_line(d, "a").has_value());
}

}  // namespace
}  // namespace understudy::evaluation
