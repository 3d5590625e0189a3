#include "specialists/intent_calibration.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "calibration/metrics.h"
#include "specialists/internal/calibrate.h"
#include "specialists/internal/kernels.h"
#include "specialists/internal/softmax_trainer.h"

namespace understudy::specialists {

namespace {

constexpr float kUsualSharpness = 1.8f;
constexpr double kPull = 2;               // rows
constexpr double kErrorsMore = 0.0005;    // of all rows: what answering by words alone may cost
constexpr double kLeastEnough = 0.95;     // with few rows no error among them proves little

std::span<const float> row_of(std::span<const float> logits, std::size_t row, std::size_t labels) { return logits.subspan(row * labels, labels); }

double loss_of_row(const UnseenRows& u, std::span<const float> z, std::size_t row, float sharpness) {
  if (!u.several) {
    const float top = *std::ranges::max_element(z);
    double sum = 0;
    for (const float v : z) sum += std::exp(sharpness * (v - top));
    return std::log(sum) - sharpness * (z[u.label[row]] - top);
  }
  double loss = 0;
  for (std::size_t c = 0; c < u.labels; ++c) {
    const float target = u.targets[row * u.labels + c];
    if (target == internal::kUnknown) continue;
    const double x = (target > 0.5f ? -1.0 : 1.0) * sharpness * z[c];
    loss += x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
  }
  return loss;
}

double loss_of(const UnseenRows& u, std::span<const float> logits, float sharpness) {
  double loss = 0, all = 0;
  for (std::size_t i = 0; i < u.rows(); ++i) {
    loss += u.weights[i] * loss_of_row(u, row_of(logits, i, u.labels), i, sharpness);
    all += u.weights[i];
  }
  return all > 0 ? loss / all : std::nan("");
}

float best_sharpness(const UnseenRows& u, std::span<const float> logits) {
  if (u.rows() == 0) return kUsualSharpness;
  const double pull = kPull / static_cast<double>(u.rows());
  return static_cast<float>(std::exp(internal::minimise(std::log(0.1), std::log(20), [&](double s) {
    const double from_usual = s - std::log(kUsualSharpness);
    return loss_of(u, logits, static_cast<float>(std::exp(s))) + pull * from_usual * from_usual;
  })));
}

/// What is told of a row: the surest label, or, where several may hold, every known one.
struct Told {
  double sure = 0;  // that all of it is right, as far as one knows: what decides whether the words are enough
  std::vector<double> probability;
  std::vector<std::uint8_t> right;
};

Told told(const UnseenRows& u, std::span<const float> logits, float sharpness, std::size_t row) {
  const auto z = row_of(logits, row, u.labels);
  Told out;
  if (!u.several) {
    const auto best = std::ranges::max_element(z);
    double sum = 0;
    for (const float v : z) sum += std::exp(sharpness * (v - *best));
    out.sure = 1 / sum;
    out.probability.push_back(out.sure);
    out.right.push_back(static_cast<std::size_t>(best - z.begin()) == u.label[row]);
    return out;
  }
  out.sure = 1;
  for (std::size_t c = 0; c < u.labels; ++c) {
    const float target = u.targets[row * u.labels + c];
    const double p = internal::sigmoid(sharpness * z[c]);
    out.sure *= std::max(p, 1 - p);
    if (target == internal::kUnknown) continue;
    out.probability.push_back(std::max(p, 1 - p));
    out.right.push_back((p >= 0.5) == (target > 0.5f));
  }
  return out;
}

/// From the surest row down, as long as the words have made at most kErrorsMore more errors than both heads.
void choose_words_enough(const std::vector<Told>& words, const std::vector<Told>& both, IntentCalibration& c) {
  std::vector<std::size_t> order(words.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return words[a].sure > words[b].sure; });
  double more = 0;
  std::size_t served = 0;
  for (std::size_t i = 0; i < order.size() && words[order[i]].sure >= kLeastEnough; ++i) {
    const auto wrong = [](const Told& t) { return static_cast<double>(std::ranges::count(t.right, 0)); };
    more += wrong(words[order[i]]) - wrong(both[order[i]]);
    if (more > kErrorsMore * static_cast<double>(order.size())) break;
    if (i + 1 == order.size() || words[order[i + 1]].sure < words[order[i]].sure) {
      c.words_enough = words[order[i]].sure;
      served = i + 1;
    }
  }
  c.words_share = static_cast<double>(served) / static_cast<double>(std::max<std::size_t>(order.size(), 1));
}

void measure(const std::vector<Told>& rows, IntentCalibration& c) {
  std::vector<double> probability;
  std::vector<std::uint8_t> right;
  for (const Told& row : rows) {
    probability.insert(probability.end(), row.probability.begin(), row.probability.end());
    right.insert(right.end(), row.right.begin(), row.right.end());
  }
  if (right.empty()) return;
  for (std::size_t i = 0; i < right.size(); ++i) {
    auto& bin = c.bins[static_cast<std::size_t>(std::clamp(std::ceil(probability[i] * 15) - 1, 0.0, 14.0))];
    bin.rows += 1;
    bin.probability += probability[i];
    bin.accuracy += right[i];
  }
  for (ReliabilityBin& bin : c.bins) {
    if (bin.rows == 0) continue;
    bin.probability /= static_cast<double>(bin.rows);
    bin.accuracy /= static_cast<double>(bin.rows);
  }
  c.accuracy = static_cast<double>(std::ranges::count(right, 1)) / static_cast<double>(right.size());
  c.ece15 = calibration::ece(probability, right);
  c.brier = calibration::brier(probability, right);
}

std::vector<float> energies(const UnseenRows& u, std::span<const float> logits) {
  std::vector<float> out;
  const std::size_t step = (u.rows() + IntentCalibration::kMostFamiliar - 1) / IntentCalibration::kMostFamiliar;
  for (std::size_t i = 0; i < u.rows(); i += step) out.push_back(energy_of(row_of(logits, i, u.labels), u.several));
  std::ranges::sort(out);
  return out;
}

float log_odds(double sure) {
  const double p = std::clamp(sure, 1e-6, 1 - 1e-6);
  return static_cast<float>(std::log(p / (1 - p)));
}

float inverse_spread(std::span<const float> values) {
  double sum = 0, squares = 0;
  for (const float v : values) sum += v;
  const double mean = sum / static_cast<double>(values.size());
  for (const float v : values) squares += (v - mean) * (v - mean);
  const double spread = std::sqrt(squares / static_cast<double>(values.size()));
  return spread > 1e-6 ? static_cast<float>(1 / spread) : 1.0f;
}

void measure_familiarity(const UnseenRows& u, const std::vector<Told>& both, IntentCalibration& c) {
  if (u.cosines.empty()) {
    c.both_familiar = energies(u, u.both);
    return;
  }
  std::vector<float> odds;
  for (const Told& t : both) odds.push_back(log_odds(t.sure));
  c.odds_scale = inverse_spread(odds);
  c.cosine_scale = inverse_spread(u.cosines);
  const std::size_t step = (u.rows() + IntentCalibration::kMostFamiliar - 1) / IntentCalibration::kMostFamiliar;
  for (std::size_t i = 0; i < u.rows(); i += step) c.both_familiar.push_back(familiar_by_both(c, both[i].sure, u.cosines[i]));
  std::ranges::sort(c.both_familiar);
}

}  // namespace

