#include "calibration/promise/keeper.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace understudy::calibration {
namespace {

constexpr std::int64_t kSecond = 1'000'000;

/// Remembers what was written; refuses from the event number `refuse_from` on.
class Memory final : public KeeperLog {
 public:
  bool write(const KeeperEvent& event) override {
    if (events.size() >= refuse_from) return false;
    auto back = parse_keeper_event(keeper_event_json(event));
    EXPECT_TRUE(back) << keeper_event_json(event);
    if (back) events.push_back(std::move(*back));
    return true;
  }
  std::size_t count(KeeperEventKind kind) const {
    return static_cast<std::size_t>(std::count_if(events.begin(), events.end(), [&](const KeeperEvent& e) { return e.kind == kind; }));
  }
  std::vector<KeeperEvent> events;
  std::size_t refuse_from = SIZE_MAX;
};

/// Traffic with one student: raw confidence uniform, bad with probability risk(raw).
struct World {
  Random& random;
  double (*risk)(double);

  LabelledRow row(std::int64_t at_us) {
    LabelledRow r;
    r.at_us = at_us;
    r.input = random.next();
    r.prompt = 7;
    r.prompt_bytes = 400;
    r.teacher_cost_usd = 0.01;
    RungOutcome o;
    o.usable = true;
    o.raw = random.uniform();
    o.bad = random.coin(risk(o.raw));
    o.cost_usd = 0.001;
    r.rungs.push_back(o);
    return r;
  }
};

double falling(double c) { return 0.5 * (1 - c) * (1 - c) * (1 - c); }
double meaningless(double) { return 0.35; }

struct Deployment {
  SeededRandom random;
  Memory log;
  PromiseKeeper keeper;
  std::int64_t now_us = 1'760'000'000 * kSecond;
  std::vector<LabelledRow> rows;
  std::size_t served = 0, bad = 0;
  std::optional<std::size_t> first_cheap;
  std::size_t requests = 0;

  explicit Deployment(std::uint64_t seed, KeeperOptions options = {}) : random(seed), keeper(options, {{"student", 0}}, "l1") {
    EXPECT_TRUE(keeper.open(now_us, log));
  }

  void step(World world) {
    ++requests;
    now_us += 10 * kSecond;
    LabelledRow row = world.row(now_us);
    const auto policy = keeper.policy();
    if (policy) {
      const Served s = serve(*policy, row);
      if (s.rung) {
        if (!first_cheap) first_cheap = requests;
        ++served;
        bad += row.rungs[*s.rung].bad;
      }
    }
    if (random.coin(keeper.coin())) {
      row.use = random.coin(keeper.test_share()) ? RowUse::kTest : RowUse::kFit;
      rows.push_back(row);
      keeper.add(row, now_us, log);
      if (keeper.wants_advance(now_us)) keeper.advance(now_us, log);
    }
  }
  void go(std::size_t n, double (*risk)(double)) {
    for (std::size_t i = 0; i < n; ++i) step({random, risk});
  }
};

TEST(PromiseKeeper, ProvesAThresholdAndServesWithinThePromise) {
  std::size_t broken = 0, proven = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Deployment run(seed);
    run.go(6'000, falling);
    const auto policy = run.keeper.policy();
    if (!policy) continue;
    ++proven;
    const double t = *policy->rungs[0].threshold;
    // The true risk of what the threshold serves: the raw confidence is found back by bisection of the rising model.
    double low = 0, high = 1;
    for (int i = 0; i < 60; ++i) {
      const double middle = (low + high) / 2;
      (policy->rungs[0].model.probability(middle, {}) >= t ? high : low) = middle;
    }
    broken += 0.125 * std::pow(1 - high, 3) > 0.05;
  }
  EXPECT_GE(proven, 19u);
  EXPECT_LE(broken, 4u);  // delta = .10 of 20: more than four has a chance of 4 %
}

TEST(PromiseKeeper, NeverServesAStudentWhoseConfidenceMeansNothing) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Deployment run(seed);
    run.go(4'000, meaningless);
    EXPECT_EQ(run.served, 0u) << "seed " << seed;
    EXPECT_EQ(run.keeper.state(), PromiseState::kNever) << "seed " << seed;
    EXPECT_LT(run.keeper.coin(), 1.0);
  }
}

