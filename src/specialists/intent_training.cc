// How an intent specialist is trained: both heads, their penalties and their mix by cross-validation, then the calibration.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "neural/embed_many.h"
#include "specialists/intent_specialist.h"
#include "specialists/internal/intent_prepare.h"
#include "specialists/internal/kernels.h"

namespace understudy::specialists {

namespace {

using internal::HeadChoice;
using internal::IntentHead;
using internal::IntentMaterial;

constexpr std::size_t kManyRows = 3000;      // from here on one fold in five is enough to choose by, and rows say more than names
constexpr std::size_t kRowsForNames = 50;    // a label: where there are more, its name adds nothing

}  // namespace

struct IntentTrainer {
  const IntentTraining& training;
  IntentMaterial material;
  UnseenRows unseen;           // logits of each row by fits that had not seen it
  std::vector<float> vectors;  // of the material's texts, where there is an encoder
  std::size_t steps_done = 0, steps = 0;

  std::string stopped(std::string message) const {
    return training.cache_folder.empty() ? message : message + "; the vectors that were computed are kept, so that the same command need not compute them again";
  }

  Result<void> step(std::string_view what) {
    if (training.stop.stop_requested()) return fail(ErrorKind::kCancelled, stopped("stopped"));
    if (training.progress) training.progress(what, steps_done, steps);
    ++steps_done;
    return {};
  }

  /// Logits of all rows (or of the first fold alone) by fits that had not seen them.
  Result<std::vector<float>> held_back(const IntentHead& head, const HeadChoice& choice, bool one_fold, std::string_view what) {
    std::vector<float> logits(material.rows * material.labels.size());
    for (std::size_t f = 0; f < (one_fold ? 1 : IntentHead::kFolds); ++f) {
      if (auto go = step(what); !go) return fail(go.error());
      head.predict(head.fit(f, choice), f, logits);
    }
    return logits;
  }

  /// Of a choice, on the first fold where there are many rows, else on all.
  Result<double> loss(const IntentHead& head, const HeadChoice& choice, std::string_view what) {
    const bool many = material.rows >= kManyRows;
    const auto logits = held_back(head, choice, many, what);
    if (!logits) return fail(logits.error());
    if (!many) return calibrated_loss(unseen, *logits);
    UnseenRows fold;
    fold.labels = unseen.labels;
    fold.several = unseen.several;
    std::vector<float> some;
    const auto append = [&](const auto& from, std::size_t i, std::size_t width, auto& to) {
      const auto at = from.begin() + static_cast<std::ptrdiff_t>(i * width);
      to.insert(to.end(), at, at + static_cast<std::ptrdiff_t>(width));
    };
    for (std::size_t i = 0; i < material.rows; i += IntentHead::kFolds) {
      append(*logits, i, unseen.labels, some);
      append(unseen.weights, i, 1, fold.weights);
      if (unseen.several) {
        append(unseen.targets, i, unseen.labels, fold.targets);
      } else {
        append(unseen.label, i, 1, fold.label);
      }
    }
    return calibrated_loss(fold, some);
  }

  Result<HeadChoice> choose(const IntentHead& head, std::span<const float> penalties, std::string_view what) {
    HeadChoice best;
    best.loss = std::numeric_limits<double>::infinity();
    const auto attempt = [&](HeadChoice choice) -> Result<void> {
      const auto l = loss(head, choice, what);
      if (!l) return fail(l.error());
      choice.loss = *l;
      if (choice.loss < best.loss) best = choice;
      return {};
    };
    for (const float penalty : penalties) {
      if (auto done = attempt({.penalty = penalty}); !done) return fail(done.error());
    }
    if (material.names() > 0 && material.rows < kRowsForNames * material.labels.size()) {
      const float penalty = best.penalty;
      for (const float names : {1.0f, 3.0f}) {
        if (auto done = attempt({.penalty = penalty, .names = names}); !done) return fail(done.error());
      }
    }
    return best;
  }

  void count_steps(std::size_t heads) {
    const std::size_t folds = material.rows >= kManyRows ? 1 : IntentHead::kFolds;
    const std::size_t names = material.names() > 0 && material.rows < kRowsForNames * material.labels.size() ? 2 : 0;
    steps = folds * (3 + names) + IntentHead::kFolds + 1;
    if (heads > 1) steps += folds * (5 + names) + IntentHead::kFolds + 1;
  }

  void take_truth() {
    unseen.labels = material.labels.size();
    unseen.several = material.several;
    unseen.weights.assign(material.weights.begin(), material.weights.begin() + static_cast<std::ptrdiff_t>(material.rows));
    if (!material.several) {
      unseen.label.assign(material.label.begin(), material.label.begin() + static_cast<std::ptrdiff_t>(material.rows));
      return;
    }
    const std::size_t stride = internal::padded(unseen.labels);
    for (std::size_t i = 0; i < material.rows; ++i) {
      const auto row = material.targets.begin() + static_cast<std::ptrdiff_t>(i * stride);
      unseen.targets.insert(unseen.targets.end(), row, row + static_cast<std::ptrdiff_t>(unseen.labels));
    }
  }

