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

constexpr double kLeastShare = 0.02;       // a candidate that serves less is not worth a test
constexpr double kLeastGain = 0.03;        // of the bill, for a switch to a bolder version or another list
constexpr double kMostRowsAfterNever = 1'000;
constexpr double kMostRows = 20'000;       // labels that anybody would wait for
// Tuned on bench/quality/curves_main.cc alone: synthetic risk curves, no recorded file.
constexpr double kCounted = 0.8;           // weight of counted bad fit rows against expected ones
constexpr double kErrors = 0.3;            // standard errors added to a foreseen risk
constexpr double kLeastStep = 0.02;        // of the requests, between candidates
constexpr std::size_t kMostCandidates = 24;
constexpr double kAllButNone = 0.98;       // share of the rows that is as good as all
constexpr int kBeyond = 4;                 // candidates beyond, each with twice the doubt

LadderPolicy make_policy(const std::vector<RungModel>& models, const ThresholdCandidate& candidate, const std::string& ladder, std::uint64_t fit) {
  LadderPolicy policy;
  policy.ladder = ladder;
  policy.fit = fit;
  for (std::size_t i = 0; i < models.size(); ++i) policy.rungs.push_back({models[i], candidate.thresholds[i]});
  return policy;
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
  const auto n = static_cast<double>(c.served_rows);
  const double expected = c.served > 0 ? c.bad / c.served * n : 0;
  const double risk = (kCounted * static_cast<double>(c.bad_rows) + (1 - kCounted) * expected + 0.5) / (n + 1);
  return std::min(1.0, risk + kErrors * std::sqrt(risk * (1 - risk) / (n + 1)));
}

ShiftBaseline shift_baseline(const LadderPolicy& policy, const std::vector<const LabelledRow*>& rows) {
  ShiftBaseline baseline;
  while (baseline.rung + 1 < policy.rungs.size() && !policy.rungs[baseline.rung].threshold) ++baseline.rung;
  std::vector<double> confidence, bytes;
  for (const LabelledRow* row : rows) {
    bytes.push_back(row->prompt_bytes);
    const RungOutcome& outcome = row->rungs[baseline.rung];
    if (outcome.usable) confidence.push_back(policy.rungs[baseline.rung].model.probability(outcome.raw, outcome.features));
  }
  baseline.confidence = ShiftBins::of(confidence);
  baseline.bytes = ShiftBins::of(bytes);
  return baseline;
}

}  // namespace internal

double delta_for_test(double delta, std::size_t k, bool learned) {
  if (learned) {
    if (k == 0) return 0.5 * delta;
    if (k < 9) return 0.05 * delta;
    return 0.1 * delta * std::ldexp(1.0, -static_cast<int>(k - 8));
  }
  const double first = 0.7, rest = (1 - first) * 0.9;
  if (k == 0) return first * delta;
  if (k < 7) return rest / 6 * delta;
  return (1 - first) * 0.1 * delta * std::ldexp(1.0, -static_cast<int>(k - 6));
}

double PromiseKeeper::share_of_next_test(std::int64_t now_us) const {
  const bool learned = std::any_of(rungs_.begin(), rungs_.end(), [](const RungSpec& rung) { return rung.learned; });
  return delta_for_test(options_.promise.delta, tests_in_force(now_us), learned);
}

ShiftBaseline PromiseKeeper::shift_baseline() const {
  // Fit rows are known by heart to a fit; escalations are unsure ones only: neither is what traffic looks like.
  std::vector<LabelledRow> by_fit;
  std::vector<const LabelledRow*> rows;
  if (serving_) {
    by_fit.assign(test_rows_.begin(), test_rows_.end());
    LabelledRow scratch;
    for (LabelledRow& row : by_fit) rows.push_back(&(row = judged(row, serving_.get(), scratch)));
  } else {
    for (const auto* some : {&fit_rows_, &test_rows_}) {
      for (const LabelledRow& row : *some) {
        if (row.source != LabelSource::kEscalation) rows.push_back(&row);
      }
    }
  }
  return internal::shift_baseline(*policy_, rows);
}

