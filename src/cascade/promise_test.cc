#include "cascade/promise.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cascade/internal/kept_test_support.h"
#include "store/queries.h"

namespace understudy::cascade {
namespace {

namespace fs = std::filesystem;
using calibration::PromiseState;

/// A student that is right where it is sure: message "text N" is hard where N % 3 == 0.
bool hard(const std::string& body) {
  const std::size_t at = body.find("text ");
  return at != std::string::npos && std::strtol(body.c_str() + at + 5, nullptr, 10) % 3 == 0;
}

class PromiseTest : public EngineFixture {
 protected:
  PromiseTest() {
    CascadeConfig& cascade = policy_->cascades[0];
    cascade.escalate_below.reset();
    cascade.alpha = 0.2;
    cascade.spot_check = 0.02;
    cascade.cache = false;
    open();
    student_and_teacher();
  }
  ~PromiseTest() override { close(); }

  void open() { engine_ = std::make_unique<Engine>(kept_.open({*reactor_, nullptr, cache_, counters_, budget_, random_}, policy_)); }
  void close() {
    net::block_on(*reactor_, engine_->shut_down(1000));
    engine_->set_runtime(nullptr);
    kept_.close();
  }

  void student_and_teacher(double student_sure_of_hard = 0.4) {
    const auto student = [student_sure_of_hard](const std::string& body, bool stream) {
      return says(recorded(hard(body) ? "wrong" : "right", std::log(hard(body) ? student_sure_of_hard : 0.97)))(body, stream);
    };
    script(student, says(recorded("right", -0.01)));
  }

  /// Sends messages and waits for their labels.
  std::size_t send(int count) {
    std::size_t by_student = 0;
    for (int i = 0; i < count; ++i) {
      last_ = ask(request("", "text " + std::to_string(next_++)));
      EXPECT_EQ(last_.status, 200);
      by_student += last_.decision.served_by == Stage::kStudent;
      if (i % 10 == 9) settle();
    }
    settle();
    return by_student;
  }
  void settle() { kept_.settle(*engine_, *reactor_); }
  TaskReport report() { return kept_.report("default/"); }
  bool prove() {
    for (int i = 0; i < 60 && !report().policy; ++i) send(20);
    return report().policy != nullptr;
  }

