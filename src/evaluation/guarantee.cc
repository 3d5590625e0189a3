// guarantee: does a threshold chosen on calibration rows keep the promise on the rest, and how much does it serve?
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "calibration/binomial.h"
#include "calibration/risk_control.h"
#include "evaluation/internal/common.h"
#include "evaluation/internal/prompt_scores.h"

namespace understudy::evaluation {

using namespace internal;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// Largest share whose bad rate is within alpha when rows are served from the highest confidence down; ties go together.
/// Also the confidence of the last row served (infinity where none).
std::pair<double, double> hindsight(const std::vector<double>& confidence, const std::vector<std::uint8_t>& bad, double alpha) {
  std::vector<std::size_t> order(confidence.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return confidence[a] > confidence[b]; });
  std::size_t served = 0, wrong = 0;
  double threshold = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < order.size(); ++i) {
    wrong += bad[order[i]];
    const bool last_of_tie = i + 1 == order.size() || confidence[order[i + 1]] < confidence[order[i]];
    if (last_of_tie && static_cast<double>(wrong) <= alpha * static_cast<double>(i + 1)) served = i + 1, threshold = confidence[order[i]];
  }
  return {static_cast<double>(served) / static_cast<double>(confidence.size()), threshold};
}

struct Served {
  double share = 0;
  bool violated = false;
};

Served measure(const std::vector<double>& confidence, const std::vector<std::uint8_t>& bad, const Rows& test, double threshold, double alpha) {
  std::size_t served = 0, wrong = 0;
  for (const std::size_t i : test) {
    if (confidence[i] >= threshold) ++served, wrong += bad[i];
  }
  return {static_cast<double>(served) / static_cast<double>(test.size()), static_cast<double>(wrong) > alpha * static_cast<double>(served)};
}

/// Rows that carry the label this run asks for.
struct Labelled {
  Outcomes outcomes;
  std::vector<std::uint8_t> bad;
  std::size_t escalated = 0;  ///< left out: labelled, but not by a coin
};

Result<Labelled> label_rows(const Outcomes& all, std::string& kind) {
  const auto recorded = [](const Truth& t) { return t.weak_correct && t.strong_correct; };
  if (kind.empty()) kind = std::any_of(all.truth.begin(), all.truth.end(), recorded) ? "worse" : "disagree";
  if (kind != "worse" && kind != "disagree") return fail(ErrorKind::kUsage, fmt::format("--bad {}: want disagree or worse", kind), "bad");
  const auto comparator = task_comparator(all.rows);
  const bool coins = has_coins(all.rows);
  Labelled out;
  out.outcomes.file = all.file;
  for (std::size_t i = 0; i < all.rows.size(); ++i) {
    const Truth& t = all.truth[i];
    std::optional<bool> bad;
    if (kind == "worse" && recorded(t)) bad = *t.strong_correct && !*t.weak_correct;
    if (kind == "disagree") {
      if (const auto agrees = agreement(all.rows[i], t, comparator)) bad = !*agrees;
    }
    // Other rows of a gateway's log carry the teacher's answer because they were unsure.
    if (bad && coins && !all.rows[i].coin.value_or(false)) {
      ++out.escalated;
      continue;
    }
    if (!bad) continue;
    out.outcomes.rows.push_back(all.rows[i]);
    out.outcomes.truth.push_back(t);
    out.bad.push_back(*bad);
  }
  if (out.bad.empty() && out.escalated > 0) {
    return fail(ErrorKind::kInvalidRequest, fmt::format("{}: none of the {} rows with a strong answer is a spot check; they have one because they were unsure, and judge nothing",
                                                        all.file, out.escalated));
  }
  if (out.bad.empty()) return missing(all, kind == "worse" ? "`weak_correct` and `strong_correct`" : "`strong_answer`");
  return out;
}

}  // namespace

