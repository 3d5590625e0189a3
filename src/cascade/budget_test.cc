// Budgets, the request's own limit, and what is served where they forbid the teacher.
#include "cascade/internal/test_support.h"

namespace understudy::cascade {
namespace {

constexpr std::int64_t kUsd = kPicousdPerUsd;

class BudgetFixture : public EngineFixture {
 protected:
  BudgetFixture() {
    EngineDeps deps{*reactor_, nullptr, cache_, counters_, budget_, random_};
    deps.purse = &purse_;
    engine_ = std::make_unique<Engine>(deps);
    policy_->cascades[0].cache = false;
  }

  void limit(BudgetScope scope, std::string name, std::int64_t per_day) {
    policy_->budgets.push_back({scope, std::move(name), Picousd{per_day}, {}});
    ledger_.configure(policy_->budgets, now());
  }
  WallTime now() { return reactor_->clock().wall(); }
  Int128 spent(std::size_t i = 0) { return ledger_.report(now()).at(i).spent_day.value; }

  FakeSink ask_within(const std::string& body, Picousd max_cost) {
    RequestContext context;
    context.request_id = "req_test";
    context.body = body;
    context.max_cost = max_cost;
    context.started = reactor_->clock().mono();
    FakeSink sink;
    net::block_on(*reactor_, engine_->handle(std::move(context), sink));
    return sink;
  }