float familiar_by_both(const IntentCalibration& c, double sure, float cosine) { return c.odds_scale * log_odds(sure) + c.cosine_scale * cosine; }

float energy_of(std::span<const float> logits, bool several) {
  float top = *std::ranges::max_element(logits);
  if (several) top = std::max(top, 0.0f);
  double sum = several ? std::exp(double(-top)) : 0;
  for (const float v : logits) sum += std::exp(double(v) - top);
  return static_cast<float>(top + std::log(sum));
}

double calibrated_loss(const UnseenRows& unseen, std::span<const float> logits) { return loss_of(unseen, logits, best_sharpness(unseen, logits)); }

float best_share(const UnseenRows& unseen, std::span<const float> meaning) {
  std::vector<float> mixed(meaning.size());
  return static_cast<float>(internal::minimise(0.0, 1.0, [&](double share) {
    for (std::size_t i = 0; i < mixed.size(); ++i) mixed[i] = static_cast<float>(share * meaning[i] + (1 - share) * unseen.words[i]);
    return calibrated_loss(unseen, mixed);
  }, 8));
}

IntentCalibration calibrate(const UnseenRows& unseen) {
  IntentCalibration c;
  c.rows = unseen.rows();
  const bool vectors = !unseen.both.empty();
  c.words_sharpness = best_sharpness(unseen, unseen.words);
  c.both_sharpness = vectors ? best_sharpness(unseen, unseen.both) : c.words_sharpness;
  if (c.rows == 0) return c;
  std::vector<Told> words, both;
  for (std::size_t i = 0; i < c.rows; ++i) {
    words.push_back(told(unseen, unseen.words, c.words_sharpness, i));
    if (vectors) both.push_back(told(unseen, unseen.both, c.both_sharpness, i));
  }
  c.words_familiar = energies(unseen, unseen.words);
  if (vectors) {
    choose_words_enough(words, both, c);
    measure_familiarity(unseen, both, c);
    for (std::size_t i = 0; i < c.rows; ++i) {
      if (words[i].sure < c.words_enough) words[i] = both[i];
    }
  }
  measure(words, c);
  return c;
}

}  // namespace understudy::specialists
