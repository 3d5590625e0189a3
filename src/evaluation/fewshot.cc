// fewshot: which few-shot variant should answer each row?
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "evaluation/internal/common.h"

namespace understudy::evaluation {

using namespace internal;

namespace {

/// Features of "variant v is right on this row". Before a call: how much the demos' labels agree among themselves and with
/// those of the other variants. With `answers`: the share of variants that give this answer, and whether the demos name it.
std::vector<double> variant_features(const Visible& row, const std::string& name, bool answers) {
  const Variant& v = row.variants.at(name);
  std::map<std::string, double> labels;
  for (const auto& [text, label] : v.demos) ++labels[label];
  double top = 0;
  for (const auto& [label, count] : labels) top = std::max(top, count);
  const double demos = static_cast<double>(v.demos.size());
  std::vector<double> out{demos > 0 ? top / demos : 0, std::log1p(demos), static_cast<double>(labels.size())};
  if (!answers) return out;
  double same = 0;
  for (const auto& [other, variant] : row.variants) same += variant.answer == v.answer;
  const auto named = labels.find(v.answer);
  out.push_back(same / static_cast<double>(row.variants.size()));
  out.push_back(named != labels.end() ? named->second / demos : 0);
  return out;
}

}  // namespace

Result<Report> run_fewshot(const Outcomes& outcomes, const EvalOptions& options, const Sink& sink) {
  const bool any = std::any_of(outcomes.truth.begin(), outcomes.truth.end(), [](const Truth& t) { return !t.variant_correct.empty(); });
  if (!any) return missing(outcomes, "`variants` with `correct`");
  if (options.seeds < 1) return fail(ErrorKind::kUsage, "--seeds must be at least 1", "seeds");
  const std::string how = options.fit.empty() ? fmt::format("random:{}", std::max<std::size_t>(outcomes.rows.size() / 4, 1)) : options.fit;
  // Variants that every row has; the others were recorded for a chosen part of the rows.
  std::map<std::string, std::size_t> rows_with;
  for (const Visible& row : outcomes.rows) {
    for (const auto& [name, variant] : row.variants) ++rows_with[name];
  }
  std::vector<std::string> names;
  for (const auto& [name, count] : rows_with) {
    if (count == outcomes.rows.size()) names.push_back(name);
  }
  if (names.empty()) return missing(outcomes, "at least one variant on every row");
  const bool answers = options.use != Use::kQuery;

  std::vector<double> chosen_accuracy, best_single, oracle;
  std::string best_name;
  std::size_t fit_rows = 0, test_rows = 0;
  for (int s = 0; s < options.seeds; ++s) {
    const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(s);
    SeededRandom random(seed);
    const auto split = split_rows(outcomes, how, random);
    if (!split) return fail(split.error());
    fit_rows = split->fit.size(), test_rows = split->test.size();
    const auto right = [&](std::size_t row, std::size_t v) {
      const auto& correct = outcomes.truth[row].variant_correct;
      const auto found = correct.find(names[v]);
      return found != correct.end() && found->second;
    };
    // One row of the design for each (row, variant); one indicator for each variant.
    const std::size_t plain = variant_features(outcomes.rows.front(), names.front(), answers).size();
    const std::size_t width = plain + names.size();
    Eigen::MatrixXd design = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(outcomes.rows.size() * names.size()), static_cast<Eigen::Index>(width));
    for (std::size_t i = 0; i < outcomes.rows.size(); ++i) {
      for (std::size_t v = 0; v < names.size(); ++v) {
        const auto at = static_cast<Eigen::Index>(i * names.size() + v);
        const auto f = variant_features(outcomes.rows[i], names[v], answers);
        for (std::size_t j = 0; j < plain; ++j) design(at, static_cast<Eigen::Index>(j)) = f[j];
        design(at, static_cast<Eigen::Index>(plain + v)) = 1;
      }
    }
    struct Model {
      std::size_t best = 0;  ///< variant that was right most often
      Result<Eigen::VectorXd> scores;
    };
    const auto learn = [&](const Rows& rows) {
      Rows fit;
      std::vector<double> labels, single(names.size(), 0);
      for (const std::size_t i : rows) {
        for (std::size_t v = 0; v < names.size(); ++v) {
          fit.push_back(i * names.size() + v);
          labels.push_back(right(i, v));
          single[v] += labels.back();
        }
      }
      const auto best = static_cast<std::size_t>(std::max_element(single.begin(), single.end()) - single.begin());
      return Model{best, ridge_scores(design, false)(fit, labels)};
    };
    const auto choose = [&](const Model& model, std::size_t row) {
      std::size_t pick = model.best;
      if (!model.scores) return pick;
      const auto score = [&](std::size_t v) { return (*model.scores)(static_cast<Eigen::Index>(row * names.size() + v)); };
      for (std::size_t v = 0; v < names.size(); ++v) {
        if (score(v) > score(pick)) pick = v;
      }
      return pick;
    };
    // The choice per row is used only if it beats the best single variant on held-back fit rows.
    double held_back_gain = 0;
    constexpr std::size_t kFolds = 5;
    for (std::size_t fold = 0; fold < kFolds && split->fit.size() >= 2 * kFolds; ++fold) {
      Rows others, held;
      for (std::size_t k = 0; k < split->fit.size(); ++k) (k % kFolds == fold ? held : others).push_back(split->fit[k]);
      const Model model = learn(others);
      for (const std::size_t i : held) held_back_gain += double(right(i, choose(model, i))) - double(right(i, model.best));
    }
    const Model model = learn(split->fit);
    const std::size_t best = model.best;
    const auto& scores = model.scores;
    std::vector<std::size_t> picks;
    for (const std::size_t i : split->test) {
      const std::size_t pick = held_back_gain > 0 ? choose(model, i) : best;
      picks.push_back(pick);
      if (sink.decision) {
        const double p = scores ? (*scores)(static_cast<Eigen::Index>(i * names.size() + pick)) : 0;
        sink.decision({seed, outcomes.rows[i].id, scores ? std::optional(p) : std::nullopt, std::nullopt, names[pick], std::nullopt});
      }
    }
    double chosen = 0, one = 0, any_right = 0;
    for (std::size_t k = 0; k < split->test.size(); ++k) {
      const std::size_t i = split->test[k];
      chosen += right(i, picks[k]);
      one += right(i, best);
      bool some = false;
      for (std::size_t v = 0; v < names.size(); ++v) some = some || right(i, v);
      any_right += some;
    }
    const auto tests = static_cast<double>(split->test.size());
    chosen_accuracy.push_back(chosen / tests);
    best_single.push_back(one / tests);
    oracle.push_back(any_right / tests);
    best_name = names[best];
    if (sink.progress) sink.progress(double(s + 1) / options.seeds);
  }
  const auto c = calibration::mean_interval(chosen_accuracy), b = calibration::mean_interval(best_single), o = calibration::mean_interval(oracle);
  Report report;
  JsonWriter json(report.json);
  json.begin_object();
  json.field("fit", how).field("fit_rows", fit_rows).field("test_rows", test_rows).field("seeds", options.seeds).field("variants", names.size())
      .field("chosen_accuracy", c.mean).field("best_single_policy", b.mean).field("best_single_name", best_name).field("oracle", o.mean);
  json.end_object();
  report.json = report.json.substr(1, report.json.size() - 2);
  report.human = fmt::format("fewshot on {}: {} variants, {} fit rows, {} test rows, {} seeds; mean [95 % interval over seeds]\n\n  chosen per row  {:.4f} [{:.4f}, {:.4f}]\n"
                             "  best single     {:.4f} [{:.4f}, {:.4f}]  ({})\n  oracle          {:.4f}\n",
                             outcomes.file, names.size(), fit_rows, test_rows, options.seeds, c.mean, c.low, c.high, b.mean, b.low, b.high, best_name, o.mean);
  return report;
}

}  // namespace understudy::evaluation
