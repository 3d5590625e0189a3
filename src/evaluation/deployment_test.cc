#include "evaluation/deployment.h"

#include <gtest/gtest.h>

#include <cmath>

#include "evaluation/deployment_tally.h"

namespace understudy::evaluation {
namespace {

/// Outcomes as they might have been recorded: a student whose risk falls with its confidence.
Population recorded(std::uint64_t seed, double worst, std::size_t rows = 1'500) {
  SeededRandom random(seed);
  Population out;
  for (std::size_t i = 0; i < rows; ++i) {
    calibration::LabelledRow row;
    row.prompt_bytes = static_cast<std::uint32_t>(100 + random.below(900));
    row.teacher_cost_usd = 0.01;
    calibration::RungOutcome o;
    o.usable = true;
    o.raw = random.uniform();
    o.bad = random.coin(worst * std::pow(1 - o.raw, 2));
    o.cost_usd = 0.001;
    row.rungs.push_back(o);
    out.rows.push_back(std::move(row));
  }
  return out;
}

DeploymentPlan plan_for(const Population& rows) {
  DeploymentPlan plan;
  plan.rungs.push_back({"student", 0});
  plan.options.promise = {0.10, 0.10};
  plan.first = &rows;
  plan.requests = 3'000;
  return plan;
}

DeploymentTally many(const DeploymentPlan& plan, int deployments, std::uint64_t seed = 1) {
  DeploymentTally tally;
  for (int d = 0; d < deployments; ++d) tally.add(run_deployment(plan, seed + static_cast<std::uint64_t>(d)));
  return tally;
}

/// Most violations of `of` deployments that a true rate of delta exceeds once in a thousand times.
std::size_t most_violations(std::size_t of, double delta) {
  std::size_t k = 0;
  while (calibration::binomial_cdf(k, of, delta) < 0.999) ++k;
  return k;
}

TEST(Deployments, KeepThePromiseWhereTheEmpiricalRateBreaksIt) {
  const Population rows = recorded(1, 0.7);
  DeploymentPlan plan = plan_for(rows);
  const DeploymentTally ours = many(plan, 60);
  EXPECT_LE(ours.broken_before(), most_violations(60, 0.10));
  EXPECT_GT(ours.served_share(), 0.1);
  EXPECT_LE(ours.bad_share(), 0.10);
  ASSERT_TRUE(ours.first_cheap().value[1]);
  EXPECT_LT(*ours.first_cheap().value[1], 1'500);

  plan.decider = Decider::kEmpirical;
  const DeploymentTally naive = many(plan, 60);
  EXPECT_GT(naive.broken_before(), most_violations(60, 0.10)) << "the harness would not notice a broken promise";
}

TEST(Deployments, NeverServeMeaninglessConfidence) {
  SeededRandom random(2);
  const Population rows = with_meaningless_confidence(recorded(2, 0.9), random);
  const DeploymentTally tally = many(plan_for(rows), 30);
  EXPECT_LE(tally.broken_before(), most_violations(30, 0.10));
  EXPECT_LT(tally.served_share(), 0.02);
}

TEST(Deployments, FindADriftAndProveAnew) {
  const Population before = recorded(3, 0.5), after = recorded(4, 1.0);
  // The same confidences: only labels can tell.
  Population silent = before;
  for (std::size_t i = 0; i < silent.rows.size(); ++i) silent.rows[i].rungs[0].bad = silent.rows[i].rungs[0].bad || after.rows[i].rungs[0].bad;
  DeploymentPlan plan = plan_for(before);
  plan.later = &silent;
  plan.change_at = 3'000;
  plan.requests = 12'000;
  std::size_t needed = 0, found = 0, again = 0, broken_after = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Deployment d = run_deployment(plan, seed);
    needed += d.detection_needed;
    found += d.detection_needed && d.detection_requests.has_value();
    again += d.proven_again;
    broken_after += d.broken_after;
    if (d.detection_needed && d.detection_requests) {
      EXPECT_EQ(d.detected_by, "promise");
    }
  }
  EXPECT_GE(needed, 15u);
  EXPECT_GE(found + 1, needed);
  EXPECT_LE(broken_after, most_violations(20, 0.10));
}

TEST(Deployments, ANewPromptGoesToTheTeacherUntilItIsProven) {
  const Population rows = recorded(5, 0.5);
  DeploymentPlan plan = plan_for(rows);
  plan.requests = 6'000;
  plan.change_at = 3'000;
  plan.new_prompt = true;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Deployment d = run_deployment(plan, seed);
    ASSERT_TRUE(d.first_cheap) << seed;
    ASSERT_LT(*d.first_cheap, 3'000u) << seed;
    ASSERT_TRUE(d.first_cheap_after) << seed;
    EXPECT_GE(*d.first_cheap_after, 100u) << "a prompt that no evidence is about was served";
  }
}

TEST(Deployments, ABudgetDelaysButDoesNotBreak) {
  const Population rows = recorded(6, 0.5);
  DeploymentPlan plan = plan_for(rows);
  plan.requests = 6'000;
  const DeploymentTally free = many(plan, 8);
  plan.labels_per_day = 100;
  std::size_t labels = 0;
  DeploymentTally poor;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const Deployment d = run_deployment(plan, seed);
    EXPECT_LE(d.labels, 300u);  // three days
    labels += d.labels;
    poor.add(d);
  }
  EXPECT_GT(labels, 0u);
  EXPECT_LT(poor.served_share(), free.served_share());
  EXPECT_LE(poor.broken_before(), most_violations(8, 0.10));
}

TEST(Deployments, SurviveCrashesAtAnyEvent) {
  const Population rows = recorded(7, 0.5);
  DeploymentPlan plan = plan_for(rows);
  plan.crash_at_event = 0.5;
  plan.crash_at_request = 0.002;
  std::size_t crashes = 0;
  DeploymentTally tally;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Deployment d = run_deployment(plan, seed);
    crashes += d.crashes;
    tally.add(d);
  }
  EXPECT_GT(crashes, 60u);
  EXPECT_LE(tally.broken_before(), most_violations(20, 0.10));
  EXPECT_GT(tally.served_share(), 0.1);
}

