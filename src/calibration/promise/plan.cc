// The keeper's look ahead and its tests.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "calibration/binomial.h"
#include "calibration/promise/internal/plan.h"
#include "calibration/promise/rung_fit.h"

namespace understudy::calibration {
namespace {

constexpr double kLeastShare = 0.02;       // a first version that serves less is not worth its delta
constexpr double kLeastChance = 0.75;      // of a first version to pass
constexpr double kLeastRetestChance = 0.6;
constexpr double kLeastGain = 0.03;        // of the bill, for a retest
constexpr std::size_t kForesight = 40;     // fit rows from the coin before anything is foreseen

LadderPolicy make_policy(const std::vector<RungModel>& models, const ThresholdCandidate& candidate) {
  LadderPolicy policy;
  for (std::size_t i = 0; i < models.size(); ++i) policy.rungs.push_back({models[i], candidate.thresholds[i]});
  return policy;
}

/// What a policy does with test rows. Labels are looked at by `bad` alone.
struct OnRows {
  std::size_t rows = 0, bad = 0;
  double cost_usd = 0;
};
OnRows count(const LadderPolicy& policy, const std::vector<const LabelledRow*>& rows, bool look_at_labels) {
  OnRows on;
  for (const LabelledRow* row : rows) {
    const Served served = serve(policy, *row);
    on.cost_usd += served.cost_usd + (served.rung ? 0 : row->teacher_cost_usd);
    if (!served.rung) continue;
    ++on.rows;
    if (look_at_labels) on.bad += row->rungs[*served.rung].bad;
  }
  return on;
}

std::vector<std::uint64_t> prompts_of(const std::deque<LabelledRow>& rows) {
  std::set<std::uint64_t> prompts;
  for (const LabelledRow& row : rows) {
    prompts.insert(row.prompt);
    if (prompts.size() > kMaxPrompts) return {};
  }
  return {prompts.begin(), prompts.end()};
}

}  // namespace

namespace internal {

double foreseen_risk(const ThresholdCandidate& c) {
  const double bad = std::max(static_cast<double>(c.bad_rows), c.served > 0 ? c.bad / c.served * static_cast<double>(c.served_rows) : 0.0);
  return std::min(1.0, (bad + 0.5) / (static_cast<double>(c.served_rows) + 1));
}

double pass_chance(const ThresholdCandidate& c, std::size_t served_rows, double alpha, double delta) {
  if (served_rows == 0 || binomial_cdf(0, served_rows, alpha) > delta) return 0;
  std::size_t most = 0;
  while (binomial_cdf(most + 1, served_rows, alpha) <= delta) ++most;
  return binomial_cdf(most, served_rows, foreseen_risk(c));
}

ShiftBaseline shift_baseline(const LadderPolicy& policy, const std::deque<LabelledRow>& rows) {
  ShiftBaseline baseline;
  while (baseline.rung + 1 < policy.rungs.size() && !policy.rungs[baseline.rung].threshold) ++baseline.rung;
  std::vector<double> confidence, bytes;
  for (const LabelledRow& row : rows) {
    bytes.push_back(row.prompt_bytes);
    const RungOutcome& outcome = row.rungs[baseline.rung];
    if (outcome.usable) confidence.push_back(policy.rungs[baseline.rung].model.probability(outcome.raw, outcome.features));
  }
  baseline.confidence = ShiftBins::of(confidence);
  baseline.bytes = ShiftBins::of(bytes);
  return baseline;
}

}  // namespace internal

/// A repeated input is one trial, however often it came: the first row of each.
std::vector<const LabelledRow*> PromiseKeeper::distinct_test_rows() const {
  std::vector<const LabelledRow*> rows;
  std::set<std::uint64_t> seen;
  for (const LabelledRow& row : test_rows_) {
    if (row.input == 0 || seen.insert(row.input).second) rows.push_back(&row);
  }
  return rows;
}

PromiseKeeper::Plan PromiseKeeper::make_plan(double delta, std::int64_t now_us) const {
  Plan plan;
  std::vector<const LabelledRow*> all, fair;
  for (const LabelledRow& row : fit_rows_) {
    all.push_back(&row);
    if (row.source != LabelSource::kEscalation) fair.push_back(&row);
  }
  plan.coin_rows = fair.size();
  if (fair.size() < kForesight) return plan;

  // Models learn from all rows; thresholds are chosen on those that a coin picked, for escalations are the unsure ones only.
  std::vector<std::vector<double>> probability(rungs_.size());
  for (std::size_t r = 0; r < rungs_.size(); ++r) {
    SeededRandom folds(options_.seed + r);
    const RungFit fit = fit_rung(all, r, folds);
    plan.models.push_back(fit.model);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i]->source != LabelSource::kEscalation) probability[r].push_back(fit.held_back[i]);
    }
  }
  plan.path = threshold_path(fair, probability, options_.promise.alpha);
  if (plan.path.empty()) return plan;

  const auto pool = distinct_test_rows();
  const auto& promise = options_.promise;
  if (policy_) {
    // What serves as much as the policy in force comes first; bolder ones follow. Worth a share of delta where the boldest that may
    // be hoped for saves enough, or where the proof grows old.
    const OnRows now = count(*policy_, pool, false);
    double least_cost = now.cost_usd;
    bool hopeful = false;
    std::optional<std::size_t> start;
    for (std::size_t i = 0; i < plan.path.size(); ++i) {
      const OnRows on = count(make_policy(plan.models, plan.path[i]), pool, false);
      if (on.rows < now.rows * 95 / 100) continue;
      const double chance = internal::pass_chance(plan.path[i], on.rows, promise.alpha, delta);
      if (!start) start = i, plan.pass_chance = chance;
      if (chance < kLeastRetestChance) break;
      if (on.cost_usd < least_cost * (1 - kLeastGain)) hopeful = true;
    }
    const bool grown = pool.size() >= tested_at_ + tested_at_ / 4 + 25;
    plan.start = start.value_or(0);
    plan.worth_testing = start && grown && hopeful && plan.pass_chance >= kLeastRetestChance;
    if (renewal_due(now_us) && !plan.worth_testing) {
      // The proof grows old: whatever is likeliest to pass.
      plan.pass_chance = 0;
      for (std::size_t i = 0; i < plan.path.size(); ++i) {
        const OnRows on = count(make_policy(plan.models, plan.path[i]), pool, false);
        const double chance = internal::pass_chance(plan.path[i], on.rows, promise.alpha, delta);
        if (chance > plan.pass_chance) plan.pass_chance = chance, plan.start = i;
      }
      plan.worth_testing = grown && plan.pass_chance >= kLeastRetestChance;
    }
    return plan;
  }
  for (std::size_t i = 0; i < plan.path.size(); ++i) {
    if (plan.path[i].served < kLeastShare) continue;
    const OnRows on = count(make_policy(plan.models, plan.path[i]), pool, false);
    const double chance = internal::pass_chance(plan.path[i], on.rows, promise.alpha, delta);
    if (chance > plan.pass_chance) plan.pass_chance = chance, plan.start = i;
  }
  const bool fresh = tested_at_ == 0 || pool.size() >= tested_at_ + tested_at_ / 4 + 25;
  plan.worth_testing = fresh && plan.pass_chance >= kLeastChance;
  return plan;
}