  Result<void> fit_words(IntentSpecialist& out) {
    TermFrequencies frequencies;
    std::vector<Terms> terms(material.texts.size());
    std::vector<const Terms*> examples;
    TermExtractor extractor;
    for (std::size_t i = 0; i < terms.size(); ++i) {
      extractor.extract(material.texts[i], terms[i]);
      frequencies.count(terms[i]);
      examples.push_back(&terms[i]);
    }
    IntentModel& model = out.model_;
    constexpr std::size_t kMostWeights = std::size_t{1} << 26;
    model.space = TermSpace::create(examples, frequencies, 0.5f, kMostWeights / internal::padded(model.labels.size()));
    IntentHead head(material, model.space->columns(), false, 12, training.seed);
    std::vector<TermSpace::Entry> row;
    for (const Terms& t : terms) {
      model.space->place(t, row);
      head.inputs().add(row);
    }
    const auto choice = choose(head, std::array{0.03f, 0.1f, 0.3f}, "words");
    if (!choice) return fail(choice.error());
    auto logits = held_back(head, *choice, false, "words");
    if (!logits) return fail(logits.error());
    unseen.words = std::move(*logits);
    if (auto go = step("words"); !go) return fail(go.error());
    const auto weights = head.fit(IntentHead::kFolds, *choice);
    model.words = PackedRows::pack(weights.weights, model.labels.size(), WeightPrecision::kFloat32);
    model.words_bias = weights.bias;
    out.facts_.words_penalty = choice->penalty;
    out.facts_.names = choice->names;
    return {};
  }

  /// First of all, since it takes longest and can be kept: what was computed when a training was stopped is not computed again.
  Result<void> read_vectors() {
    const std::vector<std::string_view> texts(material.texts.begin(), material.texts.end());
    neural::EmbedManyOptions options;
    options.cache_folder = training.cache_folder;
    options.stop = training.stop;
    if (training.progress) options.progress = [&](const neural::EmbedProgress& p) { training.progress("vectors", p.done, p.total); };
    auto computed = neural::embed_many(*training.encoder, texts, options);
    if (!computed && computed.error().kind == ErrorKind::kCancelled) return fail(ErrorKind::kCancelled, stopped(computed.error().message));
    if (!computed) return fail(computed.error());
    vectors = std::move(*computed);
    return {};
  }

  std::span<const float> vector(std::size_t row) const {
    const std::size_t dimension = training.encoder->dimension();
    return std::span(vectors).subspan(row * dimension, dimension);
  }

  Result<void> fit_meaning(IntentSpecialist& out) {
    IntentModel& model = out.model_;
    const std::size_t dimension = training.encoder->dimension();
    std::vector<double> sums(dimension, 0);
    for (std::size_t i = 0; i < material.rows * dimension; ++i) sums[i % dimension] += vectors[i];
    for (const double sum : sums) model.mean.push_back(static_cast<float>(sum / static_cast<double>(material.rows)));
    IntentHead head(material, dimension, true, material.rows < kManyRows ? 40 : 12, training.seed);
    std::vector<TermSpace::Entry> row;
    for (std::size_t i = 0; i < material.texts.size(); ++i) {
      place_vector(vector(i), model.mean, row);
      head.inputs().add(row);
    }
    const auto choice = choose(head, std::array{0.04f, 0.13f, 0.4f, 1.3f, 4.0f}, "meaning");
    if (!choice) return fail(choice.error());
    const auto logits = held_back(head, *choice, false, "meaning");
    if (!logits) return fail(logits.error());
    model.share = best_share(unseen, *logits);
    unseen.both.resize(logits->size());
    for (std::size_t i = 0; i < logits->size(); ++i) unseen.both[i] = model.share * (*logits)[i] + (1 - model.share) * unseen.words[i];
    if (!material.several) measure_cosines(model);
    if (auto go = step("meaning"); !go) return fail(go.error());
    const auto weights = head.fit(IntentHead::kFolds, *choice);
    model.meaning = PackedRows::pack(weights.weights, model.labels.size(), WeightPrecision::kFloat32);
    model.meaning_bias = weights.bias;
    out.encoder_ = training.encoder->identity();
    out.facts_.meaning_penalty = choice->penalty;
    out.facts_.names = choice->names;
    return {};
  }

