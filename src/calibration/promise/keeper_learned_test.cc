// The keeper with a rung that learns: a made-up learner whose risk falls with the rows that it was given.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "base/hash.h"
#include "base/random.h"
#include "calibration/promise/keeper.h"

namespace understudy::calibration {
namespace {

constexpr std::int64_t kSecond = 1'000'000;

/// How hard a row is (0..1), as its terms hold it.
double hardness(const LabelledRow& row) {
  double x = 0;
  std::memcpy(&x, row.terms.data(), sizeof x);
  return x;
}

/// Risk on a row of that hardness after `rows` rows.
double risk(double x, std::size_t rows) { return std::min(0.9, x * x * x * (0.2 + 150.0 / static_cast<double>(rows))); }

class MadeUpFit final : public LearnedFit {
 public:
  explicit MadeUpFit(std::size_t rows) : rows_(rows) {}
  std::uint64_t id() const override { return 1'000 + rows_; }
  std::size_t rows() const { return rows_; }
  void judge(LabelledRow& row) const override {
    RungOutcome& outcome = row.rungs[0];
    outcome = {};
    if (row.terms.empty()) return;
    outcome.usable = true;
    outcome.raw = 1 - hardness(row);
    // One draw a row for all fits: what a small fit gets right, a large one does too.
    const double u = static_cast<double>(hash64(row.terms) >> 11) * 0x1p-53;
    outcome.bad = u < risk(hardness(row), rows_);
  }

 private:
  std::size_t rows_;
};

class MadeUpLearner final : public RungLearner {
 public:
  Fitted fit(std::vector<LabelledRow> rows, std::uint64_t) const override {
    for (const LabelledRow& row : rows) taught.insert(row.input);
    if (open_answers) return {};
    auto fit = std::make_shared<MadeUpFit>(rows.size());
    for (LabelledRow& row : rows) fit->judge(row);
    return {fit, std::move(rows)};
  }
  bool save(const LearnedFit& fit) const override {
    if (disk_full) return false;
    saved.insert(fit.id());
    return true;
  }
  std::shared_ptr<const LearnedFit> load(std::uint64_t id) const override {
    return saved.contains(id) ? std::make_shared<MadeUpFit>(id - 1'000) : nullptr;
  }
  mutable std::set<std::uint64_t> taught, saved;
  bool disk_full = false, open_answers = false;
};

struct Memory final : KeeperLog {
  bool write(const KeeperEvent& event) override {
    auto back = parse_keeper_event(keeper_event_json(event));
    EXPECT_TRUE(back);
    if (back) events.push_back(std::move(*back));
    return true;
  }
  std::vector<KeeperEvent> events;
};

struct Deployment {
  SeededRandom random;
  Memory log;
  std::shared_ptr<MadeUpLearner> learner = std::make_shared<MadeUpLearner>();
  std::vector<RungSpec> rungs{{"specialist", 0, true}};
  PromiseKeeper keeper;
  std::int64_t now_us = 1'760'000'000 * kSecond;
  std::vector<LabelledRow> rows;
  std::set<std::uint64_t> tested;
  std::optional<std::size_t> first_cheap;
  std::size_t requests = 0;

  explicit Deployment(std::uint64_t seed) : random(seed), keeper({}, rungs, "l1", {}, {}, learner) { EXPECT_TRUE(keeper.open(now_us, log)); }

  LabelledRow row() {
    LabelledRow r;
    r.at_us = now_us;
    r.input = random.next();
    r.prompt_bytes = 400;
    r.teacher_cost_usd = 0.01;
    const double x = random.uniform();
    r.terms.assign(reinterpret_cast<const char*>(&x), sizeof x);
    r.terms.append(reinterpret_cast<const char*>(&r.input), sizeof r.input);
    r.answer = "yes";
    r.rungs.resize(1);
    return r;
  }

  void step() {
    ++requests;
    now_us += 10 * kSecond;
    LabelledRow r = row();
    bool served = false;
    if (const auto policy = keeper.policy()) {
      LabelledRow judged = r;
      keeper.fit()->judge(judged);
      served = serve(*policy, judged).rung.has_value();
      if (served && !first_cheap) first_cheap = requests;
      r.version = policy->version;
    }
    const bool coin = random.coin(keeper.coin());
    if (coin && random.coin(keeper.test_share())) r.use = RowUse::kTest, tested.insert(r.input);
    r.source = coin ? LabelSource::kCoin : LabelSource::kEscalation;
    if (!coin && served) return;
    rows.push_back(r);
    keeper.add(r, now_us, log);
    if (auto job = keeper.fit_job()) keeper.adopt(*job, learner->fit(job->rows, job->seed));
    if (keeper.wants_advance(now_us)) keeper.advance(now_us, log);
  }
  void go(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) step();
  }

