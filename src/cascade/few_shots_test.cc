// The rung "student+examples": asked beside the plain student on coin rows, serves once proven, and is tried out and dropped by what it brings.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "cascade/internal/examples.h"
#include "cascade/internal/test_support.h"

namespace understudy::cascade {
namespace {

constexpr std::string_view kExample = "where is my new card";

/// Knows that plastic is a card, and counts what it reads.
class Meanings final : public neural::TextEncoder {
 public:
  explicit Meanings(std::atomic<int>& read) : read_(read) {}
  const neural::EncoderIdentity& identity() const override { return identity_; }
  std::size_t dimension() const override { return 2; }
  std::size_t max_tokens() const override { return 8; }
  const neural::WordPiece& tokenizer() const override { std::abort(); }
  Result<void> embed(std::span<const std::string_view> texts, std::span<float> vectors) const override {
    for (std::size_t i = 0; i < texts.size(); ++i, ++read_) {
      const bool card = texts[i].find("card") != std::string_view::npos || texts[i].find("plastic") != std::string_view::npos;
      vectors[2 * i] = card ? 1 : 0;
      vectors[2 * i + 1] = card ? 0 : 1;
    }
    return {};
  }
  Result<std::vector<float>> token_vectors(const neural::Tokens&) const override { return fail(ErrorKind::kUnsupported, "no"); }

 private:
  std::atomic<int>& read_;
  neural::EncoderIdentity identity_{"meanings", "w", "t", "s", "fp32", "avx2", "none"};
};

class FewShotsTest : public EngineFixture {
 protected:
  /// @param k  FewShotConfig::kAuto: a trial
  void start(int k, bool by_meaning = false) {
    if (by_meaning) encoder_ = std::make_unique<neural::EncoderPool>(std::make_unique<Meanings>(read_));
    policy_->encoder = encoder_ ? encoder_->key() : 0;
    shots_ = std::make_unique<lessons::FewShots>(book_, encoder_.get());
    CascadeConfig& cascade = policy_->cascades[0];
    cascade.cache = false;
    cascade.escalate_below.reset();
    cascade.spot_check = 0.001;
    cascade.few_shots.k = k;
    lesson("l1", std::string(kExample));
    lesson("l2", "my new card has not come");
    lesson("l3", "how do I top up");
    shots_->refresh();
    for (; encoder_ && shots_->vectors({"", "default", "", 0}) < 3; shots_->refresh()) std::this_thread::yield();
    PromiseServiceOptions options;
    options.tick_ms = 3'600'000;   // the tests say when
    service_ = std::make_unique<PromiseService>(options);
    service_->configure(policy_);
    EngineDeps deps{*reactor_, nullptr, cache_, counters_, budget_, random_};
    deps.promises = service_.get();
    deps.few_shots = shots_.get();
    deps.encoder = encoder_.get();
    engine_ = std::make_unique<Engine>(deps);
    // Right where it has been shown something, wrong without.
    script(
        [this](const std::string& body, bool stream) {
          asked_.push_back(body);
          const auto request = chat::parse_chat_request(body);
          EXPECT_TRUE(request) << body;
          return says(recorded(request->messages > 1 ? "right" : "wrong", -0.05))(body, stream);
        },
        says(recorded("right", -0.01)));
  }

  void lesson(const std::string& id, const std::string& text, std::uint64_t prompt = 0) {
    lessons::Lesson made;
    made.id = id;
    made.scope = {"", "default", "", prompt};
    made.state = lessons::LessonState::kActive;
    made.agreed_by_teacher = true;
    made.text = text;
    made.answer = "answer of " + id;
    book_.add(lessons::UsableLesson::from(made));
  }

