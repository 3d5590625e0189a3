// `early_reject`: a student's answer is left as soon as it can no longer be served. Who serves stays the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "cascade/internal/early_reject.h"
#include "cascade/internal/test_support.h"
#include "cascade/ladder.h"

namespace understudy::cascade {
namespace {

constexpr std::int64_t kStudentCost = 100 * 100'000 + 10 * 400'000;

// What is promised of the rule: it says "hopeless" at some token exactly where the whole answer is below the threshold.
TEST(EarlyReject, IsTheDecisionAtTheEndKnownEarlier) {
  SeededRandom random(20261129);
  const calibration::RawMinLogprob raw;
  const std::vector<calibration::RungModel> models = {
      {"raw", {}, {}, {}, 0}, {"platt", {1.5}, {0.7}, {1.2}, 0.4}, {"beta", {-0.8, 1.1}, {0.9, 1.3}, {0.8, 0.6}, -0.2}, {"constant", {}, {}, {}, 0.3}};
  int rejected = 0, earlier = 0, served = 0;
  for (int round = 0; round < 4'000; ++round) {
    const calibration::RungModel* const model = round % 5 == 4 ? nullptr : &models[static_cast<std::size_t>(round % 5)];
    const double threshold = random.uniform();
    chat::LogprobSeries series;
    series.present = true;
    internal::EarlyReject early(raw, model, threshold);
    calibration::LogprobAccumulator whole;
    const auto tokens = 1 + random.below(12);
    std::optional<std::uint64_t> left_at;
    for (std::uint64_t i = 0; i < tokens; ++i) {
      const auto logprob = static_cast<float>(std::log(std::max(1e-30, random.uniform())) * (random.coin(0.7) ? 0.02 : 1.5));
      series.chosen.push_back(logprob);
      whole.add(logprob);
      if (early.hopeless(series) && !left_at) left_at = i;
    }
    const double least = *raw.confidence(*whole.finish());
    const double confidence = model != nullptr ? model->probability(least, {}) : least;
    ASSERT_EQ(left_at.has_value(), confidence < threshold) << "round " << round << ", confidence " << confidence << ", threshold " << threshold;
    rejected += left_at.has_value();
    earlier += left_at && *left_at + 1 < tokens;
    served += !left_at;
  }
  EXPECT_GT(rejected, 500);
  EXPECT_GT(earlier, 300) << "else it gains nothing";
  EXPECT_GT(served, 500);
}

TEST(EarlyReject, ANumberThatIsNoLogprobRejectsNothing) {
  const calibration::RawMinLogprob raw;
  internal::EarlyReject early(raw, nullptr, 0.5);
  chat::LogprobSeries series;
  series.chosen = {std::nanf(""), 3.0f, 0.0f};
  EXPECT_FALSE(early.hopeless(series)) << "such an answer has no confidence at all, which is found at its end";
  EXPECT_DOUBLE_EQ(raw.most_with(-1e9f), std::exp(static_cast<double>(calibration::kLogprobFloor))) << "as an answer's features are bounded";
}

class EarlyRejectTest : public EngineFixture {
 protected:
  EarlyRejectTest() {
    policy_->cascades[0].early_reject = true;
    policy_->cascades[0].cache = false;
  }
  void script_with(double logprob) {
    script(says(recorded("student says so", logprob), &student_saw_), says(recorded("teacher", -0.01), &teacher_saw_));
  }
  static std::string stream() { return request(",\"stream\":true"); }
  std::vector<std::string> student_saw_, teacher_saw_;
};

TEST_F(EarlyRejectTest, ADraftThatCannotBeServedIsLeftAndChargedForWhatCame) {
  script_with(-1.0);
  const FakeSink sink = ask(stream());
  EXPECT_EQ(sink.decision.served_by, Stage::kTeacher);
  EXPECT_EQ(sink.decision.reason, reason::kBelowThreshold);
  EXPECT_EQ(sink.stream.find("student"), std::string::npos);
  EXPECT_NE(sink.stream.find("teac"), std::string::npos);
  EXPECT_EQ(counters_.early_rejects, 1u);
  EXPECT_EQ(counters_.attempt_errors[static_cast<std::size_t>(Stage::kStudent)], 0u) << "the student did nothing wrong";
  ASSERT_TRUE(sink.decision.confidence);
  EXPECT_NEAR(*sink.decision.confidence, std::exp(-1.0), 1e-6) << "what it could have reached at most";
  EXPECT_TRUE(sink.decision.cost_estimated) << "its usage had not come";
}

TEST_F(EarlyRejectTest, AnAnswerThatIsNotStreamedIsDecidedAlike) {
  script_with(-1.0);
  const FakeSink sink = ask(request());
  EXPECT_EQ(sink.decision.served_by, Stage::kTeacher);
  EXPECT_EQ(sink.decision.reason, reason::kBelowThreshold);
  EXPECT_EQ(counters_.early_rejects, 0u) << "it came whole";
  EXPECT_GT(sink.decision.cost->value, kStudentCost);
}

TEST_F(EarlyRejectTest, AnAnswerThatMayBeServedIsServed) {
  script_with(-0.01);
  const FakeSink sink = ask(stream());
  EXPECT_EQ(sink.decision.served_by, Stage::kStudent);
  EXPECT_TRUE(teacher_saw_.empty());
  EXPECT_EQ(counters_.early_rejects, 0u);
  EXPECT_EQ(sink.decision.cost->value, kStudentCost);
}

TEST_F(EarlyRejectTest, ACoinsAnswersAreReadToTheirEnd) {
  policy_->cascades[0].spot_check = 1;
  script_with(-1.0);
  const FakeSink sink = ask(stream());
  EXPECT_EQ(sink.decision.served_by, Stage::kTeacher);
  EXPECT_EQ(counters_.early_rejects, 0u);
  EXPECT_FALSE(sink.decision.cost_estimated);
}

TEST_F(EarlyRejectTest, AnAnswerThatMayHaveToStandInIsReadToItsEnd) {
  policy_->cascades[0].on_teacher_failure = OnTeacherFailure::kStudent;
  script(says(recorded("student says so", -1.0)), breaks(400, "no"));
  const FakeSink sink = ask(stream());
  EXPECT_EQ(sink.decision.served_by, Stage::kStudent);
  EXPECT_EQ(sink.decision.reason, reason::kTeacherError);
  EXPECT_EQ(counters_.early_rejects, 0u);
}

TEST_F(EarlyRejectTest, IsOffUnlessConfigured) {
  policy_->cascades[0].early_reject = false;
  script_with(-1.0);
  ask(stream());
  EXPECT_EQ(counters_.early_rejects, 0u);
}

// Its calibration is one of its own: of the raw confidence alone, on evidence of its own.
TEST_F(EarlyRejectTest, IsAnotherLadder) {
  const auto early = make_ladder(*policy_, policy_->cascades[0], nullptr);
  ASSERT_EQ(early.size(), 1u);
  EXPECT_TRUE(early[0].early);
  EXPECT_EQ(feature_count(early[0]), 0u);
  const std::string id = ladder_id(*policy_, policy_->cascades[0], nullptr, early);
  policy_->cascades[0].early_reject = false;
  const auto whole = make_ladder(*policy_, policy_->cascades[0], nullptr);
  EXPECT_EQ(feature_count(whole[0]), kStudentFeatures);
  EXPECT_NE(id, ladder_id(*policy_, policy_->cascades[0], nullptr, whole));
}

}  // namespace
}  // namespace understudy::cascade
