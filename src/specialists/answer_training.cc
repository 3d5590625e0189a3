// Fits a judge of answers: features, folds of prompts, the rung, what the length alone says, the calibration.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <unordered_set>

#include "base/json_writer.h"
#include "specialists/answer_judge.h"
#include "specialists/internal/rung.h"

namespace understudy::specialists {
namespace {

constexpr std::size_t kFewestHeld = 10;

AnswerScale scale_of(const std::vector<AnswerRow>& rows) {
  AnswerScale scale{rows.front().outcome, rows.front().outcome, 1};
  std::size_t whole = 0;
  for (const AnswerRow& row : rows) {
    scale.lowest = std::min(scale.lowest, row.outcome);
    scale.highest = std::max(scale.highest, row.outcome);
    whole += row.outcome == std::round(row.outcome);
  }
  const double span = scale.highest - scale.lowest;
  if (whole * 10 < rows.size() * 9 || span < 2 || span > 200) scale.step = span / 9;
  return scale;
}

}  // namespace

struct AnswerTrainer {
  const AnswerTraining& training;
  AnswerJudge made;

  Result<void> check(const AnswerRows& rows, std::size_t fewest) const {
    const auto good = static_cast<std::size_t>(std::ranges::count_if(rows.rows, [](const AnswerRow& row) { return row.form == JudgeForm::kScore || row.outcome != 0; }));
    if (good >= fewest) return {};
    return fail(ErrorKind::kInvalidRequest, rows.form == JudgeForm::kScore ? fmt::format("{} has {} scored responses, and at least {} are needed", rows.file, good, fewest)
                                                                           : fmt::format("{} has {} pairs of which one response is better, and at least {} are needed", rows.file, good, fewest));
  }

  Result<void> check_held(const AnswerRows& rows, const AnswerRows& held) const {
    if (held.form != rows.form)
      return fail(ErrorKind::kInvalidRequest, fmt::format("{} has rows of the form \"{}\", and {} of the form \"{}\"", held.file, judge_form_name(held.form), rows.file, judge_form_name(rows.form)));
    std::unordered_set<std::string_view> seen;
    for (const AnswerRow& row : rows.rows) seen.insert(row.prompt);
    for (const AnswerRow& row : held.rows)
      if (seen.contains(row.prompt)) return fail(ErrorKind::kInvalidRequest, fmt::format("{}, line {}: this prompt is trained on too: calibration rows must have others", held.file, row.line));
    return check(held, kFewestHeld);
  }

  Result<Eigen::MatrixXd> read_all(const std::vector<AnswerRow>& rows) const {
    Eigen::MatrixXd x(static_cast<Eigen::Index>(rows.size()), made.columns_);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (training.stop.stop_requested()) return fail(ErrorKind::kCancelled, "stopped");
      if (training.progress) training.progress(training.encoder == nullptr ? "features" : "vectors", i, rows.size());
      const auto one = made.read(rows[i], training.encoder);
      if (!one) return fail(one.error());
      x.row(static_cast<Eigen::Index>(i)) = one->transpose();
    }
    return x;
  }

  /// What a judge owes to longer answers being liked more.
  Result<void> length_alone(const AnswerRows& rows, const AnswerRungs::Rows& fit) {
    const auto n = fit.x.rows();
    if (rows.form == JudgeForm::kPreference) {
      double right = 0, decided = 0;
      for (Eigen::Index i = 0; i < n; ++i) {
        if (fit.y(i) == 0.5) continue;
        const double longer = fit.x(i, kAnswerWordsColumn);
        right += longer == 0 ? 0.5 : (longer > 0) == (fit.y(i) > 0.5);
        ++decided;
      }
      made.facts_.length_alone = right / decided;
      return {};
    }
    Eigen::MatrixXd length(n, 2);
    length.col(0) = fit.x.col(kAnswerWordsColumn);
    length.col(1) = length.col(0).cwiseAbs2();
    std::vector<double> says(static_cast<std::size_t>(n)), score;
    for (const AnswerRow& row : rows.rows) score.push_back(row.outcome);
    for (std::size_t f = 0; f <= kJudgeFolds; ++f) {  // the last one: of all rows
      std::vector<Eigen::Index> rest;
      for (Eigen::Index i = 0; i < n; ++i)
        if (fit.fold[static_cast<std::size_t>(i)] != f) rest.push_back(i);
      auto line = internal::fit_line(length(rest, Eigen::all), fit.y(rest), fit.weight(rest));
      if (!line) return fail(line.error());
      for (Eigen::Index i = 0; i < n; ++i)
        if (fit.fold[static_cast<std::size_t>(i)] == f) says[static_cast<std::size_t>(i)] = line->log_odds(length.row(i).transpose());
      made.length_ = std::move(*line);
    }
    made.facts_.length_alone = spearman(says, score);
    return {};
  }