void PromiseKeeper::test(const Plan& plan, double delta, std::int64_t now_us, KeeperLog& log) {
  KeeperEvent event;
  event.kind = KeeperEventKind::kTest;
  event.at_us = now_us;
  event.epoch = epoch_;
  event.number = tests_;
  event.delta = delta;
  event.message = fmt::format("test {} of this epoch looks at {} rows and spends {:.4f} of delta", tests_ + 1, test_rows_.size(), delta);
  if (!log.write(event)) return;
  apply(event);

  // From the start on, bolder and bolder; steps that admit fewer than a hundredth of the rows would only add chances to stumble.
  const auto pool = distinct_test_rows();
  const std::size_t step = std::max<std::size_t>(5, pool.size() / 100);
  std::vector<LadderPolicy> policies;
  std::vector<TestedCandidate> candidates;
  for (std::size_t i = plan.start; i < plan.path.size(); ++i) {
    LadderPolicy policy = make_policy(plan.models, plan.path[i]);
    const OnRows on = count(policy, pool, true);
    if (!candidates.empty() && on.rows < candidates.back().rows + step) continue;
    candidates.push_back({on.rows, on.bad});
    policies.push_back(std::move(policy));
  }
  const SequenceResult result = fixed_sequence(candidates, Promise{options_.promise.alpha, delta});

  event.kind = KeeperEventKind::kOutcome;
  std::optional<std::size_t> chosen = result.chosen;
  if (chosen) {
    // Risk is also counted a request: an input that comes again and again must not be the bad one.
    std::vector<const LabelledRow*> every;
    for (const LabelledRow& row : test_rows_) every.push_back(&row);
    const OnRows on = count(policies[*chosen], every, true);
    if (on.rows > 0 && static_cast<double>(on.bad) > options_.promise.alpha * static_cast<double>(on.rows)) chosen.reset();
  }
  if (chosen && policy_ && !renewal_due(now_us) && count(policies[*chosen], pool, false).cost_usd > count(*policy_, pool, false).cost_usd) chosen.reset();
  event.passed = chosen.has_value();
  const TestedCandidate& shown = candidates[chosen.value_or(0)];
  event.message = fmt::format("{} bad of {} served test rows: {}", shown.bad, shown.rows, chosen ? "passed" : result.chosen ? "passed, but no gain" : "not shown to be below alpha");
  if (!log.write(event)) return;
  if (!chosen) return;

  LadderPolicy policy = std::move(policies[*chosen]);
  policy.version = fmt::format("{}.{}", epoch_, tests_);
  policy.ladder = ladder_;
  policy.alpha = options_.promise.alpha;
  policy.delta = options_.promise.delta;
  policy.delta_spent = delta;
  policy.rows = shown.rows;
  policy.bad = shown.bad;
  policy.upper_bound = binomial_upper_bound(shown.bad, shown.rows, delta);
  policy.proven_at_us = now_us;
  policy.oldest_row_us = std::min_element(pool.begin(), pool.end(), [](const auto* a, const auto* b) { return a->at_us < b->at_us; }).operator*()->at_us;
  policy.prompts = prompts_of(test_rows_);
  KeeperEvent change = event;
  change.kind = KeeperEventKind::kSwitch;
  change.message = fmt::format("version {}: {} bad of {} served test rows, risk at most {:.4f} at confidence {:.3f}", policy.version, policy.bad, policy.rows,
                               policy.upper_bound, 1 - delta);
  change.policy = std::move(policy);
  if (log.write(change)) apply(change);
}