PromiseKeeper::Plan PromiseKeeper::make_plan(double delta) const {
  Plan plan;
  std::vector<const LabelledRow*> all, fair;
  for (const LabelledRow& row : fit_rows_) {
    all.push_back(&row);
    if (row.source != LabelSource::kEscalation) fair.push_back(&row);
  }
  plan.fit_rows = fair.size();

  // Models learn from all rows; thresholds are chosen on those that a coin picked, for escalations are the unsure ones only.
  std::vector<RungModel> models;
  std::vector<std::vector<double>> probability(rungs_.size());
  for (std::size_t r = 0; r < rungs_.size(); ++r) {
    SeededRandom folds(options_.seed + r);
    const RungFit fit = fit_rung(all, r, folds);
    models.push_back(fit.model);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i]->source != LabelSource::kEscalation) probability[r].push_back(fit.held_back[i]);
    }
  }
  const auto path = threshold_path(fair, probability, options_.promise.alpha);

  // The one that needs the fewest labels to be shown comes first; all that are bolder follow, thinned out.
  std::size_t start = path.size();
  double least = kMostRows;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i].served < kLeastShare) continue;
    const auto served = internal::rows_to_pass(internal::foreseen_risk(path[i]), options_.promise.alpha, delta);
    if (!served) continue;
    const double rows = *served / path[i].served;
    if (rows < least) least = rows, start = i;
  }
  if (start == path.size()) return plan;
  plan.rows_missing = least;
  plan.share = path[start].served;
  const double step = std::max((path.back().served - path[start].served) / static_cast<double>(kMostCandidates), kLeastStep);
  double last = -1;
  const std::uint64_t fit = newest_ ? newest_->id() : 0;
  for (std::size_t i = start; i < path.size(); ++i) {
    if (last >= 0 && path[i].served < last + step && i + 1 < path.size()) continue;
    plan.candidates.push_back(make_policy(models, path[i], ladder_, fit));
    last = path[i].served;
  }
  // Where all rows are served, the least sure of them marks no bound of what could be: a fit is a little less sure of new rows.
  if (newest_ && path.back().served > kAllButNone) {
    for (int i = 0; i < kBeyond; ++i) {
      ThresholdCandidate bolder = path.back();
      for (auto& threshold : bolder.thresholds) {
        if (threshold) threshold = 1 - std::min(std::ldexp(1 - *threshold, i + 1), std::max(0.5, 1 - *threshold));
      }
      plan.candidates.push_back(make_policy(models, bolder, ladder_, fit));
    }
  }
  return plan;
}

bool PromiseKeeper::renewing() const {
  return policy_ && std::any_of(running_.begin(), running_.end(), [&](const Running& run) { return run.contest.opened_at_us() > policy_->proven_at_us && run.contest.fresh(); });
}

bool PromiseKeeper::wants_test(const Plan& plan, std::int64_t now_us) const {
  if (plan.candidates.empty() || tests_in_force(now_us) >= kMostTests) return false;
  // Hope that comes and goes with chance must not spend delta: `never` is left for what would be shown soon.
  if (state_ == PromiseState::kNever) return *plan.rows_missing <= kMostRowsAfterNever;
  if (running_.empty()) return true;
  if (renewal_due(now_us) && !renewing()) return true;
  return plan.fit_rows >= 2 * listed_at_;  // whatever serves by now: what test labels have shown may not steer what is tested on them
}

void PromiseKeeper::begin_test(const Plan& plan, double delta, std::int64_t now_us, KeeperLog& log) {
  KeeperEvent event;
  event.kind = KeeperEventKind::kTest;
  event.at_us = now_us;
  event.epoch = epoch_;
  event.number = tests_;
  event.delta = delta;
  event.candidates = plan.candidates;
  event.fit_rows = plan.fit_rows;
  // A test made because the fit rows have doubled owes nothing to test labels, and counts all test rows. One that renews a proof or
  // leaves `never` counts rows to come only: what made it necessary were the ones seen.
  event.fresh = renewal_due(now_us) || state_ == PromiseState::kNever;
  if (plan.candidates.front().fit != 0 && (!newest_ || !learner_->save(*newest_))) return;
  event.message = fmt::format("test {} of this epoch: {} candidates from {} fit rows, {:.4f} of delta", tests_ + 1, plan.candidates.size(), plan.fit_rows, delta);
  if (!log.write(event)) return;
  apply(event);
  if (state_ == PromiseState::kNever) {
    state_ = PromiseState::kWarming;
    why_ = "the last labels look better: a test is under way";
  }
}

