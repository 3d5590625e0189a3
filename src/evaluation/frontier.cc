// frontier: cost against accuracy on rows that nothing was fitted on.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "evaluation/internal/common.h"
#include "evaluation/internal/frontier_maths.h"
#include "evaluation/internal/prompt_scores.h"

namespace understudy::evaluation {

using namespace internal;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// Scores for escalating, of all rows (test rows use them) and of the fit rows as if they had not been fitted on.
struct Scores {
  Eigen::VectorXd all;
  std::vector<double> fit;
  std::string method;
  bool pays_peers = false;
};

/// Fewer fit rows than this are not offered to trees.
constexpr std::size_t kTreeRows = 200;

class Scorer {
 public:
  Scorer(const Outcomes& outcomes, Use use)
      : outcomes_(outcomes), use_(use), comparator_(task_comparator(outcomes.rows)), peers_(use == Use::kAll ? outcomes.rows : std::vector<Visible>{}, comparator_) {}

  /// Reads the prompts where they are needed.
  Result<void> read_prompts(const EvalOptions& options, const std::function<void(double)>& progress) {
    if (!has_prompts(outcomes_.rows) || has_confidence(outcomes_.rows, use_) || uses_peers()) return {};
    auto prompts = PromptScores::create(outcomes_.rows, options, progress);
    if (!prompts) return fail(std::move(prompts.error()));
    prompts_ = std::move(*prompts);
    return {};
  }

  bool uses_peers() const { return use_ == Use::kAll && !peers_.models().empty(); }
  const PeerFeatures& peers() const { return peers_; }
  /// nullopt where the score is not made of prompts.
  const std::optional<PromptScores>& prompts() const { return prompts_; }

  /// @param worse, gain of the fit rows: strong right and weak wrong; strong's score less weak's
  Result<Scores> score(const Rows& fit, const std::vector<double>& worse, const std::vector<double>& gain, Random& random) const {
    const bool confident = has_confidence(outcomes_.rows, use_);
    if (uses_peers()) {
      auto best = from_peers(fit, worse, confident, random);
      if (best) return best;
      if (!confident) return fail(best.error());
    }
    if (confident) return raw();
    if (prompts_) return text(fit, gain);
    return missing(outcomes_, "a confidence, other models' answers (--use all), or prompts");
  }

 private:
  Scores raw() const {
    Scores scores;
    scores.method = "raw";
    scores.all.resize(static_cast<Eigen::Index>(outcomes_.rows.size()));
    for (std::size_t i = 0; i < outcomes_.rows.size(); ++i) scores.all(static_cast<Eigen::Index>(i)) = -*outcomes_.rows[i].weak_logprob;
    return scores;
  }

  struct Candidate {
    const char* method;
    ScoreFit scores;
  };

  /// Tries models of rising freedom on held-back fit rows, all on the same folds. A model takes over only where its log loss
  /// is lower: by anything from the confidence alone to the ridge, by a standard error of the paired difference beyond it.
  /// kNotFound where the confidence alone was best.
  Result<Scores> from_peers(const Rows& fit, const std::vector<double>& worse, bool confident, Random& random) const {
    constexpr std::size_t kFolds = 5;
    const auto folds = deal_folds(fit.size(), kFolds, random);
    const Eigen::MatrixXd& matrix = peers_.matrix();
    const Eigen::MatrixXd first = matrix.leftCols(1);
    const ScoreFit ridge = ridge_scores(matrix, confident);
    std::vector<Candidate> candidates;
    if (confident) candidates.push_back({"raw", ridge_scores(first, true)});
    candidates.push_back({"peers", ridge});
    if (fit.size() >= kTreeRows) {
      candidates.push_back({"peers, trees", tree_scores(matrix)});
      candidates.push_back({"peers, ridge and trees", mean_scores(ridge, tree_scores(matrix))});
    }
    const Candidate* best = nullptr;
    std::vector<double> best_crossed, best_loss;
    for (const Candidate& candidate : candidates) {
      auto crossed = cross_fitted(candidate.scores, fit, worse, folds, kFolds);
      if (!crossed) {
        if (best == nullptr && !confident) return fail(crossed.error());
        continue;
      }
      std::vector<double> loss(worse.size());
      double sum = 0, squares = 0;
      for (std::size_t i = 0; i < loss.size(); ++i) {
        const double p = std::clamp((*crossed)[i], 1e-6, 1 - 1e-6);
        loss[i] = -std::log(worse[i] > 0.5 ? p : 1 - p);
        if (best != nullptr) sum += loss[i] - best_loss[i], squares += (loss[i] - best_loss[i]) * (loss[i] - best_loss[i]);
      }
      const auto n = static_cast<double>(loss.size());
      const double error = std::sqrt(std::max(squares / n - sum * sum / n / n, 0.0) / n);
      const bool simple = std::string_view(candidate.method) == "peers";
      if (best != nullptr && sum / n >= (simple ? 0 : -error)) continue;
      best = &candidate;
      best_crossed = std::move(*crossed);
      best_loss = std::move(loss);
    }
    if (best == nullptr || std::string_view(best->method) == "raw") return fail(ErrorKind::kNotFound, "no model of the peers beats the confidence alone on held-back rows");
    auto all = best->scores(fit, worse);
    if (!all) return fail(all.error());
    return Scores{std::move(*all), std::move(best_crossed), best->method, true};
  }