TEST(Deployments, BiasedEscalationsAndLateLabelsDoNotBreakIt) {
  const Population rows = recorded(8, 0.7);
  DeploymentPlan plan = plan_for(rows);
  plan.escalations = true;
  plan.most_label_delay = 200;
  const DeploymentTally tally = many(plan, 30);
  EXPECT_LE(tally.broken_before(), most_violations(30, 0.10));
  EXPECT_GT(tally.served_share(), 0.1);
}

TEST(Deployments, AreTheSameForTheSameSeed) {
  const Population rows = recorded(9, 0.5);
  const Deployment a = run_deployment(plan_for(rows), 3), b = run_deployment(plan_for(rows), 3);
  EXPECT_EQ(a.phase[0].served, b.phase[0].served);
  EXPECT_EQ(a.first_cheap, b.first_cheap);
  EXPECT_EQ(a.cost_usd, b.cost_usd);
}

TEST(Deployments, HindsightByHand) {
  Population rows;
  for (const auto& [raw, bad] : {std::pair{0.9, false}, {0.8, false}, {0.7, true}, {0.7, false}, {0.1, true}}) {
    calibration::LabelledRow row;
    row.teacher_cost_usd = 1;
    row.rungs.push_back({true, raw, {}, bad, 0.1});
    rows.rows.push_back(row);
  }
  EXPECT_DOUBLE_EQ(hindsight_best(rows, 0.20).share, 0.4);   // ties go together: 1 of 4 is too much
  EXPECT_DOUBLE_EQ(hindsight_best(rows, 0.25).share, 0.8);
  EXPECT_DOUBLE_EQ(hindsight_best(rows, 0.25).cost_usd, 0.1 + 0.2);
  calibration::LadderPolicy policy;
  policy.rungs.resize(1);
  policy.rungs[0].threshold = 0.7;
  EXPECT_DOUBLE_EQ(true_risk(policy, rows).risk, 0.25);
  EXPECT_DOUBLE_EQ(true_risk(policy, rows).served, 0.8);
}

TEST(DeploymentTally, WhatNeverCameIsLongerThanAllElse) {
  DeploymentTally tally;
  for (int i = 0; i < 4; ++i) {
    Deployment d;
    d.phase[0].requests = 10;
    if (i < 2) d.first_cheap = static_cast<std::size_t>(5 + i);
    tally.add(d);
  }
  const Quartiles q = tally.first_cheap();
  EXPECT_EQ(q.value[0], 5);
  EXPECT_EQ(q.value[1], 6);
  EXPECT_FALSE(q.value[2]);
  EXPECT_FALSE(tally.saved_share());
}

}  // namespace
}  // namespace understudy::evaluation