  /// Centroids of the labels, and how near each row lies to that of its answer: without the row itself where it is one of its own.
  void measure_cosines(IntentModel& model) {
    const std::size_t dimension = model.mean.size(), labels = material.labels.size();
    std::vector<float> sums(labels * dimension, 0);
    for (std::size_t i = 0; i < material.rows; ++i) {
      for (std::size_t d = 0; d < dimension; ++d) sums[material.label[i] * dimension + d] += vectors[i * dimension + d];
    }
    for (std::size_t i = 0; i < material.rows; ++i) {
      const auto logits = std::span(unseen.both).subspan(i * labels, labels);
      const auto said = static_cast<std::size_t>(std::ranges::max_element(logits) - logits.begin());
      float dot = 0, length = 0;
      for (std::size_t d = 0; d < dimension; ++d) {
        const float v = vectors[i * dimension + d], sum = sums[said * dimension + d] - (said == material.label[i] ? v : 0);
        dot += v * sum;
        length += sum * sum;
      }
      unseen.cosines.push_back(length > 0 ? dot / std::sqrt(length) : 0);
    }
    for (std::size_t c = 0; c < labels; ++c) {
      const auto sum = std::span(sums).subspan(c * dimension, dimension);
      float length = 0;
      for (const float v : sum) length += v * v;
      for (float& v : sum) v = length > 0 ? neural::half_to_float(neural::float_to_half(v / std::sqrt(length))) : 0;  // as the file has it
    }
    model.centroids = std::move(sums);
  }

  /// Rows for recalibration, with how far the model itself is from the fits that had not seen them.
  void keep(const std::vector<const IntentRow*>& rows, IntentSpecialist& out) const {
    constexpr std::size_t kMostBytes = 4u << 20;
    const std::size_t labels = material.labels.size();
    const std::size_t most = std::min({training.most_kept, rows.size(), kMostBytes / (labels * 2 * sizeof(float))});
    KeptRows& kept = out.kept_;
    IntentScratch scratch;
    for (std::size_t i = 0; i < most; ++i) {
      kept.rows.push_back(*rows[i]);
      out.model_.read_words(material.texts[i], scratch);
      for (std::size_t c = 0; c < labels; ++c) kept.words_shift.push_back(unseen.words[i * labels + c] - scratch.words[c]);
      if (vectors.empty()) continue;
      out.model_.read_vector(vector(i), scratch);
      for (std::size_t c = 0; c < labels; ++c) kept.both_shift.push_back(unseen.both[i * labels + c] - scratch.both[c]);
      if (material.several) continue;
      const auto logits = std::span(unseen.both).subspan(i * labels, labels);
      const auto said = static_cast<std::size_t>(std::ranges::max_element(logits) - logits.begin());
      kept.cosine_shift.push_back(unseen.cosines[i] - out.model_.cosine(vector(i), said));
    }
  }

  Result<IntentSpecialist> train(const std::vector<const IntentRow*>& rows, const IntentRows* calibration, IntentFacts facts) {
    IntentSpecialist out;
    out.facts_ = std::move(facts);
    out.facts_.seed = training.seed;
    out.facts_.rows = material.rows;
    out.model_.labels = material.labels;
    out.model_.several = material.several;
    take_truth();
    count_steps(training.encoder != nullptr ? 2 : 1);
    if (training.encoder != nullptr) {
      if (auto done = read_vectors(); !done) return fail(done.error());
    }
    if (auto done = fit_words(out); !done) return fail(done.error());
    if (training.encoder != nullptr) {
      if (auto done = fit_meaning(out); !done) return fail(done.error());
    }
    out.calibration_ = calibrate(unseen);
    out.calibration_.source = "cross_validation";
    out.facts_.cv_accuracy = out.calibration_.accuracy;
    out.facts_.cv_log_loss = calibrated_loss(unseen, unseen.both.empty() ? unseen.words : unseen.both);
    if (calibration == nullptr) {
      keep(rows, out);
    } else {
      for (const IntentRow& row : calibration->rows) {
        if (!row.oos) out.kept_.rows.push_back(row);
      }
      const auto known = internal::unseen_of(calibration->file, out.kept_.rows, out.labels(), out.several());
      if (!known) return fail(known.error());
      if (auto done = out.calibrate_from_kept(training.encoder); !done) return fail(done.error());
      if (out.kept_.rows.size() > training.most_kept) out.kept_.rows.resize(training.most_kept);
    }
    out.name_calibration();
    return out;
  }
};

Result<IntentSpecialist> train_intent(const IntentRows& rows, const IntentRows* calibration, const IntentTraining& training, IntentFacts facts) {
  std::vector<const IntentRow*> kept;
  auto material = internal::prepare(rows, training, kept);
  if (!material) return fail(material.error());
  IntentTrainer trainer{training, std::move(*material), {}, {}};
  return trainer.train(kept, calibration, std::move(facts));
}

}  // namespace understudy::specialists