  KeptPromises kept_{"promise"};
  FakeSink last_;
  int next_ = 1;
};

TEST_F(PromiseTest, TheTeacherServesUntilAVersionIsProvenThenTheStudentWhereItIsSure) {
  EXPECT_EQ(send(30), 0u);
  EXPECT_EQ(last_.decision.reason, reason::kNoCalibration);
  EXPECT_EQ(last_.decision.served_by, Stage::kTeacher);
  ASSERT_TRUE(prove());
  const std::size_t before = counters_.labels.load();
  std::size_t served = 0;
  for (int i = 0; i < 30; ++i) {
    const bool is_hard = next_ % 3 == 0;
    send(1);
    served += last_.decision.served_by == Stage::kStudent;
    EXPECT_EQ(last_.decision.served_by, is_hard ? Stage::kTeacher : Stage::kStudent) << next_;
    EXPECT_EQ(last_.decision.reason, is_hard ? reason::kBelowThreshold : reason::kConfident);
    EXPECT_TRUE(last_.decision.threshold);
    EXPECT_EQ(last_.decision.rung, is_hard ? "" : "student");
  }
  EXPECT_EQ(served, 20u);
  EXPECT_LT(counters_.labels.load() - before, 20u) << "the coin has fallen";
  EXPECT_FALSE(report().policy->version.empty());
}

TEST_F(PromiseTest, ARestartFindsTheVersionAndItsEvidence) {
  ASSERT_TRUE(prove());
  const TaskReport before = report();
  close();
  open();
  student_and_teacher();
  const TaskReport after = report();
  ASSERT_TRUE(after.policy);
  EXPECT_EQ(*after.policy, *before.policy);
  EXPECT_EQ(after.promise.test_rows, before.promise.test_rows);
  EXPECT_GT(send(9), 0u) << "served at once";
  const auto stored = stored_reports(kept_.folder, system_clock().wall().us);
  ASSERT_TRUE(stored);
  ASSERT_EQ(stored->size(), 1u);
  ASSERT_TRUE(stored->at(0).policy);
  EXPECT_EQ(*stored->at(0).policy, *before.policy);
  EXPECT_EQ(stored->at(0).options.promise.alpha, 0.2);
}

TEST_F(PromiseTest, AnEventThatCannotBeReadTakesTheVersionOff) {
  ASSERT_TRUE(prove());
  store::PromiseEvent event;
  event.task = "default/";
  event.kind = "epoch";
  event.detail = "{\"kind\":\"epoch\"}";
  net::block_on(*reactor_, engine_->shut_down(1000));
  kept_.promises.reset();
  ASSERT_TRUE(kept_.store->journal(1).append(event)) << "the service's own journal, whose order counts";
  close();
  open();
  student_and_teacher();
  EXPECT_FALSE(report().policy) << "the event may have been an alarm's";
  EXPECT_EQ(send(6), 0u);
  // A new epoch is whole again: the next start finds it as it was.
  ASSERT_TRUE(prove());
  close();
  open();
  student_and_teacher();
  EXPECT_TRUE(report().policy);
}

TEST_F(PromiseTest, AnotherModelBehindTheTaskLosesTheVersionAtOnce) {
  ASSERT_TRUE(prove());
  const auto old_runtime = engine_->runtime();
  auto changed = std::make_shared<Policy>(*policy_);
  changed->models[0].config.upstream_model = "another-student";
  kept_.promises->configure(changed);
  // A request that the reload has overtaken still runs under the old policy, whose promise is the configured one no more.
  EXPECT_FALSE(kept_.promises->task(*policy_, policy_->cascades[0], nullptr, "")->view()->policy);
  policy_ = changed;
  student_and_teacher();
  EXPECT_EQ(send(6), 0u);
  EXPECT_EQ(last_.decision.reason, reason::kNoCalibration);
  EXPECT_FALSE(report().policy);
  // The same configuration again is no change.
  ASSERT_TRUE(prove());
  kept_.promises->configure(changed);
  EXPECT_TRUE(report().policy);
}

TEST_F(PromiseTest, AStudentThatIsAlwaysSureIsNeverServed) {
  policy_->cascades[0].alpha = 0.05;
  kept_.promises->configure(policy_);
  student_and_teacher(0.97);
  EXPECT_EQ(send(600), 0u);
  EXPECT_EQ(report().promise.state, PromiseState::kNever);
}

TEST_F(PromiseTest, WithoutMoneyForLabelsNothingIsEverProven) {
  policy_->cascades[0].label_budget_per_day = Picousd{0};
  EXPECT_EQ(send(100), 0u);
  EXPECT_EQ(report().promise.fit_rows + report().promise.test_rows, 0u);
  EXPECT_EQ(counters_.labels_skipped.load(), 100u);
}

TEST_F(PromiseTest, ATeacherThatIsDownTeachesNothing) {
  script(says(recorded("right", -0.01)), breaks(500, "down"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask(request("", "text " + std::to_string(i))).status, i < 2 ? 500 : 503) << "then it is not asked any more";
  settle();
  EXPECT_EQ(report().promise.fit_rows + report().promise.test_rows, 0u);
  EXPECT_EQ(counters_.labels.load(), 0u);
}

TEST_F(PromiseTest, AnUnknownPromptIsTheTeachersCase) {
  ASSERT_TRUE(prove());
  const FakeSink other = ask(R"({"model":"m","messages":[{"role":"system","content":"new"},{"role":"user","content":"text 1"}]})");
  EXPECT_EQ(other.decision.served_by, Stage::kTeacher);
  EXPECT_EQ(other.decision.reason, reason::kNewPrompt);
}

TEST_F(PromiseTest, APinTakesATaskOffAtOnceAndOverRestarts) {
  ASSERT_TRUE(prove());
  ASSERT_TRUE(kept_.promises->pin("", true));
  EXPECT_EQ(send(6), 0u);
  EXPECT_EQ(last_.decision.reason, reason::kPinned);
  close();
  open();
  student_and_teacher();
  EXPECT_EQ(send(6), 0u);
  ASSERT_TRUE(write_pin(kept_.folder, "", false));  // as the command does beside a running gateway
  for (int i = 0; i < 200 && engine_->runtime() && report().pinned; ++i) ::usleep(10'000);
  EXPECT_GT(send(6), 0u);
  std::ofstream(kept_.folder / "pins.json") << "{\"pins\": 3}";
  const auto broken = read_pins(kept_.folder);
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("pins.json"), std::string::npos);
}

TEST_F(PromiseTest, AThresholdByHandIsOutsideThePromise) {
  policy_->cascades[0].escalate_below = 0.5;
  kept_.promises->configure(policy_);
  student_and_teacher();
  EXPECT_EQ(send(9), 6u);
  EXPECT_TRUE(report().by_hand);
  EXPECT_EQ(report().promise.fit_rows, 0u);
}

TEST_F(PromiseTest, TheCacheServesUnderThePromiseToo) {
  policy_->cascades[0].cache = true;
  kept_.promises->configure(policy_);
  student_and_teacher();
  const auto again = [&] { return ask(request("", "text 1")); };
  again();
  settle();
  EXPECT_EQ(again().decision.served_by, Stage::kTeacher) << "nothing is proven yet";
  // Every third request repeats an earlier one.
  for (int i = 0; i < 60 && !report().policy; ++i) {
    for (int k = 0; k < 20; ++k) {
      ask(request("", "text " + std::to_string(next_)));
      if (k % 3 == 0) ask(request("", "text " + std::to_string(next_ / 2)));
      ++next_;
    }
    settle();
  }
  ASSERT_TRUE(report().policy);
  ASSERT_TRUE(report().policy->rungs[0].threshold) << "the cache is the cheapest rung, and right";
  EXPECT_EQ(again().decision.served_by, Stage::kCache);
}

TEST_F(PromiseTest, RowsSayWhatTheyWereForAndLabelsWhoseTheyAre) {
  send(40);
  close();
  auto reader = store::StoreReader::open(kept_.folder);
  ASSERT_TRUE(reader);
  std::size_t rows = 0, tests = 0;
  const auto visited = reader->promise_rows("default/", std::nullopt, [&](const store::PromiseRowRecord& record) {
    const auto row = calibration::parse_row(record.row);
    EXPECT_TRUE(row);
    if (row) {
      EXPECT_EQ(row->propensity, 1.0);
      EXPECT_EQ(row->rungs.size(), 1u);
      EXPECT_TRUE(row->rungs[0].usable);
      EXPECT_EQ(row->rungs[0].features.size(), kStudentFeatures);
      EXPECT_EQ(record.test, row->use == calibration::RowUse::kTest);
    }
    ++rows;
    tests += record.test;
    return true;
  });
  ASSERT_TRUE(visited);
  EXPECT_EQ(rows, 40u);
  EXPECT_GT(tests, 5u);
  EXPECT_LT(tests, 35u);
  kept_.store.reset();
  open();
}

TEST_F(PromiseTest, FeedbackForgivesWhatDidNoHarmWhereTheTaskSaysSo) {
  policy_->cascades[0].forgive_harmless = true;
  kept_.promises->configure(policy_);
  // The student always says what the teacher does not, and feedback calls the student right.
  script(says(recorded("right", std::log(0.97))), says(recorded("wrong", -0.01)));
  const auto bad_rows = [&] {
    std::size_t bad = 0;
    const auto stored = load_promise(kept_.folder, "default/", 0);
    for (const auto& row : stored->rows) bad += row.rungs[0].bad;
    return std::pair(bad, stored->rows.size());
  };
  for (int i = 0; i < 4; ++i) {
    RequestContext context;
    context.request_id = "req_" + std::to_string(i);
    const std::string body = request("", "text " + std::to_string(i));
    context.body = body;
    context.started = reactor_->clock().mono();
    FakeSink sink;
    net::block_on(*reactor_, engine_->handle(std::move(context), sink));
  }
  settle();
  EXPECT_EQ(bad_rows(), std::pair(std::size_t{4}, std::size_t{4}));
  kept_.promises->feedback("req_0", "", "right");   // the student's answer
  kept_.promises->feedback("req_1", "", "other");   // neither's: the teacher is wrong, so nothing was lost
  kept_.promises->feedback("req_2", "", "wrong");   // the teacher's: the student did harm
  kept_.promises->feedback("req_9", "", "right");   // nobody's
  kept_.promises->feedback("req_3", "another", "right");   // not that tenant's request
  kept_.promises->settle();
  EXPECT_EQ(bad_rows(), std::pair(std::size_t{2}, std::size_t{4}));
  close();
  open();
  EXPECT_EQ(report().promise.fit_rows + report().promise.test_rows, 4u);
}

}  // namespace
}  // namespace understudy::cascade