TEST(PromiseKeeper, LeavesNeverWhenTheStudentImproves) {
  Deployment run(3);
  run.go(2'000, meaningless);
  ASSERT_EQ(run.keeper.state(), PromiseState::kNever);
  run.go(20'000, [](double) { return 0.01; });
  EXPECT_EQ(run.keeper.state(), PromiseState::kProven);
}

TEST(PromiseKeeper, StepsDownAtOnceWhenTheWatchShowsTooMuch) {
  Deployment run(5);
  run.go(6'000, falling);
  ASSERT_TRUE(run.keeper.policy());
  const std::uint32_t epoch = run.keeper.epoch();
  std::size_t delay = 0;
  while (run.keeper.epoch() == epoch && delay < 40'000) run.go(1, meaningless), ++delay;
  EXPECT_LT(delay, 10'000u);
  EXPECT_FALSE(run.keeper.policy());
  EXPECT_EQ(run.keeper.coin(), 1.0);
  EXPECT_EQ(run.log.count(KeeperEventKind::kAlarm), 1u);
  run.go(3'000, meaningless);
  EXPECT_FALSE(run.keeper.policy());
}

TEST(PromiseKeeper, WritesBeforeItActs) {
  for (std::size_t refuse = 1; refuse <= 4; ++refuse) {
    Deployment run(2);
    run.log.refuse_from = refuse;  // after the epoch: the test, its outcome, the switch
    run.go(5'000, falling);
    if (refuse <= 3) {
      EXPECT_FALSE(run.keeper.policy()) << refuse;
      EXPECT_EQ(run.served, 0u) << refuse;
    }
  }
}

TEST(PromiseKeeper, ComesBackAsItWasAfterACrashAtAnyEvent) {
  Deployment whole(2);
  whole.go(5'000, falling);
  ASSERT_TRUE(whole.keeper.policy());
  ASSERT_GE(whole.log.events.size(), 4u);
  for (std::size_t kept = 0; kept <= whole.log.events.size(); ++kept) {
    const std::vector<KeeperEvent> events(whole.log.events.begin(), whole.log.events.begin() + static_cast<std::ptrdiff_t>(kept));
    PromiseKeeper back({}, {{"student", 0}}, "l1", events, whole.rows);
    const bool switched = std::any_of(events.begin(), events.end(), [](const KeeperEvent& e) { return e.kind == KeeperEventKind::kSwitch; });
    EXPECT_EQ(back.policy() != nullptr, switched) << kept;
    std::uint32_t tests = 0;
    for (const KeeperEvent& e : events) tests += e.kind == KeeperEventKind::kTest;
    EXPECT_EQ(back.report(whole.now_us).tests, tests) << kept;
  }
  const PromiseKeeper back({}, {{"student", 0}}, "l1", whole.log.events, whole.rows);
  EXPECT_EQ(*back.policy(), *whole.keeper.policy());
  EXPECT_EQ(back.report(whole.now_us).test_rows, whole.keeper.report(whole.now_us).test_rows);
  EXPECT_EQ(back.report(whole.now_us).watched, whole.keeper.report(whole.now_us).watched);
  EXPECT_EQ(back.coin(), whole.keeper.coin());
}

TEST(PromiseKeeper, RefusesAVersionOfAnotherLadderOrAnotherPromise) {
  Deployment run(2);
  run.go(5'000, falling);
  ASSERT_TRUE(run.keeper.policy());
  Memory log;
  PromiseKeeper other({}, {{"student", 0}}, "l2", run.log.events, run.rows);
  EXPECT_FALSE(other.policy());
  ASSERT_TRUE(other.open(run.now_us, log));
  EXPECT_EQ(log.events.front().why, "ladder");
  KeeperOptions stricter;
  stricter.promise.alpha = 0.02;
  const PromiseKeeper strict(stricter, {{"student", 0}}, "l1", run.log.events, run.rows);
  EXPECT_FALSE(strict.policy());
}

TEST(PromiseKeeper, StaleEvidenceStepsDownAlsoWhenTheClockJumps) {
  for (const std::int64_t jump_days : {40, -40}) {
    Deployment run(2);
    run.go(5'000, falling);
    ASSERT_TRUE(run.keeper.policy());
    run.now_us += jump_days * 24 * 3600 * kSecond;
    EXPECT_TRUE(run.keeper.wants_advance(run.now_us));
    run.keeper.advance(run.now_us, run.log);
    EXPECT_FALSE(run.keeper.policy()) << jump_days;
    EXPECT_EQ(run.log.events.back().why, "stale");
  }
}

TEST(PromiseKeeper, EscalationsNeverTestAndNeverProve) {
  Deployment run(4);
  SeededRandom random(9);
  World good{random, [](double) { return 0.0; }};
  for (int i = 0; i < 5'000; ++i) {
    LabelledRow row = good.row(run.now_us += kSecond);
    row.source = LabelSource::kEscalation;
    row.use = RowUse::kTest;  // even where somebody says so
    run.keeper.add(row, run.now_us, run.log);
    if (run.keeper.wants_advance(run.now_us)) run.keeper.advance(run.now_us, run.log);
  }
  EXPECT_FALSE(run.keeper.policy());
  EXPECT_EQ(run.keeper.report(run.now_us).test_rows, 0u);
}

TEST(PromiseKeeper, LateLabelsOfAnEndedEpochDoNotTest) {
  Deployment run(2);
  run.go(3'000, falling);
  ASSERT_TRUE(run.keeper.policy());
  SeededRandom random(9);
  World world{random, falling};
  LabelledRow late = world.row(run.now_us);
  late.version = run.keeper.policy()->version;
  late.use = RowUse::kTest;
  run.now_us += std::int64_t{40} * 24 * 3600 * kSecond;
  run.keeper.advance(run.now_us, run.log);  // stale: the epoch ends
  ASSERT_FALSE(run.keeper.policy());
  const std::size_t before = run.keeper.report(run.now_us).test_rows;
  late.at_us = run.now_us;
  run.keeper.add(late, run.now_us, run.log);
  EXPECT_EQ(run.keeper.report(run.now_us).test_rows, before);
  late.version = "";
  run.keeper.add(late, run.now_us, run.log);
  EXPECT_EQ(run.keeper.report(run.now_us).test_rows, before + 1);
}

TEST(PromiseKeeper, ATestUnderWayGoesOnAfterACrash) {
  // Thrown away after the first test began and before it was passed: the same test, the same version, at the same row.
  Deployment whole(2);
  whole.go(3'000, falling);
  ASSERT_TRUE(whole.keeper.policy());
  const auto first = std::find_if(whole.log.events.begin(), whole.log.events.end(), [](const KeeperEvent& e) { return e.kind == KeeperEventKind::kSwitch; });
  ASSERT_NE(first, whole.log.events.end());
  const std::vector<KeeperEvent> events(whole.log.events.begin(), first - 1);  // without the outcome and the switch
  std::vector<LabelledRow> rows;
  for (const LabelledRow& row : whole.rows) {
    if (row.at_us <= first->at_us) rows.push_back(row);
  }
  Memory log;
  PromiseKeeper back({}, {{"student", 0}}, "l1", events, rows);
  ASSERT_FALSE(back.policy());
  back.advance(first->at_us, log);
  ASSERT_TRUE(back.policy());
  EXPECT_EQ(*back.policy(), *first->policy);
}

TEST(PromiseKeeper, ARepeatedInputIsOneTrial) {
  Deployment run(4);
  SeededRandom random(9);
  World good{random, [](double) { return 0.0; }};
  for (int i = 0; i < 3'000; ++i) {
    LabelledRow row = good.row(run.now_us += kSecond);
    row.input = 1 + static_cast<std::uint64_t>(i % 20);
    row.use = random.coin(0.5) ? RowUse::kTest : RowUse::kFit;
    run.keeper.add(row, run.now_us, run.log);
    if (run.keeper.wants_advance(run.now_us)) run.keeper.advance(run.now_us, run.log);
  }
  EXPECT_FALSE(run.keeper.policy()) << "twenty distinct inputs cannot show alpha = .05";
}

TEST(PromiseKeeper, ForeseesHowManyLabelsAreMissing) {
  Deployment run(1);
  run.keeper.look_ahead(run.now_us);  // with nothing to go by, it still guesses
  EXPECT_TRUE(run.keeper.report(run.now_us).labels_guessed);
  EXPECT_GT(run.keeper.report(run.now_us).labels_needed.value_or(0), 100u);
  std::size_t foreseen_at_200 = 0;
  while (!run.keeper.policy() && run.requests < 20'000) {
    run.go(1, falling);
    if (run.requests == 200) foreseen_at_200 = run.keeper.report(run.now_us).labels_needed.value_or(0);
  }
  ASSERT_TRUE(run.keeper.policy());
  const double missing = static_cast<double>(run.requests) - 200;
  EXPECT_GT(static_cast<double>(foreseen_at_200), missing / 4);
  EXPECT_LT(static_cast<double>(foreseen_at_200), missing * 4 + 200);
}

TEST(PromiseKeeper, AnotherPopulationStepsDown) {
  Deployment run(2);
  run.go(5'000, falling);
  ASSERT_TRUE(run.keeper.baseline());
  ShiftWindow same, other, unknown;
  SeededRandom random(3);
  for (int i = 0; i < 1'000; ++i) {
    const double raw = random.uniform();
    const auto& model = run.keeper.policy()->rungs[0].model;
    ++same.confidence[run.keeper.baseline()->confidence.bin(model.probability(raw, {}))];
    ++other.confidence[run.keeper.baseline()->confidence.bin(model.probability(raw * raw * raw, {}))];
    ++same.bytes[run.keeper.baseline()->bytes.bin(400)];
    ++other.bytes[run.keeper.baseline()->bytes.bin(400)];
  }
  same.requests = other.requests = 1'000;
  unknown = same;
  unknown.unknown_prompts = 100;
  run.keeper.observe(same, run.now_us, run.log);
  EXPECT_TRUE(run.keeper.policy());
  EXPECT_FALSE(run.keeper.report(run.now_us).suspect);
  const PromiseKeeper kept = run.keeper;
  run.keeper.observe(other, run.now_us, run.log);
  EXPECT_FALSE(run.keeper.policy());
  EXPECT_EQ(run.log.events.back().why, "input_shift");
  run.keeper = kept;
  run.keeper.observe(unknown, run.now_us, run.log);
  EXPECT_FALSE(run.keeper.policy());
}

TEST(PromiseKeeper, EventsSurviveTheirJsonWhateverTheSeed) {
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1} << 63, UINT64_MAX}) {
    KeeperOptions options;
    options.seed = seed;
    Deployment run(1, options);  // its log reads back what it writes
    ASSERT_EQ(run.log.events.size(), 1u) << seed;
    EXPECT_EQ(run.log.events[0].options.seed, seed);
  }
}

TEST(PromiseKeeper, WhatCannotBeReadEndsTheEpoch) {
  Deployment run(2);
  run.go(5'000, falling);
  ASSERT_TRUE(run.keeper.policy());
  ASSERT_TRUE(run.keeper.distrust("an event cannot be read", run.now_us, run.log));
  EXPECT_FALSE(run.keeper.policy());
  EXPECT_EQ(run.keeper.coin(), 1.0);
  EXPECT_EQ(run.log.events.back().why, "unreadable");
}

TEST(LadderPolicy, LeavesUnknownPromptsToTheTeacher) {
  Deployment run(2);
  run.go(5'000, falling);
  ASSERT_TRUE(run.keeper.policy());
  LabelledRow row;
  row.rungs.push_back({true, 1.0, {}, false, 0});
  row.prompt = 7;
  EXPECT_TRUE(serve(*run.keeper.policy(), row).rung);
  row.prompt = 8;
  EXPECT_FALSE(serve(*run.keeper.policy(), row).rung);
}

TEST(LabelledRow, SurvivesItsJson) {
  LabelledRow row;
  row.at_us = 1'760'000'000'123'456;
  row.input = 0xfedcba9876543210;
  row.propensity = 0.1;
  row.use = RowUse::kTest;
  row.source = LabelSource::kShadow;
  row.version = "2.1";
  row.prompt = 1;
  row.prompt_bytes = 77;
  row.teacher_cost_usd = 1.0 / 3;
  row.rungs.push_back({true, 0.123456789012345, {1.5f, NAN, -0.1f}, true, 1e-9});
  row.rungs.push_back({});
  const auto back = parse_row(row_json(row));
  ASSERT_TRUE(back);
  EXPECT_EQ(row_json(*back), row_json(row));
  EXPECT_EQ(back->input, row.input);
  EXPECT_TRUE(std::isnan(back->rungs[0].features[1]));
  for (const char* broken : {"", "{}", "[]", "{\"at_us\":1}", "{\"at_us\":\"x\"}"}) EXPECT_FALSE(parse_row(broken)) << broken;
}

}  // namespace
}  // namespace understudy::calibration