  BudgetLedger ledger_;
  store::Purse purse_{ledger_, nullptr};
};

// The scripts say 100 tokens in and 10 out: 14 million picodollars of the student, 200 million of the teacher.
constexpr std::int64_t kStudentCost = 100 * 100'000 + 10 * 400'000;
constexpr std::int64_t kTeacherCost = 100 * 1'000'000 + 10 * 10'000'000;

TEST_F(BudgetFixture, WhatTheCallsCostIsSpent) {
  script(says(recorded("draft", -2)), says(recorded("final", -0.01)));
  limit(BudgetScope::kAll, "", kUsd);
  limit(BudgetScope::kModel, "teacher", kUsd);
  EXPECT_EQ(ask(request()).decision.served_by, Stage::kTeacher);
  EXPECT_EQ(spent(0), kStudentCost + kTeacherCost) << "nothing stays set aside";
  EXPECT_EQ(spent(1), kTeacherCost);
  ask(request(R"(,"stream":true)"));
  EXPECT_EQ(spent(0), 2 * (kStudentCost + kTeacherCost)) << "streams, too";
}

TEST_F(BudgetFixture, WhatIsSetAsideIsWhatTheCallCanCostAtMost) {
  std::vector<Int128> aside;
  script(
      [&](const std::string& body, bool stream) {
        aside.push_back(spent());
        return says(recorded("sure", -0.01))(body, stream);
      },
      says(recorded("final", -0.01)));
  limit(BudgetScope::kAll, "", kUsd);
  const auto bound = [&](std::size_t i) { return static_cast<std::int64_t>(aside.at(i) - static_cast<std::int64_t>(i) * kStudentCost); };
  ask(request(R"(,"max_tokens":7)"));
  EXPECT_GE(bound(0), 60 * 100'000 + 7 * 400'000);
  EXPECT_LT(bound(0), 300 * 100'000 + 7 * 400'000);
  ask(request(R"(,"max_completion_tokens":1000)"));
  EXPECT_GE(bound(1), 1'000 * 400'000);
  ask(request());
  EXPECT_GE(bound(2), 16'384 * std::int64_t{400'000}) << "the model's, where the request says nothing";
  policy_->models[0].max_output_tokens = 50;
  ask(request());
  EXPECT_LT(bound(3), 1'000 * 400'000);
}

TEST_F(BudgetFixture, WithoutMoneyForTheTeacherAnUnsureRequestGets402) {
  script(says(recorded("draft", -2)), says(recorded("final", -0.01)));
  limit(BudgetScope::kModel, "teacher", 1'000);
  const FakeSink sink = ask(request());
  EXPECT_EQ(sink.status, 402);
  EXPECT_EQ(sink.decision.reason, "budget");
  ASSERT_TRUE(sink.error);
  EXPECT_NE(sink.error->message.find("the model 'teacher'"), std::string::npos) << sink.error->message;
  EXPECT_EQ(sink.error->message.find("upstream"), std::string::npos) << "nobody's upstream failed: " << sink.error->message;
}

TEST_F(BudgetFixture, WithoutMoneyForTheTeacherASureStudentServes) {
  script(says(recorded("sure", -0.01)), says(recorded("final", -0.01)));
  limit(BudgetScope::kModel, "teacher", 1'000);
  const FakeSink sink = ask(request());
  EXPECT_EQ(sink.decision.served_by, Stage::kStudent);
  EXPECT_EQ(sink.decision.reason, "confident");
}

TEST_F(BudgetFixture, OnTeacherFailureStudentServesTheDraftMarked) {
  script(says(recorded("draft", -2)), says(recorded("final", -0.01)));
  limit(BudgetScope::kModel, "teacher", 1'000);
  policy_->cascades[0].on_teacher_failure = OnTeacherFailure::kStudent;
  policy_->cascades[0].cache = true;
  for (int i = 0; i < 2; ++i) {
    const FakeSink sink = ask(request());
    EXPECT_EQ(sink.status, 200);
    EXPECT_EQ(sink.decision.served_by, Stage::kStudent) << "and it is not remembered";
    EXPECT_EQ(sink.decision.reason, "budget");
  }
}

TEST_F(BudgetFixture, ATasksWordOnTeacherFailureGoesBeforeTheCascades) {
  script(says(recorded("draft", -2)), breaks(400, "down"));
  TaskConfig lenient;
  lenient.name = "lenient";
  lenient.on_teacher_failure = OnTeacherFailure::kStudent;
  TaskConfig strict;
  strict.name = "strict";
  strict.on_teacher_failure = OnTeacherFailure::kError;
  policy_->tasks = {lenient, strict};
  const auto status = [&](const std::string& task) { return ask(request(R"(,"metadata":{"task":")" + task + "\"}")).status; };
  EXPECT_EQ(status("lenient"), 200);
  EXPECT_EQ(status("strict"), 400);
  policy_->cascades[0].on_teacher_failure = OnTeacherFailure::kStudent;
  EXPECT_EQ(status("strict"), 400);
  EXPECT_EQ(status("another"), 200);
}

TEST_F(BudgetFixture, WithoutAnyMoneyNobodyIsAsked) {
  std::vector<std::string> seen;
  script(says(recorded("draft", -2), &seen), says(recorded("final", -0.01), &seen));
  limit(BudgetScope::kAll, "", 0);
  const FakeSink sink = ask(request());
  EXPECT_EQ(sink.status, 402);
  EXPECT_TRUE(seen.empty());
  EXPECT_EQ(sink.decision.cost, Picousd{0});
  EXPECT_EQ(ask(request(R"(,"stream":true)")).status, 402);
}

TEST_F(BudgetFixture, ARefusedCallGivesBackWhatWasSetAside) {
  script(says(recorded("draft", -2)), breaks(401, "who are you"));
  limit(BudgetScope::kModel, "teacher", kUsd);
  EXPECT_NE(ask(request()).status, 200);
  EXPECT_EQ(spent(), 0);
}

TEST_F(BudgetFixture, SpotChecksArePaidFromTheBudgetsAndForbiddenLabelsAreNoLabels) {
  script(says(recorded("sure", -0.01)), says(recorded("sure", -0.01)));
  policy_->cascades[0].spot_check = 1;
  policy_->cascades[0].label_budget_per_day = Picousd{kUsd};
  limit(BudgetScope::kAll, "", kUsd);
  ask(request());
  net::block_on(*reactor_, engine_->shut_down(1'000));
  EXPECT_GE(spent(), kStudentCost + kTeacherCost);
  EXPECT_EQ(counters_.labels.load(), 1u);
  const Int128 before = spent();
  limit(BudgetScope::kModel, "teacher", 1'000);
  EngineDeps deps{*reactor_, nullptr, cache_, counters_, budget_, random_};
  deps.purse = &purse_;
  engine_ = std::make_unique<Engine>(deps);
  script(says(recorded("sure", -0.01)), says(recorded("sure", -0.01)));
  ask(request());
  net::block_on(*reactor_, engine_->shut_down(1'000));
  EXPECT_EQ(counters_.labels.load(), 1u);
  EXPECT_EQ(counters_.labels_skipped.load(), 1u);
  EXPECT_EQ(spent(), before + kStudentCost);
}

TEST_F(BudgetFixture, TheRequestsOwnLimitCountsWhatWasSpentOnIt) {
  script(says(recorded("draft", -2)), says(recorded("final", -0.01)));
  for (PricedModel& model : policy_->models) model.max_output_tokens = 10;
  const auto bound = [&](std::size_t model) { return policy_->models[model].most(*policy_->prices, 200, 10, now())->value; };
  EXPECT_EQ(ask_within(request(), Picousd{kUsd}).status, 200);
  EXPECT_EQ(ask_within(request(), Picousd{1'000}).status, 402) << "not even the student";
  const FakeSink sink = ask_within(request(), Picousd{bound(0)});
  EXPECT_EQ(sink.status, 402);
  ASSERT_TRUE(sink.error);
  EXPECT_EQ(sink.error->param, "x-understudy-max-cost-usd");
  EXPECT_NE(sink.error->message.find("beside the 0.000014 USD spent already"), std::string::npos) << sink.error->message;
  EXPECT_EQ(sink.decision.cost, Picousd{kStudentCost}) << "the student was asked and is paid for";
  policy_->cascades[0].on_teacher_failure = OnTeacherFailure::kStudent;
  EXPECT_EQ(ask_within(request(), Picousd{bound(0)}).decision.reason, "budget");
}

TEST_F(BudgetFixture, TheRequestsOwnLimitRefusesWhatHasNoKnownPrice) {
  script(says(recorded("sure", -0.01)), says(recorded("final", -0.01)));
  for (PricedModel& model : policy_->models) {
    model.override_prices.reset();
    model.unpriced = true;
  }
  EXPECT_EQ(ask_within(request(), Picousd{kUsd}).status, 402);
  EXPECT_EQ(ask(request()).status, 200);
}

}  // namespace
}  // namespace understudy::cascade
