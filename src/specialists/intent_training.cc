// How an intent specialist is trained and calibrated.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "base/hash.h"
#include "base/random.h"
#include "calibration/metrics.h"
#include "specialists/intent_specialist.h"
#include "specialists/internal/calibrate.h"
#include "specialists/internal/kernels.h"
#include "specialists/text_model.h"

namespace understudy::specialists {

namespace {

std::string folded(std::string_view label) {
  const auto first = label.find_first_not_of(" \t\r\n"), last = label.find_last_not_of(" \t\r\n");
  std::string out(first == std::string_view::npos ? "" : label.substr(first, last - first + 1));
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

Unexpected refuse(const IntentRows& rows, const std::string& what) { return fail(ErrorKind::kInvalidRequest, fmt::format("{}: {}", rows.file, what)); }

/// Terms of rows with their labels.
struct Prepared {
  std::vector<Terms> terms;
  std::vector<std::uint32_t> labels;
  std::vector<float> weights;
  std::vector<std::string> names;

  LabelledRows some(std::size_t folds, std::size_t without) const {  // folds 0: all
    LabelledRows out;
    out.names = names;
    for (std::size_t i = 0; i < terms.size(); ++i) {
      if (folds > 0 && i % folds == without) continue;
      out.terms.push_back(&terms[i]);
      out.labels.push_back(labels[i]);
      out.weights.push_back(weights[i]);
    }
    return out;
  }
};

Result<Prepared> prepare(const IntentRows& rows, const IntentTraining& training) {
  std::map<std::string, std::size_t> names;
  std::vector<const IntentRow*> kept;
  for (const IntentRow& row : rows.rows) {
    if (row.oos) continue;
    if (row.label.empty()) return refuse(rows, fmt::format("line {} has \"labels\" and no \"label\": an intent specialist answers one label a text; give each row its \"label\"", row.line));
    if (row.label.size() > LinearModel::kLongestLabel) return refuse(rows, fmt::format("line {}: the label has {} bytes; it must be a short name", row.line, row.label.size()));
    names.try_emplace(row.label, row.line);
    kept.push_back(&row);
  }
  if (kept.size() < kFewestTrainingRows) return refuse(rows, fmt::format("{} rows to train on; at least {} are needed, better 10 for each label", kept.size(), kFewestTrainingRows));
  if (names.size() < 2) return refuse(rows, fmt::format("all {} rows have the label \"{}\": rows of at least two labels are needed", kept.size(), names.begin()->first));
  if (names.size() > LinearModel::kMostLabels) {
    return refuse(rows, fmt::format("{} different labels; at most {} are taken. Is \"label\" a free text? Closed answers are needed", names.size(), LinearModel::kMostLabels));
  }
  if (!training.similar_labels) {
    std::map<std::string, std::string> seen;
    for (const auto& [name, line] : names) {
      const auto [other, fresh] = seen.try_emplace(folded(name), name);
      if (!fresh) {
        return refuse(rows, fmt::format("the labels \"{}\" (line {}) and \"{}\" (line {}) differ by case or spaces only: write them alike, or pass "
                                        "--similar-labels if they are two", other->second, names[other->second], name, line));
      }
    }
  }
  Prepared out;
  std::unordered_map<std::string, std::uint32_t> index;
  for (const auto& [name, line] : names) {
    index.emplace(name, static_cast<std::uint32_t>(out.names.size()));
    out.names.push_back(name);
  }
  // In random order, so that every fifth row is a random fifth.
  SeededRandom random(training.seed);
  for (std::size_t i = kept.size(); i > 1; --i) std::swap(kept[i - 1], kept[static_cast<std::size_t>(random.below(i))]);
  TermExtractor extractor;
  for (const IntentRow* row : kept) {
    extractor.extract(row->text, out.terms.emplace_back());
    out.labels.push_back(index.at(row->label));
    out.weights.push_back(row->weight);
  }
  return out;
}

struct Held {
  internal::HeldBack rows;
  std::vector<std::vector<float>> logits;
  std::vector<std::uint32_t> labels;

  void add(const LinearModel& model, const Terms& terms, std::uint32_t label, float weight) {
    LinearScratch scratch;
    model.logits(terms, scratch);
    rows.begin_row(label, weight, model.labels().size(), scratch.logits.size());
    std::copy(scratch.logits.begin(), scratch.logits.end(), rows.logits());
    logits.push_back(std::move(scratch.logits));
    labels.push_back(label);
  }
};

void measure(const Held& held, IntentCalibration& c) {
  std::vector<double> probability;
  std::vector<std::uint8_t> right;
  c.rows = held.labels.size();
  if (c.rows == 0) return;
  for (std::size_t i = 0; i < held.labels.size(); ++i) {
    std::vector<float> z = held.logits[i];
    internal::softmax(z.data(), z.size(), c.sharpness);
    const auto best = std::max_element(z.begin(), z.end());
    probability.push_back(std::min(1.0, double(*best)));
    right.push_back(static_cast<std::size_t>(best - z.begin()) == held.labels[i]);
    const auto bin = static_cast<std::size_t>(std::clamp(std::ceil(probability.back() * 15) - 1, 0.0, 14.0));
    c.bins[bin].rows += 1;
    c.bins[bin].probability += probability.back();
    c.bins[bin].accuracy += right.back();
    c.accuracy += right.back() / double(c.rows);
  }
  for (ReliabilityBin& bin : c.bins) {
    if (bin.rows == 0) continue;
    bin.probability /= double(bin.rows);
    bin.accuracy /= double(bin.rows);
  }
  c.ece15 = calibration::ece(probability, right);
  c.brier = calibration::brier(probability, right);
}

}  // namespace

struct IntentTrainer {
  static Result<IntentSpecialist> train(const Prepared& rows, const IntentRows* calibration, const IntentTraining& training, IntentFacts facts) {
    TermFrequencies frequencies;
    for (const Terms& t : rows.terms) frequencies.count(t);
    FitOptions options;
    options.seed = training.seed;
    options.epochs = 12;
    options.penalties = {0.03f, 0.1f, 0.3f};
    options.folds_used = options.folds;
    const auto model = TextModel::fit(rows.some(0, 0), frequencies, options);

    IntentSpecialist out;
    out.model_ = model->linear();
    facts.seed = training.seed;
    facts.rows = rows.terms.size();
    facts.labels = rows.names.size();
    facts.penalty = model->report().penalty;
    facts.cv_accuracy = std::isfinite(model->report().accuracy) ? model->report().accuracy : 0;
    facts.cv_log_loss = std::isfinite(model->report().log_loss) ? model->report().log_loss : 0;

    // A fit on four fifths says what unseen texts look like: their energies, and how the probabilities fare.
    options.penalties = {model->report().penalty};
    options.calibrated_as = model.get();
    const auto part = TextModel::fit(rows.some(5, 0), frequencies, options);
    Held held;
    for (std::size_t i = 0; i < rows.terms.size(); i += 5) held.add(part->linear(), rows.terms[i], rows.labels[i], rows.weights[i]);
    for (const auto& z : held.logits) {
      const float top = *std::max_element(z.begin(), z.end());
      double sum = 0;
      for (std::size_t c = 0; c < rows.names.size(); ++c) sum += std::exp(double(z[c]) - top);
      out.energies_.push_back(static_cast<float>(top + std::log(sum)));
    }
    std::sort(out.energies_.begin(), out.energies_.end());

    IntentCalibration& c = out.calibration_;
    c.sharpness = model->linear().sharpness();
    c.source = "held_back";
    if (calibration != nullptr) {
      std::unordered_map<std::string_view, std::uint32_t> index;
      for (std::uint32_t i = 0; i < rows.names.size(); ++i) index.emplace(rows.names[i], i);
      held = {};
      TermExtractor extractor;
      Terms terms;
      for (const IntentRow& row : calibration->rows) {
        if (row.oos) continue;
        const auto known = index.find(row.label);
        if (known == index.end()) return refuse(*calibration, fmt::format("line {}: the label \"{}\" is not among the {} that were trained", row.line, row.label, rows.names.size()));
        extractor.extract(row.text, terms);
        held.add(out.model_, terms, known->second, row.weight);
      }
      if (held.labels.empty()) return refuse(*calibration, "no row to calibrate on");
      c.sharpness = held.rows.calibrate(false).sharpness;
      c.source = "file";
    }
    measure(held, c);
    c.id = fmt::format("{:016x}", hash64(fmt::format("{} {} {} {} {} {}", c.source, c.rows, c.sharpness, c.accuracy, c.ece15, hash64(out.model_.save()))));
    out.facts_ = std::move(facts);
    return out;
  }
};

Result<IntentSpecialist> train_intent(const IntentRows& rows, const IntentRows* calibration, const IntentTraining& training, IntentFacts facts) {
  auto prepared = prepare(rows, training);
  if (!prepared) return fail(prepared.error());
  return IntentTrainer::train(*prepared, calibration, training, std::move(facts));
}

}  // namespace understudy::specialists
