// judge: a chain of judges of rising price; a cheaper one's verdict stands where it is sure enough.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

#include "calibration/binomial.h"
#include "calibration/logistic.h"
#include "calibration/risk_control.h"
#include "evaluation/internal/common.h"

namespace understudy::evaluation {

using namespace internal;

namespace {

constexpr std::size_t kStages = 3;  // weak, mid, strong

struct Chain {
  std::vector<std::array<int, kStages>> verdict;  ///< 0 or 1: which output each judge prefers
  std::vector<std::array<double, kStages>> log_odds;  ///< for output 1
  std::vector<double> log_length_ratio;               ///< of output 1 to output 2
};

Result<Chain> read_chain(const Outcomes& outcomes) {
  Chain chain;
  for (const Visible& row : outcomes.rows) {
    if (!row.weak_probs || !row.mid_probs || !row.strong_probs) return missing(outcomes, "`weak_probs`, `mid_probs` and `strong_probs` on every row");
    std::array<int, kStages> verdict{};
    std::array<double, kStages> odds{};
    std::size_t s = 0;
    for (const auto& probs : {*row.weak_probs, *row.mid_probs, *row.strong_probs}) {
      odds[s] = std::clamp(std::log(std::max(probs[0], 1e-6)) - std::log(std::max(probs[1], 1e-6)), -12.0, 12.0);
      verdict[s] = odds[s] >= 0 ? 0 : 1;
      ++s;
    }
    chain.verdict.push_back(verdict);
    chain.log_odds.push_back(odds);
    chain.log_length_ratio.push_back(std::log((1.0 + static_cast<double>(row.output_1.size())) / (1.0 + static_cast<double>(row.output_2.size()))));
  }
  return chain;
}

/// Columns for "judge `stage` is right": log-odds of its own and all cheaper judges, and the log length ratio, each signed
/// so that positive speaks for its verdict.
Eigen::MatrixXd stage_features(const Chain& chain, std::size_t stage) {
  const auto n = static_cast<Eigen::Index>(chain.verdict.size());
  Eigen::MatrixXd out(n, static_cast<Eigen::Index>(stage + 2));
  for (Eigen::Index i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double sign = chain.verdict[at][stage] == 0 ? 1 : -1;
    for (std::size_t s = 0; s <= stage; ++s) out(i, static_cast<Eigen::Index>(s)) = sign * chain.log_odds[at][s];
    out(i, static_cast<Eigen::Index>(stage + 1)) = sign * chain.log_length_ratio[at];
  }
  return out;
}

/// P(judge is right) per stage and row.
using StageScores = std::array<std::vector<double>, kStages>;

constexpr double kRidge = 20;

/// With one knob t for all stages, the first judge whose score reaches t gives the verdict.
/// The judge that decides at t; kStages where none.
std::size_t decided_by(const StageScores& scores, std::size_t row, double t) {
  for (std::size_t s = 0; s < kStages; ++s) {
    if (scores[s][row] >= t) return s;
  }
  return kStages;
}

/// Greatest score of each row over the judges: it is judged at every t up to that.
std::vector<double> surest(const StageScores& scores, const Rows& rows) {
  std::vector<double> out;
  for (const std::size_t i : rows) out.push_back(std::max({scores[0][i], scores[1][i], scores[2][i]}));
  return out;
}

/// Knobs at which 1, 2, ... of the rows are judged.
std::vector<double> knobs_of(const StageScores& scores, const Rows& rows) {
  std::vector<double> knobs = surest(scores, rows);
  std::sort(knobs.rbegin(), knobs.rend());
  return knobs;
}

std::vector<calibration::TestedCandidate> take_steps(const std::vector<calibration::TestedCandidate>& by_rows, const calibration::SequencePlan& plan,
                                                     std::vector<std::size_t>& at) {
  std::vector<calibration::TestedCandidate> out;
  at.clear();
  for (std::size_t m = plan.first_rows; m <= by_rows.size(); m += plan.step_rows) out.push_back(by_rows[m - 1]), at.push_back(m - 1);
  return out;
}

/// Start and steps of the sequence, chosen before any test label is seen: outcomes of the test rows and of later rows are drawn
/// from what the fit rows taught, and the plan that judges most among those whose later agreement reaches the target in
/// 1 - delta of the draws is used; the one that reaches it most often where none does.
calibration::SequencePlan simulated_plan(const Chain& chain, const StageScores& tester_scores, const StageScores& scores, const Rows& testers, const Rows& later,
                                         const calibration::Promise& promise, Random& random) {
  constexpr int kDraws = 100;
  std::vector<calibration::SequencePlan> plans;
  for (const std::size_t bad : {3, 5, 8, 12}) {
    for (const std::size_t step : {2, 5, 10, 15}) plans.push_back({calibration::least_rows(promise.alpha, promise.delta, bad), step});
  }
  const std::vector<double> knobs = knobs_of(tester_scores, testers);
  // Which judge decides each row at each knob does not depend on the outcomes.
  const auto deciders = [&](const StageScores& by, const Rows& rows) {
    std::vector<std::vector<std::uint8_t>> out(knobs.size(), std::vector<std::uint8_t>(rows.size()));
    for (std::size_t m = 0; m < knobs.size(); ++m) {
      for (std::size_t k = 0; k < rows.size(); ++k) out[m][k] = static_cast<std::uint8_t>(decided_by(by, rows[k], knobs[m]));
    }
    return out;
  };
  const auto tester_decider = deciders(tester_scores, testers), later_decider = deciders(scores, later);
  const auto draw_gold = [&](const StageScores& by, const Rows& rows) {
    std::vector<int> gold(rows.size());
    for (std::size_t k = 0; k < rows.size(); ++k) {
      const int strong = chain.verdict[rows[k]][kStages - 1];
      gold[k] = random.coin(by[kStages - 1][rows[k]]) ? strong : 1 - strong;
    }
    return gold;
  };
  const auto count = [&](const std::vector<std::uint8_t>& decider, const Rows& rows, const std::vector<int>& gold) {
    calibration::TestedCandidate c;
    for (std::size_t k = 0; k < rows.size(); ++k) {
      if (decider[k] == kStages) continue;
      ++c.rows;
      c.bad += chain.verdict[rows[k]][decider[k]] != gold[k];
    }
    return c;
  };
  std::vector<double> judged(plans.size(), 0), success(plans.size(), 0);
  std::vector<std::size_t> at;
  for (int d = 0; d < kDraws; ++d) {
    const std::vector<int> tester_gold = draw_gold(tester_scores, testers), later_gold = draw_gold(scores, later);
    std::vector<calibration::TestedCandidate> by_rows;
    for (std::size_t m = 0; m < knobs.size(); ++m) by_rows.push_back(count(tester_decider[m], testers, tester_gold));
    for (std::size_t p = 0; p < plans.size(); ++p) {
      const auto result = calibration::fixed_sequence(take_steps(by_rows, plans[p], at), promise);
      if (!result.chosen) {
        ++success[p];
        continue;
      }
      const auto c = count(later_decider[at[*result.chosen]], later, later_gold);
      judged[p] += static_cast<double>(c.rows);
      success[p] += static_cast<double>(c.bad) <= promise.alpha * static_cast<double>(c.rows) + 1e-9;
    }
  }
  const double enough = (1 - promise.delta) * kDraws;
  std::size_t best = 0;
  for (std::size_t p = 1; p < plans.size(); ++p) {
    const bool valid = success[p] >= enough, best_valid = success[best] >= enough;
    if (valid != best_valid ? valid : valid ? judged[p] > judged[best] : success[p] > success[best]) best = p;
  }
  return plans[best];
}

}  // namespace

Result<Report> run_judge(const Outcomes& outcomes, const EvalOptions& options, const Sink& sink) {
  const auto promise = calibration::Promise::create(1 - options.target, options.delta);
  if (!promise) return fail(ErrorKind::kUsage, fmt::format("--target must lie between 0 and 1 and --delta too, got {} and {}", options.target, options.delta));
  const auto chain = read_chain(outcomes);
  if (!chain) return fail(chain.error());
  const std::size_t n = outcomes.rows.size();
  std::vector<int> gold(n, -1);
  for (std::size_t i = 0; i < n; ++i) {
    const auto& g = outcomes.truth[i].gold;
    if (!g || (*g != "1" && *g != "2")) return missing(outcomes, "`gold` of 1 or 2 on every row");
    gold[i] = *g == "1" ? 0 : 1;
  }
  const std::size_t calibration_rows = n < options.calibration + 200 ? n / 2 : options.calibration;
  if (calibration_rows < 8 || options.splits < 1) return fail(ErrorKind::kUsage, fmt::format("{}: {} rows and {} splits are too few", outcomes.file, n, options.splits));
  std::array<Eigen::MatrixXd, kStages> features;
  for (std::size_t s = 0; s < kStages; ++s) features[s] = stage_features(*chain, s);

  std::vector<double> coverage, strong_calls;
  std::size_t success = 0, never = 0;
  std::map<std::pair<std::size_t, std::size_t>, int> plans;  ///< start and step of the sequence: how often chosen
  for (int k = 0; k < options.splits; ++k) {
    const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(k);
    SeededRandom random(seed);
    const Rows order = permutation(n, random);
    const Rows calibration(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(calibration_rows));
    const Rows test(order.begin() + static_cast<std::ptrdiff_t>(calibration_rows), order.end());
    const std::size_t fit_count = options.approximate ? calibration_rows : calibration_rows * 2 / 5;
    const Rows fit(calibration.begin(), calibration.begin() + static_cast<std::ptrdiff_t>(fit_count));
    const Rows testers = options.approximate ? calibration : Rows(calibration.begin() + static_cast<std::ptrdiff_t>(fit_count), calibration.end());

    StageScores scores, tester_scores;
    for (std::size_t s = 0; s < kStages; ++s) {
      std::vector<double> right;
      for (const std::size_t i : fit) right.push_back(chain->verdict[i][s] == gold[i]);
      const ScoreFit fit_stage = ridge_scores(features[s], false, kRidge);
      const auto all = fit_stage(fit, right);
      if (all) {
        scores[s].assign(all->data(), all->data() + all->size());
      } else {
        scores[s].assign(n, right.empty() ? 0 : right.front());  // a judge that was always right, or always wrong
      }
      tester_scores[s] = scores[s];
      if (options.approximate) {
        if (const auto crossed = cross_fitted(fit_stage, fit, right, deal_folds(fit.size(), 10, random), 10)) {
          for (std::size_t j = 0; j < fit.size(); ++j) tester_scores[s][fit[j]] = (*crossed)[j];
        }
      }
    }
    // Candidates: t at which m tester rows are judged; the verdicts at t are those of the first judge to reach it.
    const calibration::SequencePlan plan = simulated_plan(*chain, tester_scores, scores, testers, test, *promise, random);
    const std::vector<double> all_knobs = knobs_of(tester_scores, testers);
    std::vector<calibration::TestedCandidate> candidates;
    std::vector<double> knobs;
    for (std::size_t m = plan.first_rows; m <= all_knobs.size(); m += plan.step_rows) {
      const double t = all_knobs[m - 1];
      calibration::TestedCandidate c;
      for (const std::size_t i : testers) {
        const std::size_t s = decided_by(tester_scores, i, t);
        if (s == kStages) continue;
        ++c.rows;
        c.bad += chain->verdict[i][s] != gold[i];
      }
      candidates.push_back(c);
      knobs.push_back(t);
    }
    plans[{plan.first_rows, plan.step_rows}] += 1;
    const auto result = calibration::fixed_sequence(candidates, *promise);
    const double t = result.chosen ? knobs[*result.chosen] : std::numeric_limits<double>::infinity();
    never += !result.chosen;

    std::size_t judged = 0, right = 0, asked_strong = 0;
    for (const std::size_t i : test) {
      const std::size_t s = decided_by(scores, i, t);
      asked_strong += s >= 2 && result.chosen.has_value();
      constexpr std::array<std::string_view, kStages + 1> kNames{"weak", "mid", "strong", "abstain"};
      if (sink.decision) {
        const double sure = std::max({scores[0][i], scores[1][i], scores[2][i]});
        sink.decision({seed, outcomes.rows[i].id, sure, std::nullopt, kNames[s], result.chosen ? std::optional(t) : std::nullopt});
      }
      if (s == kStages) continue;
      ++judged;
      right += chain->verdict[i][s] == gold[i];
    }
    coverage.push_back(double(judged) / double(test.size()));
    strong_calls.push_back(double(asked_strong) / double(test.size()));
    success += double(right) >= options.target * double(judged) - 1e-9;
    if (sink.progress) sink.progress(double(k + 1) / options.splits);
  }
  const double splits = options.splits;
  const auto c = calibration::mean_interval(coverage), sc = calibration::mean_interval(strong_calls);
  Report report;
  JsonWriter json(report.json);
  json.begin_object();
  json.field("target", options.target).field("delta", options.delta).field("splits", options.splits).field("calibration_rows", calibration_rows)
      .field("exact", !options.approximate).field("coverage", c.mean).field("success", double(success) / splits).field("strong_calls", sc.mean)
      .field("never", double(never) / splits);
  json.key("plans").begin_array();
  for (const auto& [plan, times] : plans) json.begin_object().field("first_rows", plan.first).field("step_rows", plan.second).field("splits", times).end_object();
  json.end_array();
  json.end_object();
  report.json = report.json.substr(1, report.json.size() - 2);
  const auto ci = calibration::clopper_pearson(success, static_cast<std::size_t>(options.splits));
  report.human = fmt::format(
      "judge on {}: agreement with gold >= {} on judged rows, {} splits, {} calibration rows{}\n\n  coverage      {:.3f} [{:.3f}, {:.3f}]\n"
      "  success       {:.3f} [{:.3f}, {:.3f}]\n  strong asked  {:.3f}\n  never         {:.3f}\n",
      outcomes.file, options.target, options.splits, calibration_rows, options.approximate ? " (cross-fitted: approximately valid)" : "", c.mean, c.low, c.high,
      double(success) / splits, ci.low, ci.high, sc.mean, double(never) / splits);
  return report;
}

}  // namespace understudy::evaluation