  Scores text(const Rows& fit, const std::vector<double>& gain) const {
    PromptScores::Scores scores = prompts_->fit(fit, gain);
    return {std::move(scores.all), std::move(scores.fit), std::move(scores.method)};
  }

  const Outcomes& outcomes_;
  Use use_;
  calibration::ComparatorSpec comparator_;
  PeerFeatures peers_;
  std::optional<PromptScores> prompts_;   ///< only where nothing better is recorded
};

struct SeedResult {
  double weak, strong;
  CurveSummary curve;
  double auroc = kNaN;
  double cost_at_95 = kNaN, cost_at_99 = kNaN, accuracy_at_95 = kNaN, accuracy_at_99 = kNaN;
  std::string method;
  std::vector<double> accuracy;
};

std::vector<ServedRow> served_rows(const Outcomes& outcomes, const Scorer& scorer, const Rows& rows, const std::vector<double>& score, bool with_truth) {
  std::vector<ServedRow> out;
  for (std::size_t k = 0; k < rows.size(); ++k) {
    const std::size_t i = rows[k];
    const Visible& v = outcomes.rows[i];
    ServedRow r;
    r.raw = v.weak_logprob.value_or(0);
    r.score = score[k];
    r.weak_cost = *v.weak_cost_usd;
    r.strong_cost = *v.strong_cost_usd;
    if (with_truth) {
      r.weak_correct = *outcomes.truth[i].weak_correct;
      r.strong_correct = *outcomes.truth[i].strong_correct;
    }
    for (std::size_t m = 0; m < scorer.peers().models().size(); ++m) {
      const auto peer = v.peers.find(scorer.peers().models()[m]);
      // A price that is not known must not look cheap.
      const double cost = peer != v.peers.end() && peer->second.cost_usd ? *peer->second.cost_usd : std::numeric_limits<double>::infinity();
      r.mid_cost.push_back(cost);
      r.mid_agrees.push_back(scorer.peers().agrees(m, i) ? 1 : 0);
      r.peers_cost += cost;
    }
    out.push_back(std::move(r));
  }
  return out;
}

std::vector<double> downsample(const std::vector<double>& curve, std::size_t points) {
  std::vector<double> out;
  for (std::size_t p = 0; p <= points; ++p) out.push_back(curve[p * (curve.size() - 1) / points]);
  return out;
}

}  // namespace

