#include "specialists/text_learner.h"

#include <algorithm>
#include <numeric>

#include "base/assert.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"

namespace understudy::specialists {
namespace {

using calibration::Fitted;
using calibration::LabelledRow;

// The fewer rows, the more a fold is missed, and the cheaper they are; with vectors a fit costs twice as much.
std::uint32_t folds_for(std::size_t rows, bool vectors) { return rows < (vectors ? 1'000 : 3'000) ? 10 : 5; }
constexpr std::size_t kMostAnswers = 1'000;

FitOptions options_of(std::uint64_t seed) {
  FitOptions options;
  options.seed = seed;
  options.neighbours = true;
  return options;
}

TextModel::Scratch& scratch_here() {
  thread_local TextModel::Scratch scratch;
  return scratch;
}

/// A record's rows as the fit wants them.
struct Material {
  std::vector<RowInput> inputs;
  std::uint64_t encoder = 0;   ///< whose vectors are used: that of the newest row that has one
  std::size_t dimension = 0;   ///< of that vector
  std::vector<std::uint32_t> labels;
  std::vector<std::string> names;
  TermFrequencies frequencies;

  explicit Material(const FitRecord& record) {
    for (const auto& [answer, label] : record.answers) {
      if (label == names.size()) names.push_back(answer);
    }
    for (const FitRecord::Row& row : record.rows) {
      [[maybe_unused]] const bool sound = unpack_input(row.input, inputs.emplace_back());
      UNDERSTUDY_ASSERT(sound);
      labels.push_back(row.label);
      frequencies.count(inputs.back().terms);
      if (inputs.back().encoder == 0) continue;
      encoder = inputs.back().encoder;
      dimension = inputs.back().vector.values.size();
    }
    const auto usable = std::count_if(inputs.begin(), inputs.end(), [&](const RowInput& input) { return has_vector(input); });
    if (static_cast<std::size_t>(usable) * 2 < inputs.size()) encoder = 0;
  }

  bool has_vector(const RowInput& input) const {
    return encoder != 0 && input.encoder == encoder && input.vector.values.size() == dimension;
  }

  std::shared_ptr<const TextModel> fit(std::uint64_t seed) const { return fit(seed, {}, std::nullopt, nullptr); }
  /// Without the rows of one fold.
  std::shared_ptr<const TextModel> fit(std::uint64_t seed, const std::vector<std::uint32_t>& fold, std::optional<std::uint32_t> without, const TextModel* calibrated_as) const {
    LabelledRows rows;
    rows.names = names;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (without && fold[i] == *without) continue;
      rows.terms.push_back(&inputs[i].terms);
      if (encoder != 0) rows.vectors.push_back(has_vector(inputs[i]) ? &inputs[i].vector : nullptr);
      rows.labels.push_back(labels[i]);
    }
    FitOptions options = options_of(seed);
    options.calibrated_as = calibrated_as;
    return TextModel::fit(rows, frequencies, options);
  }
};

}  // namespace

void TextFit::judge(LabelledRow& row) const {
  for (const LearnedRung& rung : rungs_) row.rungs[rung.index] = {};
  RowInput input;
  if (row.terms.empty() || !unpack_input(row.terms, input)) return;
  const Says says = say(input, scratch_here());
  for (const LearnedRung& rung : rungs_) {
    const Said& said = says.of(rung.kind);
    calibration::RungOutcome& outcome = row.rungs[rung.index];
    outcome.features.assign(said.features.begin(), said.features.end());
    if (!said.usable) continue;
    outcome.usable = true;
    outcome.raw = static_cast<double>(said.raw);
    const auto known = label_of_.find(row.answer);
    outcome.bad = known != label_of_.end() ? known->second != said.label : !(agrees_ ? agrees_(answer(said.label), row.answer) : answer(said.label) == row.answer);
  }
}

TextFit::Says TextFit::say(const RowInput& input, TextModel::Scratch& scratch) const {
  Says says;
  if (encoder_ != 0 && input.encoder != encoder_) return says;
  TextModel::Neighbours near;
  const Guess guess = model_->guess(input.terms, scratch, &near, encoder_ != 0 ? &input.vector : nullptr);
  says.neighbours.label = near.label;
  says.neighbours.usable = near.share > 0;
  says.neighbours.raw = near.share * std::clamp(near.cosine, 0.0f, 1.0f);
  says.neighbours.features = {near.cosine, near.share, near.share - near.second_share};
  if (guess.ranked == 0) return says;
  says.text.label = guess.top[0].label;
  says.text.usable = true;
  says.text.raw = guess.probability;
  says.text.features = {near.cosine, near.share > 0 && near.label == says.text.label ? near.share : 0, guess.margin};
  return says;
}