void PromiseKeeper::foresee(const Plan& plan, double delta) {
  if (policy_) {
    labels_needed_ = 0;
    foreseen_share_.reset();
    labels_guessed_ = false;
    return;
  }
  labels_guessed_ = plan.coin_rows < kForesight;
  if (labels_guessed_) return;  // report() guesses
  // The test rows that each candidate would need at its foreseen risk, and from them the labels that are still missing.
  labels_needed_.reset();
  foreseen_share_.reset();
  for (const ThresholdCandidate& c : plan.path) {
    if (c.served < kLeastShare) continue;
    const auto served = rows_to_show(internal::foreseen_risk(c), options_.promise.alpha, delta);
    if (!served) continue;
    const double pool = static_cast<double>(*served) / c.served * 1.1;
    const double missing = std::max(1.0, (pool - static_cast<double>(test_rows_.size())) / test_share());
    if (labels_needed_ && static_cast<double>(*labels_needed_) <= missing) continue;
    labels_needed_ = static_cast<std::size_t>(std::ceil(missing));
    foreseen_share_ = c.served;
  }
  // Never, once nothing can be hoped for from a good number of labels; hope takes it back.
  const std::size_t enough = 3 * least_rows(options_.promise.alpha, options_.promise.delta) + 100;
  const bool hopeless = !labels_needed_ || *labels_needed_ > 20'000;
  if (hopeless && plan.coin_rows + test_rows_.size() >= enough) {
    state_ = PromiseState::kNever;
    why_ = "no threshold of any cheap stage can be shown to keep the promise: its confidence does not tell right answers from wrong ones well enough";
  } else if (!hopeless) {
    if (state_ == PromiseState::kNever) why_ = "the last labels look better";
    state_ = PromiseState::kWarming;
  }
}

PromiseReport PromiseKeeper::report(std::int64_t now_us) const {
  PromiseReport r;
  r.state = state_;
  r.why = why_;
  r.epoch = epoch_;
  r.tests = tests_;
  double spent = 0;
  const std::size_t in_force = tests_in_force(now_us);
  for (std::size_t k = 0; k < in_force; ++k) spent += delta_for_retest(options_.promise.delta, k);
  r.delta_left = options_.promise.delta - spent;
  r.fit_rows = fit_rows_.size();
  r.test_rows = test_rows_.size();
  r.coin = coin();
  r.suspect = suspect_risk_ || suspect_input_;
  r.e_value = watch_.e_value();
  r.watched = watched_;
  r.watched_bad = watched_bad_;
  r.labels_guessed = labels_guessed_;
  r.labels_needed = labels_needed_;
  r.foreseen_share = foreseen_share_;
  if (labels_guessed_ && !policy_) {
    // From the promise alone: half of the requests sure enough, one bad row among them.
    const std::size_t pool = 2 * least_rows(options_.promise.alpha, delta_for_retest(options_.promise.delta, in_force), 1);
    const std::size_t labels = pool * 10 / 6;  // six of ten go to the test
    const std::size_t seen = fit_rows_.size() + test_rows_.size();
    r.labels_needed = labels > seen ? labels - seen : 1;
  }
  return r;
}

}  // namespace understudy::calibration
