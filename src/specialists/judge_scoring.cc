// What a judge says, and how that is calibrated.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "base/assert.h"
#include "base/hash.h"
#include "base/random.h"
#include "calibration/metrics.h"
#include "specialists/judge_specialist.h"

namespace understudy::specialists {

double balanced_accuracy(std::span<const double> probability, std::span<const std::uint8_t> supported, double threshold) {
  double right[2] = {0, 0}, rows[2] = {0, 0};
  for (std::size_t i = 0; i < probability.size(); ++i) {
    const std::size_t truth = supported[i] != 0 ? 1 : 0;
    ++rows[truth];
    right[truth] += (probability[i] >= threshold) == (truth == 1);
  }
  if (rows[0] == 0 || rows[1] == 0) return std::numeric_limits<double>::quiet_NaN();
  return (right[0] / rows[0] + right[1] / rows[1]) / 2;
}

namespace {

/// Of rows that are drawn `times` each.
/// @param order  places of rows, their probabilities rising
double best_threshold(std::span<const double> probability, std::span<const std::uint8_t> supported, std::span<const std::size_t> order, std::span<const std::uint32_t> times) {
  double of_yes = 0, of_no = 0;
  for (std::size_t i = 0; i < times.size(); ++i) (supported[i] != 0 ? of_yes : of_no) += times[i];
  if (of_yes == 0 || of_no == 0) return 0.5;
  double yes_below = 0, no_below = 0, most = -1, first = 0, last = 0;
  for (std::size_t k = 0; k < order.size(); ++k) {
    const std::size_t i = order[k];
    const bool tied = k > 0 && probability[i] == probability[order[k - 1]];
    if (const double value = no_below / of_no - yes_below / of_yes; !tied && value >= most) {
      const double between = k == 0 ? probability[i] : (probability[i] + probability[order[k - 1]]) / 2;
      if (value > most) first = between;
      last = between;
      most = value;
    }
    (supported[i] != 0 ? yes_below : no_below) += times[i];
  }
  return (first + last) / 2;
}

}  // namespace

double balanced_threshold(std::span<const double> probability, std::span<const std::uint8_t> supported) {
  constexpr std::size_t kDraws = 101;
  const std::size_t n = probability.size();
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return probability[i]; });
  SeededRandom random(1);
  std::vector<double> best;
  for (std::size_t draw = 0; draw < kDraws; ++draw) {
    std::vector<std::uint32_t> times(n, 0);
    for (std::size_t i = 0; i < n; ++i) ++times[random.below(n)];
    best.push_back(best_threshold(probability, supported, order, times));
  }
  std::ranges::nth_element(best, best.begin() + kDraws / 2);
  return best[kDraws / 2];
}

const JudgeBand& JudgeSpecialist::band(double alpha) const {
  const auto found = std::ranges::find(calibration_.bands, alpha, &JudgeBand::alpha);
  UNDERSTUDY_ASSERT(found != calibration_.bands.end());
  return *found;
}

double JudgeSpecialist::Rung::log_odds(const Eigen::Ref<const Eigen::VectorXd>& x) const {
  if (line.beta.size() == 0) return trees->log_odds(x);
  const double straight = line.log_odds(x.head(line.beta.size()));
  return trees ? (straight + trees->log_odds(x)) / 2 : straight;
}

double JudgeSpecialist::first_rung(const Eigen::Ref<const Eigen::VectorXd>& x, std::size_t fold) const {
  if (fold < rungs_.size()) return rungs_[fold].log_odds(x);
  double sum = 0;
  for (const Rung& rung : rungs_) sum += rung.log_odds(x);
  return sum / static_cast<double>(rungs_.size());
}

JudgeEngines JudgeSpecialist::readers(const JudgeEngines& engines) const {
  return {encoder_ ? engines.encoder : nullptr, cross_encoder_is_read() ? engines.cross_encoder : nullptr, engines.memory};
}

Result<Judgement> JudgeSpecialist::judge(std::string_view claim, std::string_view evidence, const JudgeEngines& engines) const {
  const auto reading = read_judged(statistics_, claim, evidence, readers(engines), static_cast<Eigen::Index>(facts_.columns));
  if (!reading) return fail(reading.error());
  double raw = calibration_.intercept + calibration_.first * first_rung(reading->x, kJudgeFolds);
  if (cross_encoder_ && !cross_is_read_ && engines.cross_encoder != nullptr) {
    const neural::TextPair pair{claim, reading->evidence};
    float z = 0;
    if (auto done = engines.cross_encoder->score(std::span(&pair, 1), std::span(&z, 1)); !done) return fail(done.error());
    raw += calibration_.cross * static_cast<double>(z);
  }
  const Guess guess = claim_alone_.guess(claim);
  const float alone = guess.label.empty() ? 0.5f : guess.label == "1" ? guess.probability : 1 - guess.probability;
  return Judgement{static_cast<float>(calibration::sigmoid(raw)), static_cast<float>(raw), alone};
}

Result<JudgeSpecialist::Scored> JudgeSpecialist::score_rows(std::span<const JudgeRow> rows, std::span<const JudgeReading> readings, const neural::PairScorer* scorer) const {
  Scored out;
  std::vector<neural::TextPair> pairs;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out.first.push_back(first_rung(readings[i].x, rows[i].left_out_of));
    out.supported.push_back(rows[i].supported);
    out.weight.push_back(rows[i].weight);
    pairs.push_back({rows[i].claim, readings[i].evidence});
  }
  if (scorer != nullptr) {
    std::vector<float> scores(pairs.size());
    if (auto done = scorer->score(pairs, scores); !done) return fail(done.error());
    out.cross.assign(scores.begin(), scores.end());
  }
  return out;
}

