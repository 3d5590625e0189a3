// What a judge of answers says, and how that is calibrated.
#include "specialists/answer_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/hash.h"
#include "calibration/calibrators.h"
#include "calibration/metrics.h"

namespace understudy::specialists {
namespace {

/// Ranks from 1, equal values by their mean.
std::vector<double> ranks_of(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (std::size_t from = 0; from < order.size();) {
    std::size_t to = from;
    while (to < order.size() && values[order[to]] == values[order[from]]) ++to;
    for (std::size_t k = from; k < to; ++k) ranks[order[k]] = static_cast<double>(from + to + 1) / 2;
    from = to;
  }
  return ranks;
}

/// Steps of the scale from its lowest to its highest.
std::vector<double> steps_of(const AnswerScale& scale) {
  std::vector<double> out;
  for (double step = scale.lowest; step <= scale.highest + scale.step / 2 && out.size() < 1000; step += scale.step) out.push_back(step);
  return out;
}

}  // namespace

double spearman(std::span<const double> a, std::span<const double> b) {
  const auto x = ranks_of(a), y = ranks_of(b);
  const auto n = static_cast<double>(x.size());
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double dx = x[i] - (n + 1) / 2, dy = y[i] - (n + 1) / 2;
    xy += dx * dy, xx += dx * dx, yy += dy * dy;
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

bool is_right(const AnswerJudgement& said, const AnswerRow& row, const AnswerScale& scale) {
  if (row.form == JudgeForm::kPreference) return said.choice == static_cast<int>(row.outcome);
  return std::fabs(said.rating - row.outcome) <= scale.step * (1 + 1e-9);
}

Result<Eigen::VectorXd> AnswerJudge::read(const AnswerRow& row, const neural::TextEncoder* encoder) const {
  auto first = read_answer(row.prompt, row.response, encoder);
  if (!first) return fail(first.error());
  Eigen::VectorXd x = Eigen::VectorXd::Zero(columns_);
  x.head(kAnswerColumns) = first->x;
  const Eigen::Index d = first->response.size();
  const bool scored = form_ == JudgeForm::kScore;
  if (d > 0 && kAnswerColumns + (scored ? 2 : 1) * d != columns_) return fail(ErrorKind::kConflict, "the encoder's vectors have another length than those it was trained with");
  if (d > 0) x.segment(kAnswerColumns, d) = first->response;
  if (scored) {
    if (d > 0) x.tail(d) = first->prompt;
    return x;
  }
  const auto other = read_answer(row.prompt, row.other, encoder);
  if (!other) return fail(other.error());
  x.head(kAnswerColumns) -= other->x;
  if (d > 0) x.tail(d) -= other->response;
  return x;
}

AnswerJudgement AnswerJudge::say(double z) const {
  AnswerJudgement out;
  if (form_ == JudgeForm::kPreference) {
    out.raw = calibration_.slope * z;
    out.choice = out.raw > 0 ? 1 : out.raw < 0 ? 2 : 0;
    out.probability = calibration::sigmoid(std::fabs(out.raw));
    return out;
  }
  out.raw = z;
  const auto& knots = calibration_.knots;
  const auto above = std::ranges::lower_bound(knots, z, {}, &ScoreKnot::z);
  if (above == knots.begin() || above == knots.end()) {
    const ScoreKnot& edge = above == knots.end() ? knots.back() : knots.front();
    out.score = edge.score, out.rating = edge.rating, out.probability = edge.probability;
    return out;
  }
  const ScoreKnot &low = *(above - 1), &high = *above;
  const double part = (z - low.z) / (high.z - low.z);
  out.score = low.score + part * (high.score - low.score);
  const ScoreKnot& near = part < 0.5 ? low : high;
  out.rating = near.rating, out.probability = near.probability;
  return out;
}

Result<AnswerJudgement> AnswerJudge::judge(const AnswerRow& row, const PairEngines& engines) const {
  if (row.form != form_) {
    return fail(ErrorKind::kInvalidRequest, form_ == JudgeForm::kScore ? "this judge scores responses: \"prompt\" and \"response\" are needed" : "this judge compares responses: \"prompt\", \"a\" and \"b\" are needed");
  }
  const auto x = read(row, encoder_ ? engines.encoder : nullptr);
  if (!x) return fail(x.error());
  return say(rungs_.log_odds(*x, kJudgeFolds));
}

double AnswerJudge::length_alone(const AnswerRow& row) const {
  const auto words = [&](std::string_view response) { return read_answer("", response, nullptr)->x(kAnswerWordsColumn); };
  const double length = words(row.response);
  if (form_ == JudgeForm::kPreference) return length - words(row.other);
  return length_.log_odds(Eigen::Vector2d(length, length * length));
}

void AnswerJudge::calibrate_scores(std::span<const double> z, std::span<const AnswerRow> rows) {
  const std::size_t n = z.size();
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return z[a] < z[b]; });
  std::vector<double> score;
  for (const AnswerRow& row : rows) score.push_back(row.outcome);
  const auto fit = calibration::isotonic_regression(z, score);
  const auto fitted = [&](double at) { return fit.value[static_cast<std::size_t>(std::ranges::lower_bound(fit.x, at) - fit.x.begin())]; };
  const auto steps = steps_of(facts_.scale);
  const auto near = [&](double step, std::size_t row) { return std::fabs(score[row] - step) <= facts_.scale.step * (1 + 1e-9); };
  std::vector<double> usual;  // share of all rows at most one step off each
  for (const double step : steps) {
    double count = 0;
    for (std::size_t i = 0; i < n; ++i) count += near(step, i);
    usual.push_back(count / static_cast<double>(n));
  }
  // Knots where rows are; each with the rating that is right for most of the rows around it. A tenth of them is still a guess at what all say.
  constexpr double kUsualRows = 10;
  const std::size_t count = std::clamp<std::size_t>(n / 20, 2, 24), reach = std::max<std::size_t>(n / 6, 15);
  for (std::size_t k = 0; k < count; ++k) {
    const std::size_t from = k * n / count, to = (k + 1) * n / count, middle = (from + to) / 2;
    ScoreKnot knot;
    for (std::size_t i = from; i < to; ++i) {
      knot.z += z[order[i]] / static_cast<double>(to - from);
      knot.score += fitted(z[order[i]]) / static_cast<double>(to - from);
    }
    const std::size_t first = middle > reach ? middle - reach : 0, last = std::min(middle + reach, n);
    for (std::size_t s = 0; s < steps.size(); ++s) {
      double good = kUsualRows * usual[s];
      for (std::size_t i = first; i < last; ++i) good += near(steps[s], order[i]);
      good /= kUsualRows + static_cast<double>(last - first);
      if (good > knot.probability) knot.probability = good, knot.rating = steps[s];
    }
    // Equal log-odds are one knot.
    if (calibration_.knots.empty() || knot.z > calibration_.knots.back().z) calibration_.knots.push_back(knot);
  }
  calibration_.spearman = spearman(z, score);
}

