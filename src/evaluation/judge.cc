// judge: a chain of judges of rising price; a cheaper one's verdict stands where it is sure enough.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

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
      const auto all = logistic_scores(features[s], fit, right, false, kRidge);
      if (all) {
        scores[s].assign(all->data(), all->data() + all->size());
      } else {
        scores[s].assign(n, right.empty() ? 0 : right.front());  // a judge that was always right, or always wrong
      }
      tester_scores[s] = scores[s];
      if (options.approximate) {
        if (const auto crossed = cross_fitted(features[s], fit, right, false, 10, random, kRidge)) {
          for (std::size_t j = 0; j < fit.size(); ++j) tester_scores[s][fit[j]] = (*crossed)[j];
        }
      }
    }
    // Candidates: t at which m tester rows are judged; the verdicts at t are those of the first judge to reach it.
    std::vector<double> best;
    for (const std::size_t i : testers) best.push_back(std::max({tester_scores[0][i], tester_scores[1][i], tester_scores[2][i]}));
    std::sort(best.rbegin(), best.rend());
    const std::size_t start = options.approximate ? std::min<std::size_t>(60, best.size()) : calibration::least_rows(promise->alpha, promise->delta, 5);
    std::vector<calibration::TestedCandidate> candidates;
    std::vector<double> knobs;
    const std::size_t step = options.approximate ? 5 : 10;
    for (std::size_t m = start; m <= best.size(); m += step) {
      const double t = best[m - 1];
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