  void settle() {
    net::block_on(*reactor_, engine_->shut_down(1'000));
    service_->settle();
  }

  static std::string question(const std::string& extra = "") { return request(extra, "where is my new card please"); }

  /// Rows in which the student is right with examples and not without, and knows it.
  std::shared_ptr<const calibration::LadderPolicy> prove() {
    const auto promise = service_->task(*policy_, policy_->cascades[0], nullptr, "");
    SeededRandom random(11);
    for (int i = 0; i < 1'500 && !promise->view()->policy; ++i) {
      calibration::LabelledRow row;
      row.input = random.next();
      row.use = random.coin(0.5) ? calibration::RowUse::kTest : calibration::RowUse::kFit;
      row.prompt_bytes = 70;
      row.teacher_cost_usd = 0.002;
      for (std::size_t r = 0; r < 2; ++r) {
        calibration::RungOutcome& rung = row.rungs.emplace_back();
        rung.usable = true;
        rung.bad = r == 0 ? random.coin(0.5) : random.coin(0.005);
        rung.raw = 0.5 + 0.5 * random.uniform();
        rung.features.assign(kStudentFeatures, 0.5f);
        rung.cost_usd = 0.00001;
      }
      EXPECT_TRUE(promise->offer("req", std::move(row)));
      if (i % 100 == 99) service_->settle();
    }
    return promise->view()->policy;
  }

  lessons::LessonBook book_;
  std::atomic<int> read_{0};   ///< by the encoder
  std::unique_ptr<neural::EncoderPool> encoder_;
  std::unique_ptr<lessons::FewShots> shots_;
  std::unique_ptr<PromiseService> service_;
  std::vector<std::string> asked_;
};

TEST_F(FewShotsTest, CoinRowsAskTheStudentWithoutAndWithExamples) {
  start(2);
  const FakeSink sink = ask(question(",\"stream\":true,\"seed\":7"));
  EXPECT_EQ(sink.decision.served_by, Stage::kTeacher) << "nothing is proven yet";
  settle();
  ASSERT_EQ(asked_.size(), 2u);
  EXPECT_EQ(asked_[0].find("answer of"), std::string::npos);
  const std::string& with = asked_[1];
  EXPECT_NE(with.find(R"({"role":"user","content":"where is my new card please"}])"), std::string::npos) << "the client's bytes stay: " << with;
  EXPECT_NE(with.find("\"seed\":7"), std::string::npos);
  EXPECT_NE(with.find("They are data"), std::string::npos);
  EXPECT_NE(with.find("answer of l"), std::string::npos);
  const auto reports = service_->reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].uplift.rows, 1u);
  EXPECT_EQ(reports[0].uplift.better, 1u);
}

TEST_F(FewShotsTest, OnceProvenItServesPlainAndStreamed) {
  start(2);
  const auto proven = prove();
  ASSERT_TRUE(proven);
  ASSERT_TRUE(proven->rungs[1].threshold);
  EXPECT_FALSE(proven->rungs[0].threshold);
  for (const char* extra : {"", ",\"stream\":true"}) {
    asked_.clear();
    const FakeSink sink = ask(question(extra));
    EXPECT_EQ(sink.status, 200);
    EXPECT_EQ(sink.decision.served_by, Stage::kStudent) << sink.decision.reason;
    EXPECT_EQ(sink.decision.rung, "student+examples");
    ASSERT_EQ(asked_.size(), 1u);
    EXPECT_LT(asked_[0].find("answer of l2"), asked_[0].find("answer of l1")) << "the nearest last";
    EXPECT_NE((sink.body + sink.stream).find("ri"), std::string::npos);
    EXPECT_EQ((sink.body + sink.stream).find("answer of"), std::string::npos);
  }
}

TEST_F(FewShotsTest, WhereNothingIsToBeShownTheTeacherAnswers) {
  start(2);
  ASSERT_TRUE(prove());
  asked_.clear();
  EXPECT_EQ(ask(request("", "zzzzz")).decision.served_by, Stage::kTeacher) << "no lesson is like it";
  EXPECT_EQ(ask(question(R"(,"tools":[{"type":"function","function":{"name":"f"}}])")).decision.served_by, Stage::kTeacher);
  EXPECT_EQ(ask(R"({"model":"m","messages":[{"role":"user","content":"where is my new card"},{"role":"assistant","content":"so"}]})").decision.served_by, Stage::kTeacher);
  EXPECT_TRUE(asked_.empty());
}

TEST_F(FewShotsTest, WithAnEncoderLessonsAreFoundByMeaning) {
  start(2, true);
  ASSERT_TRUE(prove());
  read_ = 0;
  const FakeSink sink = ask(request("", "plastic?"));
  EXPECT_EQ(sink.decision.rung, "student+examples") << sink.decision.reason;
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_NE(asked_[0].find("answer of l1"), std::string::npos) << asked_[0];
  EXPECT_EQ(asked_[0].find("answer of l3"), std::string::npos) << "topping up has nothing to do with it";
  EXPECT_EQ(read_, 1);
}

TEST_F(FewShotsTest, ARequestIsReadByTheEncoderOnceForAllWhoWantItsVector) {
  policy_->cascades[0].knn = true;
  start(2, true);
  read_ = 0;
  EXPECT_EQ(ask(request("", "plastic?")).decision.served_by, Stage::kTeacher) << "nothing is proven yet";
  settle();
  ASSERT_EQ(asked_.size(), 2u) << "without and with examples";
  EXPECT_NE(asked_[1].find("answer of l1"), std::string::npos);
  EXPECT_EQ(read_, 1) << "for the neighbours and the examples";
}

TEST_F(FewShotsTest, AnotherEncoderIsAnotherLadder) {
  start(2, true);
  const auto with = make_ladder(*policy_, policy_->cascades[0], nullptr);
  const std::string id = ladder_id(*policy_, policy_->cascades[0], nullptr, with);
  policy_->encoder ^= 1;
  const auto other = make_ladder(*policy_, policy_->cascades[0], nullptr);
  EXPECT_NE(ladder_id(*policy_, policy_->cascades[0], nullptr, other), id);
}

TEST_F(FewShotsTest, LessonsAreWithheldByTheCoinAndOnlyWhereAsked) {
  start(3);
  Rung rung{"student+examples", Stage::kStudent, 0, {}, 1, lessons::FewShotPolicy{}};
  rung.examples->k = 3;
  rung.examples->diversity = 0;
  EngineDeps deps{*reactor_, nullptr, cache_, counters_, budget_, random_};
  deps.few_shots = shots_.get();
  const std::string body = question();
  const auto parsed = chat::parse_chat_request(body);
  ASSERT_TRUE(parsed);
  const lessons::LessonScope scope{"", "default", "", 0};
  const std::optional<std::vector<float>> no_vector;
  const internal::ShownWith with{scope, *parsed, body, 1, no_vector};
  std::size_t withheld = 0, chosen = 0;
  for (int i = 0; i < 2'000; ++i) {
    const auto all = internal::show_examples(deps, rung, with, 0);
    ASSERT_TRUE(all && all->withheld.empty());
    const auto some = internal::show_examples(deps, rung, with, internal::kWithhold);
    chosen += all->shown.size();
    withheld += some ? some->withheld.size() : all->shown.size();
  }
  EXPECT_NEAR(static_cast<double>(withheld) / static_cast<double>(chosen), internal::kWithhold, 0.03);
}

TEST_F(FewShotsTest, ATrialEndsInALadderOfItsOwnAndNeverServesBefore) {
  start(FewShotConfig::kAuto);
  const auto trial = service_->task(*policy_, policy_->cascades[0], nullptr, "");
  ASSERT_TRUE(trial->ladder()[1].trial);
  for (int i = 0; i < 200; ++i) {
    calibration::LabelledRow row;
    row.rungs.resize(2);
    const int k = FewShotTrial::kTried[static_cast<std::size_t>(i) % 4];
    for (auto& rung : row.rungs) {
      rung.usable = true;
      rung.features.assign(kStudentFeatures, 0.5f);
      rung.bad = true;
    }
    row.rungs[1].bad = k != 5;
    EXPECT_TRUE(trial->offer("req", std::move(row), k));
    if (trial->replaced()) break;
    service_->settle();
    if (trial->replaced()) break;
  }
  EXPECT_TRUE(trial->replaced());
  const auto after = service_->task(*policy_, policy_->cascades[0], nullptr, "");
  ASSERT_NE(after, trial);
  EXPECT_NE(after->ladder_id(), trial->ladder_id());
  ASSERT_EQ(after->ladder().size(), 2u);
  EXPECT_EQ(after->ladder()[1].examples->k, 5);
  EXPECT_FALSE(after->ladder()[1].trial);
}

TEST_F(FewShotsTest, ExamplesThatOnlyHarmAreSwitchedOff) {
  start(2);
  const auto before = service_->task(*policy_, policy_->cascades[0], nullptr, "");
  for (int i = 0; i < 200; ++i) {
    calibration::LabelledRow row;
    row.rungs.resize(2);
    for (auto& rung : row.rungs) {
      rung.usable = true;
      rung.features.assign(kStudentFeatures, 0.5f);
    }
    row.rungs[1].bad = i % 4 == 0;
    EXPECT_TRUE(before->offer("req", std::move(row)));
  }
  service_->settle();
  EXPECT_TRUE(before->replaced());
  const auto after = service_->task(*policy_, policy_->cascades[0], nullptr, "");
  ASSERT_EQ(after->ladder().size(), 1u);
  EXPECT_EQ(after->ladder()[0].name, "student");
}

TEST_F(FewShotsTest, UnderAThresholdByHandNoExamplesArePaidFor) {
  start(2);
  policy_->cascades[0].escalate_below = 0.5;
  policy_->cascades[0].spot_check = 1;
  service_->configure(policy_);
  script(says(recorded("right", -0.01), &asked_), says(recorded("right", -0.01)));
  EXPECT_EQ(ask(question()).decision.rung, "student");
  settle();
  EXPECT_EQ(asked_.size(), 1u);
}

}  // namespace
}  // namespace understudy::cascade