  void keep(const std::vector<AnswerRow>& rows) {
    const auto order = internal::shuffled(rows.size(), training.seed + 1);
    for (std::size_t k = 0; k < std::min(order.size(), training.most_kept); ++k) {
      const AnswerRow& row = rows[order[k]];
      JsonWriter w(made.kept_);
      w.begin_object().field("id", row.id).field("prompt", row.prompt);
      if (row.form == JudgeForm::kScore) w.field("response", row.response).field("teacher_score", row.outcome);
      else w.field("a", row.response).field("b", row.other).field("gold", static_cast<int>(row.outcome));
      w.field("weight", row.weight);
      if (row.left_out_of < kJudgeFolds) w.field("left_out_of", row.left_out_of);
      w.end_object();
      made.kept_ += '\n';
    }
  }

  Result<AnswerJudge> train(const AnswerRows& rows, const AnswerRows* held) {
    if (auto good = check(rows, kFewestAnswers); !good) return fail(good.error());
    if (held != nullptr)
      if (auto good = check_held(rows, *held); !good) return fail(good.error());
    AnswerFacts& facts = made.facts_;
    made.form_ = rows.form;
    facts.seed = training.seed;
    facts.rows = rows.rows.size();
    facts.trainer = "no cross-encoder: judges of answers have one rung";
    const bool scored = rows.form == JudgeForm::kScore;
    if (scored) facts.scale = scale_of(rows.rows);
    if (facts.scale.highest <= facts.scale.lowest)
      return fail(ErrorKind::kInvalidRequest, fmt::format("{}: all responses have the score {}: a judge learns from good and bad ones", rows.file, facts.scale.lowest));
    if (!scored) facts.ties = static_cast<std::size_t>(std::ranges::count(rows.rows, 0.0, &AnswerRow::outcome));
    made.encoder_ = training.encoder == nullptr ? std::nullopt : std::optional(training.encoder->identity());
    if (training.encoder != nullptr) made.columns_ += static_cast<Eigen::Index>(training.encoder->dimension()) * (scored ? 2 : 1);

    std::vector<std::string_view> prompts;
    for (const AnswerRow& row : rows.rows) prompts.push_back(row.prompt);
    AnswerRungs::Rows fit;
    fit.fold = folds_by_text(prompts, training.seed);
    if (std::ranges::count(fit.fold, fit.fold.front()) == std::ssize(fit.fold))
      return fail(ErrorKind::kInvalidRequest, fmt::format("{}: all rows have the same prompt, so none can be left out to see what was learnt: rows of more prompts are needed", rows.file));
    auto x = read_all(rows.rows);
    if (!x) return fail(x.error());
    fit.x = std::move(*x);
    const auto n = fit.x.rows();
    fit.y.resize(n);
    fit.weight.resize(n);
    for (Eigen::Index i = 0; i < n; ++i) {
      const AnswerRow& row = rows.rows[static_cast<std::size_t>(i)];
      fit.y(i) = scored ? (row.outcome - facts.scale.lowest) / (facts.scale.highest - facts.scale.lowest) : row.outcome == 0 ? 0.5 : row.outcome == 1 ? 1.0 : 0.0;
      fit.weight(i) = row.weight;
    }
    auto rungs = AnswerRungs::fit(fit, !scored, {training.progress, training.stop});
    if (!rungs) return fail(rungs.error());
    made.rungs_ = std::move(*rungs);
    if (auto done = length_alone(rows, fit); !done) return fail(done.error());

    std::vector<AnswerRow> fair = held != nullptr ? held->rows : rows.rows;
    const auto fair_x = held != nullptr ? read_all(held->rows) : Result<Eigen::MatrixXd>(fit.x);
    if (!fair_x) return fail(fair_x.error());
    std::vector<double> z;
    for (std::size_t i = 0; i < fair.size(); ++i) {
      fair[i].left_out_of = held != nullptr ? kJudgeFolds : fit.fold[i];
      z.push_back(made.rungs_.log_odds(fair_x->row(static_cast<Eigen::Index>(i)).transpose(), fair[i].left_out_of));
    }
    if (auto done = made.calibrate(z, fair); !done) return fail(done.error());
    keep(fair);
    return std::move(made);
  }
};

Result<AnswerJudge> train_answers(const AnswerRows& rows, const AnswerRows* held, const AnswerTraining& training, AnswerFacts facts) {
  AnswerTrainer trainer{training, {}};
  trainer.made.facts() = std::move(facts);
  return trainer.train(rows, held);
}

}  // namespace understudy::specialists