TextLearner::TextLearner(std::vector<LearnedRung> rungs, Agrees agrees, std::shared_ptr<FitFiles> files)
    : rungs_(std::move(rungs)), agrees_(std::move(agrees)), files_(std::move(files)) {}

Fitted TextLearner::fit(std::vector<LabelledRow> rows, std::uint64_t seed) const {
  FitRecord record;
  record.seed = seed;
  std::unordered_map<std::string, std::uint32_t> label_of;
  std::vector<std::size_t> first;   // of a label, in record.answers
  for (const LabelledRow& row : rows) {
    auto known = label_of.find(row.answer);
    if (known == label_of.end()) {
      if (record.answers.size() >= 4 * kMostAnswers) return {};
      auto label = static_cast<std::uint32_t>(first.size());
      if (agrees_) {
        for (std::uint32_t i = 0; i < first.size() && label == first.size(); ++i) {
          if (agrees_(record.answers[first[i]].first, row.answer)) label = i;
        }
      }
      if (label == first.size()) first.push_back(record.answers.size());
      if (first.size() > kMostAnswers || (first.size() >= 30 && first.size() * 2 > rows.size())) return {};
      record.answers.emplace_back(row.answer, label);
      known = label_of.emplace(row.answer, label).first;
    }
    record.rows.push_back({known->second, row.terms});
  }
  if (first.size() * 2 > rows.size()) return {};
  const Material material(record);
  auto whole = std::make_shared<TextFit>();
  whole->rungs_ = rungs_;
  whole->agrees_ = agrees_;
  whole->label_of_ = std::move(label_of);
  const std::size_t n = rows.size();
  const std::uint32_t folds = folds_for(n, material.encoder != 0);
  std::vector<std::uint32_t> fold(n);
  SeededRandom random(seed + n);
  for (std::size_t i = 0; i < n; ++i) fold[i] = static_cast<std::uint32_t>(i % folds);
  for (std::size_t i = n; i > 1; --i) std::swap(fold[i - 1], fold[static_cast<std::size_t>(random.below(i))]);
  whole->encoder_ = material.encoder;
  whole->model_ = material.fit(seed);
  TextFit part = *whole;
  for (std::uint32_t f = 0; f < folds; ++f) {
    // On the scale of the whole: a threshold chosen on held-back rows must mean the same there.
    part.model_ = material.fit(seed, fold, f, whole->model_.get());
    for (std::size_t i = 0; i < n; ++i) {
      if (fold[i] == f) part.judge(rows[i]);
    }
  }
  record.model = whole->model_->weights_hash();
  whole->bytes_ = fit_record_bytes(record);
  whole->id_ = std::max<std::uint64_t>(1, hash64(whole->bytes_));
  return {std::move(whole), std::move(rows)};
}

bool TextLearner::save(const calibration::LearnedFit& fit) const {
  if (files_ == nullptr) return true;
  return files_->write(fit.id(), static_cast<const TextFit&>(fit).bytes_);
}

std::shared_ptr<const calibration::LearnedFit> TextLearner::load(std::uint64_t id) const {
  if (files_ == nullptr) return nullptr;
  auto bytes = files_->read(id);
  if (!bytes) return nullptr;
  const auto record = parse_fit_record(*bytes);
  if (!record || std::max<std::uint64_t>(1, hash64(*bytes)) != id) {
    log::warn("what was learnt (fit {:016x}) cannot be used: {}", id, record ? "the file is another fit's" : record.error().message);
    return nullptr;
  }
  const Material material(*record);
  auto fit = std::make_shared<TextFit>();
  fit->id_ = id;
  fit->rungs_ = rungs_;
  fit->agrees_ = agrees_;
  fit->label_of_.insert(record->answers.begin(), record->answers.end());
  fit->encoder_ = material.encoder;
  fit->model_ = material.fit(record->seed);
  if (fit->model_->weights_hash() != record->model) {
    log::warn("what was learnt (fit {:016x}) cannot be used: this program makes another model of it", id);
    return nullptr;
  }
  fit->bytes_ = std::move(*bytes);
  return fit;
}

}  // namespace understudy::specialists