Result<void> AnswerJudge::calibrate(std::span<const double> z, std::span<const AnswerRow> rows) {
  calibration_ = {};
  std::vector<double> sure;
  std::vector<std::uint8_t> right;
  if (form_ == JudgeForm::kScore) {
    calibrate_scores(z, rows);
  } else {
    // Decided pairs both ways, so that no side is preferred. The intercept is 0 then, but for rounding.
    std::vector<double> both, y;
    for (std::size_t i = 0; i < z.size(); ++i) {
      if (rows[i].outcome == 0) continue;
      for (const double sign : {1.0, -1.0}) both.push_back(sign * z[i]), y.push_back((rows[i].outcome == 1) == (sign > 0));
    }
    const auto n = static_cast<Eigen::Index>(both.size());
    const auto model = calibration::fit_logistic(Eigen::Map<const Eigen::MatrixXd>(both.data(), n, 1), Eigen::Map<const Eigen::VectorXd>(y.data(), n), Eigen::VectorXd::Constant(1, 0.1));
    if (!model) return fail(ErrorKind::kInvalidRequest, "all pairs to calibrate on are ties: pairs of which one response is better are needed");
    calibration_.slope = std::max(model->beta(0), 1e-3);  // not below: the rows would have to say the opposite of those trained on
  }
  std::string named;
  double correct = 0;
  for (std::size_t i = 0; i < z.size(); ++i) {
    const AnswerJudgement said = say(z[i]);
    named.append(reinterpret_cast<const char*>(&said.raw), sizeof said.raw);
    named.append(reinterpret_cast<const char*>(&said.probability), sizeof said.probability);
    if (form_ == JudgeForm::kPreference && rows[i].outcome == 0) continue;
    sure.push_back(said.probability);
    right.push_back(is_right(said, rows[i], facts_.scale));
    correct += right.back();
  }
  calibration_.rows = right.size();
  calibration_.ece15 = calibration::ece(sure, right);
  calibration_.brier = calibration::brier(sure, right);
  (form_ == JudgeForm::kScore ? calibration_.within1 : calibration_.accuracy) = correct / static_cast<double>(right.size());
  calibration_.id = fmt::format("{:016x}", hash64(named));
  return {};
}

Result<AnswerJudge> AnswerJudge::fit_for(const PairEngines& engines) const {
  const auto holds = holds_for(engines);
  if (!holds) return fail(holds.error());
  if (*holds) return *this;
  const auto rows = parse_answer_rows(kept_, "calibration.jsonl", {});
  if (!rows) return fail(ErrorKind::kCorrupt, rows.error().message);
  if (rows->form != form_) return fail(ErrorKind::kCorrupt, "calibration.jsonl has rows of another form than the judge");
  AnswerJudge out = *this;
  out.take_engines(engines);
  std::vector<double> z;
  for (const AnswerRow& row : rows->rows) {
    const auto x = read(row, out.encoder_ ? engines.encoder : nullptr);
    if (!x) return fail(x.error());
    z.push_back(rungs_.log_odds(*x, row.left_out_of));
  }
  if (auto done = out.calibrate(z, rows->rows); !done) return fail(done.error());
  return out;
}

}  // namespace understudy::specialists
