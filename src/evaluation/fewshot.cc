// fewshot: which few-shot variant should answer each row? Decided before any is called, so none of their answers is looked at.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "evaluation/internal/common.h"
#include "evaluation/label_guess.h"

namespace understudy::evaluation {

using namespace internal;

namespace {

constexpr std::size_t kFeatures = 5;

/// What speaks for a variant before it is called: how sure the guess at the label is, how much of it the demonstrations cover, and
/// what the first and the likeliest of them have of it.
void put_features(const Variant& variant, const LabelGuess& guess, const Eigen::VectorXd& p, Eigen::Ref<Eigen::RowVectorXd> out) {
  std::set<std::size_t> labels;
  for (const auto& [text, label] : variant.demos) labels.insert(*guess.index_of(label));
  double covered = 0, likeliest = 0;
  for (const std::size_t l : labels) {
    covered += p(static_cast<Eigen::Index>(l));
    likeliest = std::max(likeliest, p(static_cast<Eigen::Index>(l)));
  }
  const double first = variant.demos.empty() ? 0 : p(static_cast<Eigen::Index>(*guess.index_of(variant.demos.front().second)));
  out << first, covered, likeliest, p.size() > 0 ? p.maxCoeff() : 0, static_cast<double>(labels.size());
}

/// The label of a row whose outcomes may be looked at: as recorded, else the answer of a variant that was right.
std::optional<std::string> label_of(const Visible& row, const Truth& truth) {
  if (truth.gold) return truth.gold;
  for (const auto& [name, correct] : truth.variant_correct) {
    const auto variant = row.variants.find(name);
    if (correct && variant != row.variants.end() && !variant->second.answer.empty()) return variant->second.answer;
  }
  return std::nullopt;
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
  const LabelGuess guess(outcomes.rows);

  std::vector<double> chosen_accuracy, best_single, gain, oracle, guessed;
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
    struct Model {
      std::size_t best = 0;                            ///< variant that was right most often
      std::vector<Result<Eigen::VectorXd>> scores;     ///< by variant: P(it is right), of every row
      Eigen::MatrixXd guess;                           ///< P(label), of every row
    };
    const auto learn = [&](const Rows& rows) {
      std::vector<std::optional<std::string>> labels;
      for (const std::size_t i : rows) labels.push_back(label_of(outcomes.rows[i], outcomes.truth[i]));
      Model model;
      model.guess = guess.fit(rows, labels);
      const Eigen::MatrixXd& p = model.guess;
      double most = -1;
      for (std::size_t v = 0; v < names.size(); ++v) {
        Eigen::MatrixXd design(static_cast<Eigen::Index>(outcomes.rows.size()), static_cast<Eigen::Index>(kFeatures));
        Eigen::RowVectorXd features(static_cast<Eigen::Index>(kFeatures));
        for (std::size_t i = 0; i < outcomes.rows.size(); ++i) {
          put_features(outcomes.rows[i].variants.at(names[v]), guess, p.row(static_cast<Eigen::Index>(i)).transpose(), features);
          design.row(static_cast<Eigen::Index>(i)) = features;
        }
        std::vector<double> was_right;
        for (const std::size_t i : rows) was_right.push_back(right(i, v));
        const double count = std::accumulate(was_right.begin(), was_right.end(), 0.0);
        if (count > most) most = count, model.best = v;
        model.scores.push_back(ridge_scores(design, false)(rows, was_right));
      }
      return model;
    };
    const auto score = [&](const Model& model, std::size_t v, std::size_t row) { return (*model.scores[v])(static_cast<Eigen::Index>(row)); };
    const auto choose = [&](const Model& model, std::size_t row) {
      std::size_t pick = model.best;
      if (!model.scores[pick]) return pick;
      for (std::size_t v = 0; v < names.size(); ++v) {
        if (model.scores[v] && score(model, v, row) > score(model, pick, row)) pick = v;
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
    std::vector<std::size_t> picks;
    for (const std::size_t i : split->test) {
      const std::size_t pick = held_back_gain > 0 ? choose(model, i) : best;
      picks.push_back(pick);
      if (sink.decision) {
        const auto p = model.scores[pick] ? std::optional(score(model, pick, i)) : std::nullopt;
        sink.decision({seed, outcomes.rows[i].id, p, std::nullopt, names[pick], std::nullopt});
      }
    }
    double chosen = 0, one = 0, any_right = 0, guess_right = 0;
    for (std::size_t k = 0; k < split->test.size(); ++k) {
      const std::size_t i = split->test[k];
      chosen += right(i, picks[k]);
      one += right(i, best);
      bool some = false;
      for (std::size_t v = 0; v < names.size(); ++v) some = some || right(i, v);
      any_right += some;
      Eigen::Index top = 0;
      if (model.guess.cols() > 0) model.guess.row(static_cast<Eigen::Index>(i)).maxCoeff(&top);
      guess_right += model.guess.cols() > 0 && outcomes.truth[i].gold == guess.labels()[static_cast<std::size_t>(top)];
    }
    const auto tests = static_cast<double>(split->test.size());
    chosen_accuracy.push_back(chosen / tests);
    best_single.push_back(one / tests);
    gain.push_back((chosen - one) / tests);
    oracle.push_back(any_right / tests);
    guessed.push_back(guess_right / tests);
    best_name = names[best];
    if (sink.progress) sink.progress(double(s + 1) / options.seeds);
  }
  const auto c = calibration::mean_interval(chosen_accuracy), b = calibration::mean_interval(best_single), o = calibration::mean_interval(oracle), g = calibration::mean_interval(gain);
  const auto by_guess = calibration::mean_interval(guessed);
  Report report;
  JsonWriter json(report.json);
  json.begin_object();
  json.field("fit", how).field("fit_rows", fit_rows).field("test_rows", test_rows).field("seeds", options.seeds).field("variants", names.size())
      .field("chosen_accuracy", c.mean).field("best_single_policy", b.mean).field("best_single_name", best_name).field("oracle", o.mean)
      .field("gain", g.mean).field("gain_low", g.low).field("gain_high", g.high).field("label_guess_accuracy", by_guess.mean);
  json.end_object();
  report.json = report.json.substr(1, report.json.size() - 2);
  report.human = fmt::format("fewshot on {}: {} variants, {} fit rows, {} test rows, {} seeds; mean [95 % interval over seeds]\n\n  chosen per row  {:.4f} [{:.4f}, {:.4f}]\n"
                             "  best single     {:.4f} [{:.4f}, {:.4f}]  ({})\n  gain            {:+.4f} [{:+.4f}, {:+.4f}]\n  oracle          {:.4f}\n"
                             "  the guess at the label that the choice rests on, without any call: {:.4f}\n",
                             outcomes.file, names.size(), fit_rows, test_rows, options.seeds, c.mean, c.low, c.high, b.mean, b.low, b.high, best_name, g.mean, g.low, g.high, o.mean, by_guess.mean);
  return report;
}

}  // namespace understudy::evaluation