void PromiseKeeper::look_at_tests(std::int64_t now_us, KeeperLog& log) {
  const bool renewal = renewal_due(now_us);
  const Running* best = nullptr;
  std::size_t chosen = 0;
  const bool won = std::any_of(running_.begin(), running_.end(), [](const Running& run) { return run.contest.winner().has_value(); });
  if (!won) return;
  double cost = policy_ && !renewal ? mean_cost(*policy_, serving_.get()) * (1 - kLeastGain) : std::numeric_limits<double>::infinity();
  for (const Running& run : running_) {
    const auto winner = run.contest.winner();
    if (!winner) continue;
    if (policy_ && renewal && !(run.contest.fresh() && run.contest.opened_at_us() > policy_->proven_at_us)) continue;
    const LadderPolicy& candidate = run.contest.candidates()[*winner];
    if (policy_ && policy_->rungs == candidate.rungs && policy_->fit == candidate.fit && !renewal) continue;
    const double its = mean_cost(candidate, run.fit.get());
    if (its < cost) cost = its, best = &run, chosen = *winner;
  }
  if (best == nullptr) return;
  const internal::Contest::Count& count = best->contest.count(chosen);
  KeeperEvent event;
  event.kind = KeeperEventKind::kOutcome;
  event.at_us = now_us;
  event.epoch = epoch_;
  event.number = best->contest.number();
  event.delta = best->contest.delta();
  event.passed = true;
  event.message = fmt::format("{} bad of {} served test rows: passed", count.bad, count.rows);
  if (!log.write(event)) return;

  LadderPolicy policy = best->contest.candidates()[chosen];
  policy.version = fmt::format("{}.{}", epoch_, switches_ + 1);
  policy.alpha = options_.promise.alpha;
  policy.delta = options_.promise.delta;
  policy.delta_spent = best->contest.delta();
  policy.rows = count.rows;
  policy.bad = count.bad;
  // It was shown to be below alpha at some row; the rows since then may say a little less.
  policy.upper_bound = std::min(options_.promise.alpha, internal::evidence_upper_bound(count.bad, count.rows, policy.delta_spent));
  policy.proven_at_us = now_us;
  policy.oldest_row_us = best->contest.oldest_row_us();
  policy.prompts = prompts_of(test_rows_);
  event.kind = KeeperEventKind::kSwitch;
  event.message = fmt::format("version {}: {} bad of {} served test rows, risk at most {:.4f} at confidence {:.3f}", policy.version, policy.bad, policy.rows, policy.upper_bound,
                              1 - policy.delta_spent);
  event.policy = std::move(policy);
  if (log.write(event)) apply(event);
}

void PromiseKeeper::foresee(const Plan& plan) {
  labels_guessed_ = false;
  foreseen_share_.reset();
  if (policy_) {
    labels_needed_ = 0;
    return;
  }
  labels_needed_.reset();
  if (plan.rows_missing) {
    const double share = state_ == PromiseState::kNever ? 0.75 : std::max(0.25, test_share());
    labels_needed_ = static_cast<std::size_t>(std::ceil(std::max(1.0, *plan.rows_missing - static_cast<double>(test_rows_.size())) / share));
    foreseen_share_ = plan.share;
  }
  // Never, once nothing can be hoped for from a good number of labels; a test that hope begins takes it back.
  // What learns gets better: it is given time.
  const std::size_t enough = (3 * least_rows(options_.promise.alpha, options_.promise.delta) + 100) * (may_learn() ? 10 : 1);
  if (!labels_needed_ && plan.fit_rows + test_rows_.size() >= enough) {
    state_ = PromiseState::kNever;
    running_.clear();
    why_ = "no threshold of any cheap stage can be shown to keep the promise: its confidence does not tell right answers from wrong ones well enough";
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
  const bool learned = std::any_of(rungs_.begin(), rungs_.end(), [](const RungSpec& rung) { return rung.learned; });
  for (std::size_t k = 0; k < in_force; ++k) spent += delta_for_test(options_.promise.delta, k, learned);
  r.learnt_rows = newest_ ? fitted_at_ : 0;
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
  r.judge = judge_check();
  if (labels_guessed_ && !policy_) {
    // From the promise alone: half of the requests sure enough, one bad row among them.
    const std::size_t pool = 2 * least_rows(options_.promise.alpha, delta_for_test(options_.promise.delta, in_force), 1);
    const std::size_t labels = pool * 10 / 6;  // six of ten go to the test
    const std::size_t seen = fit_rows_.size() + test_rows_.size();
    r.labels_needed = labels > seen ? labels - seen : 1;
  }
  return r;
}

}  // namespace understudy::calibration