Result<Report> run_frontier(const Outcomes& given, const EvalOptions& options, const Sink& sink) {
  const auto by_strong = strong_as_reference(given);
  const Outcomes& outcomes = by_strong ? *by_strong : given;
  for (const Truth& t : outcomes.truth) {
    if (!t.weak_correct || !t.strong_correct) return missing(outcomes, "`weak_correct` and `strong_correct` on every row");
  }
  if (options.seeds < 1) return fail(ErrorKind::kUsage, "--seeds must be at least 1", "seeds");
  std::string how = options.fit;
  if (how.empty()) {
    const bool has_calib = std::any_of(outcomes.rows.begin(), outcomes.rows.end(), [](const Visible& r) { return r.split == "calib"; }) &&
                           std::any_of(outcomes.rows.begin(), outcomes.rows.end(), [](const Visible& r) { return r.split != "calib"; });
    how = has_calib ? "split:calib" : fmt::format("random:{}", std::max<std::size_t>(outcomes.rows.size() / 4, 1));
  }
  const bool priced = std::all_of(outcomes.rows.begin(), outcomes.rows.end(), [](const Visible& r) { return r.weak_cost_usd && r.strong_cost_usd; });
  Scorer scorer(outcomes, options.use);
  if (auto read = scorer.read_prompts(options, sink.progress); !read) return fail(std::move(read.error()));
  const bool bands = scorer.uses_peers() && scorer.peers().any_agreement() && has_confidence(outcomes.rows, options.use);

  std::vector<SeedResult> results;
  std::size_t fit_rows = 0, test_rows = 0;
  constexpr std::size_t kPlotPoints = 100;
  std::vector<double> mean_curve(kPlotPoints + 1, 0), mean_oracle(kPlotPoints + 1, 0);
  for (int s = 0; s < options.seeds; ++s) {
    const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(s);
    SeededRandom random(seed);
    const auto split = split_rows(outcomes, how, random);
    if (!split) return fail(split.error());
    fit_rows = split->fit.size();
    test_rows = split->test.size();

    // Learn from the fit rows' outcomes.
    std::vector<double> worse, gain;
    for (const std::size_t i : split->fit) {
      const Truth& t = outcomes.truth[i];
      worse.push_back(*t.strong_correct && !*t.weak_correct ? 1 : 0);
      gain.push_back(double(*t.strong_correct) - double(*t.weak_correct));
    }
    auto scores = scorer.score(split->fit, worse, gain, random);
    if (!scores) return fail(scores.error());
    if (scores->fit.empty()) scores->fit = gather(scores->all, split->fit);
    CostPolicy at_95, at_99;
    if (priced) {
      const auto rows = served_rows(outcomes, scorer, split->fit, scores->fit, true);
      at_95 = validated_policy(rows, 0.95, scores->pays_peers, bands, random);
      at_99 = validated_policy(rows, 0.99, scores->pays_peers, bands, random);
    }

    // Decide the test rows, without their outcomes.
    const std::vector<double> test_scores = gather(scores->all, split->test);
    std::vector<ServedRow> test;
    if (priced) test = served_rows(outcomes, scorer, split->test, test_scores, false);
    if (sink.decision) {
      for (std::size_t k = 0; k < split->test.size(); ++k) {
        const Visible& v = outcomes.rows[split->test[k]];
        Decision d{seed, v.id, confidence_of(v, options.use), test_scores[k], "unpriced", std::nullopt};
        if (priced) {
          const bool asked = act(at_99, test[k]) == Action::kAskMid;
          const bool strong = serve(at_99, test[k]).strong;
          d.decision = asked ? (strong ? "mid_strong" : "mid_weak") : (strong ? "strong" : "weak");
          if (at_99.kind == CostPolicy::Kind::kScore) d.threshold = at_99.escalate_above;
          if (at_99.kind == CostPolicy::Kind::kBand) d.threshold = std::exp(at_99.high);
        }
        sink.decision(d);
      }
    }

    // Keep score.
    std::vector<double> weak, strong, oracle_score;
    std::vector<std::uint8_t> needed;
    for (const std::size_t i : split->test) {
      weak.push_back(*outcomes.truth[i].weak_correct);
      strong.push_back(*outcomes.truth[i].strong_correct);
      needed.push_back(strong.back() > weak.back());
      oracle_score.push_back(strong.back() - weak.back());
    }
    SeedResult r;
    r.accuracy = accuracy_curve(test_scores, weak, strong);
    r.weak = r.accuracy.front();
    r.strong = r.accuracy.back();
    r.curve = summarise(r.accuracy);
    r.auroc = calibration::auroc(test_scores, needed);
    r.method = scores->method;
    if (priced) {
      double always = 0;
      for (const ServedRow& row : test) always += row.strong_cost;
      const auto measure = [&](const CostPolicy& policy, double& cost, double& accuracy) {
        cost = accuracy = 0;
        for (std::size_t k = 0; k < test.size(); ++k) {
          test[k].weak_correct = weak[k];
          test[k].strong_correct = strong[k];
          const Outcome o = serve(policy, test[k]);
          cost += o.cost / always;
          accuracy += o.correct / static_cast<double>(test.size());
        }
      };
      measure(at_95, r.cost_at_95, r.accuracy_at_95);
      measure(at_99, r.cost_at_99, r.accuracy_at_99);
    }
    const auto points = downsample(r.accuracy, kPlotPoints), best = downsample(accuracy_curve(oracle_score, weak, strong), kPlotPoints);
    for (std::size_t p = 0; p <= kPlotPoints; ++p) {
      mean_curve[p] += points[p] / options.seeds;
      mean_oracle[p] += best[p] / options.seeds;
    }
    results.push_back(std::move(r));
    if (sink.progress) sink.progress(double(s + 1) / options.seeds);
  }

  Report report;
  JsonWriter json(report.json);
  json.begin_object();
  json.field("fit", how).field("fit_rows", fit_rows).field("test_rows", test_rows).field("seeds", options.seeds).field("method", results.front().method)
      .field("reference", by_strong ? "strong" : "correctness")
      .field("encoder", scorer.prompts() ? scorer.prompts()->encoder_in_json() : "off");
  const auto column = [&](auto get) {
    std::vector<double> values;
    for (const SeedResult& r : results) values.push_back(get(r));
    return values;
  };
  const std::vector<std::pair<const char*, std::vector<double>>> figures{
      {"weak_accuracy", column([](const SeedResult& r) { return r.weak; })},
      {"strong_accuracy", column([](const SeedResult& r) { return r.strong; })},
      {"apgr", column([](const SeedResult& r) { return r.curve.apgr; })},
      {"cpt50", column([](const SeedResult& r) { return r.curve.cpt50; })},
      {"cpt80", column([](const SeedResult& r) { return r.curve.cpt80; })},
      {"cpt95", column([](const SeedResult& r) { return r.curve.cpt95; })},
      {"auroc", column([](const SeedResult& r) { return r.auroc; })},
      {"cost_at_95", column([](const SeedResult& r) { return r.cost_at_95; })},
      {"cost_at_99", column([](const SeedResult& r) { return r.cost_at_99; })},
      {"accuracy_at_95", column([](const SeedResult& r) { return r.accuracy_at_95; })},
      {"accuracy_at_99", column([](const SeedResult& r) { return r.accuracy_at_99; })}};
  const std::string encoder = scorer.prompts() ? fmt::format("encoder: {}\n", scorer.prompts()->encoder()) : std::string();
  report.human += fmt::format("frontier on {}: fit {} ({} rows), test {} rows, {} seeds, score: {}\n{}\n  {:<16} {:>8}   {}\n", outcomes.file, how, fit_rows,
                              test_rows, options.seeds, results.front().method, encoder, "", "mean", "95 % interval over seeds");
  for (const auto& [name, values] : figures) {
    append_mean(json, name, values);
    const auto m = calibration::mean_interval(values);
    report.human += std::isnan(m.mean) ? fmt::format("  {:<16} {:>8}   {}\n", name, "-", std::string_view(name).find("_at_") == std::string_view::npos ? "not defined: the strong model is no better" : "prices are not recorded")
                                       : fmt::format("  {:<16} {:>8.4f}   [{:.4f}, {:.4f}]\n", name, m.mean, m.low, m.high);
  }
  json.key("per_seed").begin_array();
  for (std::size_t s = 0; s < results.size(); ++s) {
    json.begin_object().field("seed", options.seed + s).field("method", results[s].method);
    for (const auto& [name, values] : figures) json.field(name, values[s]);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  report.json = report.json.substr(1, report.json.size() - 2);

  Plot plot{fmt::format("Cost against accuracy: {}", outcomes.file), "share of rows sent to the strong model", "accuracy", {}};
  Series ours{"understudy", {}}, oracle{"oracle", {}}, chance{"random", {{0, mean_curve.front()}, {1, mean_curve.back()}}};
  for (std::size_t p = 0; p <= kPlotPoints; ++p) {
    ours.points.emplace_back(double(p) / kPlotPoints, mean_curve[p]);
    oracle.points.emplace_back(double(p) / kPlotPoints, mean_oracle[p]);
  }
  plot.series = {ours, oracle, chance};
  report.plots.push_back(std::move(plot));
  return report;
}

}  // namespace understudy::evaluation