namespace {

/// Balanced accuracy of each fifth of the rows at the threshold of the others: a threshold looks better on the rows that chose it.
double left_out_accuracy(std::span<const double> probability, std::span<const std::uint8_t> supported) {
  std::vector<double> said(probability.size());
  for (std::size_t part = 0; part < kJudgeFolds; ++part) {
    std::vector<double> p;
    std::vector<std::uint8_t> y;
    for (std::size_t i = 0; i < said.size(); ++i)
      if (i % kJudgeFolds != part) p.push_back(probability[i]), y.push_back(supported[i]);
    const double threshold = balanced_threshold(p, y);
    for (std::size_t i = part; i < said.size(); i += kJudgeFolds) said[i] = probability[i] >= threshold ? 1 : 0;
  }
  return balanced_accuracy(said, supported);
}

}  // namespace

Result<void> JudgeSpecialist::calibrate(const Scored& scored) {
  const auto n = static_cast<Eigen::Index>(scored.first.size());
  const Eigen::VectorXd weight = Eigen::Map<const Eigen::VectorXd>(scored.weight.data(), n);
  Eigen::VectorXd y(n);
  for (Eigen::Index i = 0; i < n; ++i) y(i) = scored.supported[static_cast<std::size_t>(i)];
  Eigen::MatrixXd x(n, scored.cross.empty() ? 1 : 2);
  x.col(0) = Eigen::Map<const Eigen::VectorXd>(scored.first.data(), n);
  if (!scored.cross.empty()) x.col(1) = Eigen::Map<const Eigen::VectorXd>(scored.cross.data(), n);
  const auto says = [&](const calibration::LogisticModel& model) {
    std::vector<double> p;
    for (Eigen::Index i = 0; i < n; ++i) p.push_back(model.probability(x.row(i).head(model.beta.size()).transpose()));
    return p;
  };
  const auto alone = calibration::fit_logistic(x.leftCols(1), y, Eigen::VectorXd::Constant(1, 0.1), weight);
  if (!alone) return fail(ErrorKind::kInvalidRequest, "of the rows to calibrate on all are supported, or none is: give --calibration rows of both kinds");
  JudgeCalibration c;
  calibration::LogisticModel model = *alone;
  std::vector<double> p = says(model);
  c.first_log_loss = c.log_loss = calibration::log_loss(p, scored.supported);
  if (!scored.cross.empty()) {
    const auto both = calibration::fit_logistic(x, y, Eigen::VectorXd::Constant(2, 0.1), weight);
    if (!both) return fail(both.error());
    auto mixed = says(*both);
    const double loss = calibration::log_loss(mixed, scored.supported);
    // One more number fitted to these rows gains about half a nat by chance alone: three are more than that.
    if (both->beta(1) > 0 && (c.first_log_loss - loss) * static_cast<double>(n) > 3) {
      model = *both;
      p = std::move(mixed);
      c.log_loss = loss;
      c.cross = model.beta(1);
    }
  }
  c.intercept = model.intercept;
  c.first = model.beta(0);
  std::vector<double> sureness;
  std::vector<std::uint8_t> right;
  for (std::size_t i = 0; i < p.size(); ++i) {
    sureness.push_back(std::max(p[i], 1 - p[i]));
    right.push_back((p[i] >= 0.5) == (scored.supported[i] != 0));
  }
  c.rows = p.size();
  c.ece15 = calibration::ece(sureness, right);
  c.brier = calibration::brier(p, scored.supported);
  c.auroc = calibration::auroc(p, scored.supported);
  c.threshold = balanced_threshold(p, scored.supported);
  c.balanced_accuracy = left_out_accuracy(p, scored.supported);
  for (const double alpha : kBandAlphas) {
    auto band = choose_band(p, scored.supported, alpha);
    if (!band) return fail(band.error());
    c.bands.push_back(*band);
  }
  std::string named;
  for (const double value : p) named.append(reinterpret_cast<const char*>(&value), sizeof value);
  c.id = fmt::format("{:016x}", hash64(named));
  calibration_ = std::move(c);
  return {};
}

Result<JudgeSpecialist> JudgeSpecialist::fit_for(const JudgeEngines& engines) const {
  const auto holds = holds_for(engines);
  if (!holds) return fail(holds.error());
  if (*holds) return *this;
  const auto rows = parse_judge_rows(kept_, "calibration.jsonl", {});
  if (!rows) return fail(ErrorKind::kCorrupt, rows.error().message);
  JudgeSpecialist out = *this;
  out.take_engines(engines);
  TextMemory own;
  JudgeEngines asked = out.readers(engines);
  if (asked.memory == nullptr) asked.memory = &own;
  std::vector<JudgeReading> readings;
  for (const JudgeRow& row : rows->rows) {
    auto reading = read_judged(statistics_, row.claim, row.evidence, asked, static_cast<Eigen::Index>(facts_.columns));
    if (!reading) return fail(reading.error());
    readings.push_back(std::move(*reading));
  }
  const auto scored = out.score_rows(rows->rows, readings, out.cross_encoder_ && !cross_is_read_ ? engines.cross_encoder : nullptr);
  if (!scored) return fail(scored.error());
  if (auto done = out.calibrate(*scored); !done) return fail(done.error());
  return out;
}

}  // namespace understudy::specialists