  /// Share served by the policy in force and true risk of it, on rows drawn anew.
  std::pair<double, double> truth() {
    const auto policy = keeper.policy();
    const auto rows_learnt = static_cast<const MadeUpFit&>(*keeper.fit()).rows();
    std::size_t n = 0;
    double bad = 0;
    for (int i = 0; i < 20'000; ++i) {
      LabelledRow r = row();
      keeper.fit()->judge(r);
      if (!serve(*policy, r).rung) continue;
      ++n;
      bad += risk(hardness(r), rows_learnt);
    }
    return {static_cast<double>(n) / 20'000, n == 0 ? 0 : bad / static_cast<double>(n)};
  }
};

TEST(LearnedRungs, AreProvenServeAndGetBolderAsTheyLearn) {
  std::size_t broken = 0, newer = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    Deployment run(seed);
    run.go(3'000);
    ASSERT_TRUE(run.keeper.policy()) << "seed " << seed;
    const auto early = run.truth();
    const auto early_fit = run.keeper.policy()->fit;
    run.go(6'000);
    ASSERT_TRUE(run.keeper.policy()) << "seed " << seed;
    const auto late = run.truth();
    newer += run.keeper.policy()->fit > early_fit;
    EXPECT_GT(late.first, early.first - 0.05) << "seed " << seed;
    broken += early.second > 0.05;
    broken += late.second > 0.05;
  }
  EXPECT_LE(broken, 2u) << "delta is .1";
  EXPECT_GE(newer, 9u) << "newer fits are put in force";
}

TEST(LearnedRungs, NeverLearnFromATestRow) {
  Deployment run(3);
  run.go(5'000);
  ASSERT_GT(run.tested.size(), 300u);
  ASSERT_GT(run.learner->taught.size(), 300u);
  for (const std::uint64_t input : run.tested) ASSERT_FALSE(run.learner->taught.contains(input));
}

TEST(LearnedRungs, ComeBackFromEventsRowsAndFiles) {
  Deployment run(4);
  run.go(5'000);
  ASSERT_TRUE(run.keeper.policy());
  PromiseKeeper back({}, run.rungs, "l1", run.log.events, run.rows, run.learner);
  ASSERT_TRUE(back.open(run.now_us, run.log));
  ASSERT_TRUE(back.policy());
  EXPECT_EQ(*back.policy(), *run.keeper.policy());
  ASSERT_TRUE(back.fit());
  EXPECT_EQ(back.fit()->id(), run.keeper.fit()->id());
  EXPECT_EQ(back.report(run.now_us).watched, run.keeper.report(run.now_us).watched);
  EXPECT_TRUE(back.fit_job()) << "what was learnt since the last fit is learnt again";
}

TEST(LearnedRungs, WithoutTheFileThatWasProvenTheTeacherServes) {
  Deployment run(4);
  run.go(5'000);
  ASSERT_TRUE(run.keeper.policy());
  run.learner->saved.clear();
  PromiseKeeper back({}, run.rungs, "l1", run.log.events, run.rows, run.learner);
  ASSERT_TRUE(back.open(run.now_us, run.log));
  EXPECT_FALSE(back.policy());
  EXPECT_FALSE(back.fit());
  EXPECT_EQ(run.log.events.back().why, "unreadable");
  EXPECT_GT(back.report(run.now_us).fit_rows, 100u) << "the rows go on to teach";
}

TEST(LearnedRungs, WhatCannotBeSavedIsNotTested) {
  Deployment run(5);
  run.learner->disk_full = true;
  run.go(4'000);
  EXPECT_FALSE(run.keeper.policy());
  EXPECT_TRUE(std::none_of(run.log.events.begin(), run.log.events.end(), [](const KeeperEvent& e) { return e.kind == KeeperEventKind::kTest; }));
}

TEST(LearnedRungs, OpenAnswersAreGivenUp) {
  Deployment run(6);
  run.learner->open_answers = true;
  run.go(3'000);
  EXPECT_EQ(run.keeper.state(), PromiseState::kNever);
}

TEST(LearnedRungs, AJobOfAnEpochThatHasEndedIsDropped) {
  Deployment run(7);
  run.go(400);
  auto job = run.keeper.fit_job();
  while (!job) {
    LabelledRow row = run.row();
    run.keeper.add(row, run.now_us, run.log);
    job = run.keeper.fit_job();
  }
  ASSERT_TRUE(run.keeper.distrust("a test", run.now_us, run.log));
  run.keeper.adopt(*job, run.learner->fit(job->rows, 1));
  EXPECT_EQ(run.keeper.report(run.now_us).learnt_rows, 0u);
}

TEST(LearnedRungs, SayWhenThereIsNoRoomForMoreRows) {
  KeeperOptions options;
  options.max_learned_rows = 100;
  Memory log;
  PromiseKeeper keeper(options, {{"specialist", 0, true}}, "l1", {}, {}, std::make_shared<MadeUpLearner>());
  ASSERT_TRUE(keeper.open(1, log));
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(keeper.has_room()) << i;
    LabelledRow row;
    row.source = LabelSource::kEscalation;
    row.rungs.resize(1);
    keeper.add(std::move(row), 1, log);
  }
  EXPECT_FALSE(keeper.has_room());
}

TEST(LearnedRungs, DeltaIsSpentWithinDelta) {
  double sum = 0;
  for (std::size_t k = 0; k < 60; ++k) sum += delta_for_test(0.1, k, true);
  EXPECT_LE(sum, 0.1 + 1e-12);
  EXPECT_GT(sum, 0.099);
}

TEST(LabelledRow, KeepsWhatItTeaches) {
  LabelledRow row;
  row.terms = std::string("\x05\x01\x00\xff", 4);
  row.answer = "{\"intent\": \"lost\"}";
  const auto back = parse_row(row_json(row));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->terms, row.terms);
  EXPECT_EQ(back->answer, row.answer);
  LadderPolicy policy;
  policy.fit = 0xfedcba9876543210;
  const auto again = parse_policy(policy_json(policy));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->fit, policy.fit);
}

}  // namespace
}  // namespace understudy::calibration