Result<Report> run_guarantee(const Outcomes& all, const EvalOptions& options, const Sink& sink) {
  const auto promise = calibration::Promise::create(options.alpha, options.delta);
  if (!promise) return fail(promise.error());
  if (options.splits < 1) return fail(ErrorKind::kUsage, "--splits must be at least 1", "splits");
  std::string kind = options.bad;
  const auto labelled = label_rows(all, kind);
  if (!labelled) return fail(labelled.error());
  const Outcomes& outcomes = labelled->outcomes;
  const auto& bad = labelled->bad;
  const std::size_t n = bad.size();
  const std::size_t calibration_rows = n < options.calibration + 200 ? n / 2 : options.calibration;
  if (calibration_rows < 2 || n < 4) return fail(ErrorKind::kInvalidRequest, fmt::format("{}: {} labelled rows are too few to split; a promise needs at least {} served test rows", all.file, n, calibration::least_rows(options.alpha, options.delta)));

  const bool confident = has_confidence(outcomes.rows, options.use);
  const PeerFeatures peers(options.use == Use::kAll ? outcomes.rows : std::vector<Visible>{}, task_comparator(outcomes.rows));
  // Decided without labels: only peers whose answers can agree are worth the rows that a fit costs, and prompts where there is nothing else.
  const bool by_peers = peers.any_agreement() || (!confident && !peers.models().empty());
  std::optional<PromptScores> prompts;
  if (!confident && !by_peers && has_prompts(outcomes.rows)) {
    auto read = PromptScores::create(outcomes.rows, options, sink.progress);
    if (!read) return fail(std::move(read.error()));
    prompts = std::move(*read);
  }
  const bool fitted = by_peers || prompts;
  const ScoreFit fit_scores = prompts ? prompts->probabilities() : ridge_scores(peers.matrix(), confident);
  if (!confident && !fitted) {
    const auto have = std::count_if(outcomes.rows.begin(), outcomes.rows.end(), [](const Visible& r) { return r.weak_logprob.has_value(); });
    return missing(all, fmt::format("a recorded confidence on every labelled row ({} of {} have one), other models' answers (--use all), or prompts", have, n));
  }

  std::vector<double> raw(n, 0);
  if (confident) {
    for (std::size_t i = 0; i < n; ++i) raw[i] = *outcomes.rows[i].weak_logprob;
  }
  const double feasible = confident ? hindsight(raw, bad, options.alpha).first : kNaN;

  std::vector<double> served, naive_served;
  std::size_t violations = 0, abstained = 0, naive_violations = 0;
  std::optional<std::size_t> rows_needed;
  std::size_t tested_rows = 0;
  for (int s = 0; s < options.splits; ++s) {
    const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(s);
    SeededRandom random(seed);
    const Rows order = permutation(n, random);
    const Rows calibration(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(calibration_rows));
    const Rows test(order.begin() + static_cast<std::ptrdiff_t>(calibration_rows), order.end());

    // A score, and the rows that may test it: those that its fit did not use.
    std::vector<double> score = raw;
    Rows testers = calibration;
    std::vector<double> tester_score;
    if (fitted) {
      const auto labels = [&](const Rows& rows) {
        std::vector<double> out;
        for (const std::size_t i : rows) out.push_back(bad[i]);
        return out;
      };
      Rows fit = calibration;
      if (!options.approximate) {
        const std::size_t f = calibration_rows / 5;
        fit.assign(calibration.begin(), calibration.begin() + static_cast<std::ptrdiff_t>(f));
        testers.assign(calibration.begin() + static_cast<std::ptrdiff_t>(f), calibration.end());
      }
      const auto scores = fit_scores(fit, labels(fit));
      if (scores) {
        for (std::size_t i = 0; i < n; ++i) score[i] = 1 - (*scores)(static_cast<Eigen::Index>(i));
        if (options.approximate) {
          if (const auto crossed = cross_fitted(fit_scores, fit, labels(fit), deal_folds(fit.size(), 5, random), 5)) {
            for (const double v : *crossed) tester_score.push_back(1 - v);
          }
        }
      }
      // Fit rows of one outcome only: the raw confidence stands in (all rows alike where there is none).
      if (!scores) std::transform(score.begin(), score.end(), score.begin(), [](double logprob) { return std::exp(logprob); });
    }
    std::vector<std::uint8_t> tester_bad;
    for (const std::size_t i : testers) tester_bad.push_back(bad[i]);
    if (tester_score.empty()) {
      for (const std::size_t i : testers) tester_score.push_back(score[i]);
    }
    const auto choice = calibration::choose_threshold(tester_score, tester_bad, *promise);
    if (!choice) return fail(choice.error());
    tested_rows = testers.size();
    const double threshold = choice->threshold.value_or(std::numeric_limits<double>::infinity());
    if (!choice->threshold) {
      ++abstained;
      if (choice->rows_needed && (!rows_needed || *choice->rows_needed < *rows_needed)) rows_needed = choice->rows_needed;
    }
    if (sink.decision) {
      for (const std::size_t i : test) {
        sink.decision({seed, outcomes.rows[i].id, fitted ? score[i] : std::exp(score[i]), 1 - (fitted ? score[i] : std::exp(score[i])),
                       score[i] >= threshold ? "weak" : "strong",
                       choice->threshold ? std::optional(fitted ? threshold : std::exp(threshold)) : std::nullopt});
      }
    }
    const Served ours = measure(score, bad, test, threshold, options.alpha);
    served.push_back(ours.share);
    violations += ours.violated;
    if (confident) {
      std::vector<double> c;
      std::vector<std::uint8_t> b;
      for (const std::size_t i : calibration) c.push_back(raw[i]), b.push_back(bad[i]);
      const Served naive = measure(raw, bad, test, hindsight(c, b, options.alpha).second, options.alpha);
      naive_served.push_back(naive.share);
      naive_violations += naive.violated;
    }
    if (sink.progress) sink.progress(double(s + 1) / options.splits);
  }

  const auto mean = calibration::mean_interval(served);
  const double splits = options.splits;
  const double tolerated = options.delta + 2 * std::sqrt(options.delta * (1 - options.delta) / splits);
  Report report;
  JsonWriter json(report.json);
  json.begin_object();
  json.field("alpha", options.alpha).field("delta", options.delta).field("bad", kind).field("splits", options.splits).field("exact", !options.approximate || !fitted)
      .field("score", prompts ? "prompts" : fitted ? "peers" : "raw").field("encoder", prompts ? prompts->encoder_in_json() : "off").field("calibration_rows", calibration_rows).field("tested_rows", tested_rows)
      .field("test_rows", n - calibration_rows).field("labelled_rows", n).field("escalated_rows_left_out", labelled->escalated).field("least_rows", calibration::default_plan(0, *promise).first_rows)
      .field("feasible", feasible).field("served", mean.mean).field("served_over_feasible", feasible > 0 ? mean.mean / feasible : kNaN)
      .field("violations", double(violations) / splits).field("violations_tolerated", tolerated).field("abstained", double(abstained) / splits);
  json.key("rows_needed");
  if (abstained > 0 && rows_needed) {
    json.integer(static_cast<std::int64_t>(*rows_needed));
  } else {
    json.null();
  }
  json.key("naive").begin_object();
  json.field("served", calibration::mean_interval(naive_served).mean).field("violations", confident ? double(naive_violations) / splits : kNaN).end_object();
  json.end_object();
  report.json = report.json.substr(1, report.json.size() - 2);

  const auto shown = [](double value) { return std::isfinite(value) ? fmt::format("{:8.3f}", value) : fmt::format("{:>8}", "-"); };
  const auto v = calibration::clopper_pearson(violations, static_cast<std::size_t>(options.splits));
  report.human = fmt::format(
      "guarantee on {}: P({} | served) <= {} with confidence {}, {} splits, {} calibration rows ({} test the threshold), score: {}{}\n\n"
      "  feasible in hindsight  {}\n  served                 {:>8.3f}   [{:.3f}, {:.3f}]\n  served / feasible      {}\n"
      "  violations             {:>8.3f}   [{:.3f}, {:.3f}]  tolerated: {:.3f}\n  never                  {:>8.3f}\n",
      all.file, kind, options.alpha, 1 - options.delta, options.splits, calibration_rows, tested_rows, prompts ? fmt::format("prompts alone, encoder: {}", prompts->encoder()) : fitted ? "fitted with peers" : "raw confidence",
      options.approximate && fitted ? " (cross-fitted: approximately valid)" : "", shown(feasible), mean.mean, mean.low, mean.high, shown(mean.mean / feasible),
      double(violations) / splits, v.low, v.high, tolerated, double(abstained) / splits);
  if (confident) {
    report.human += fmt::format("  empirical rate instead {:>8.3f}   violations {:.3f}\n", calibration::mean_interval(naive_served).mean, double(naive_violations) / splits);
  }
  if (abstained > 0) {
    report.human += rows_needed ? fmt::format("  where never: at best about {} served test rows would be needed\n", *rows_needed)
                                : std::string("  where never: no number of rows would do; every candidate's bad rate is above alpha\n");
  }

  if (confident) {
    Plot plot{fmt::format("Share that could be served at each alpha: {}", all.file), "alpha", "share served in hindsight", {}};
    Series line{"raw confidence", {}};
    for (int a = 1; a <= 50; ++a) line.points.emplace_back(a / 100.0, hindsight(raw, bad, a / 100.0).first);
    Series ours{"proven, mean of the splits", {{options.alpha, mean.mean}}};
    plot.series = {line, ours};
    report.plots.push_back(std::move(plot));
  }
  return report;
}

}  // namespace understudy::evaluation
