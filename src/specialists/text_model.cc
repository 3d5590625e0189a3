#include "specialists/text_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/assert.h"
#include "base/hash.h"
#include "base/random.h"
#include "specialists/internal/calibrate.h"
#include "specialists/internal/kernels.h"
#include "specialists/internal/softmax_trainer.h"

namespace understudy::specialists {

namespace {

using internal::HeldBack;
using internal::SoftmaxWeights;
using internal::SparseRows;

constexpr std::size_t kFewestRows = 20;  // below: nothing is held back, the usual calibration is taken
constexpr std::size_t kMostHeldBack = 4096;  // a fold: more would cost memory and hardly move two numbers
constexpr float kVoteFloor = 0.02f;
constexpr float kDenseLength = 2;            // of a vector beside the block of terms, whose length is 1
constexpr float kDenseStep = 10;

/// What a fit and its trials share.
struct Material {
  SparseRows rows;
  std::size_t columns = 0;      // of terms
  std::size_t dimension = 0;    // of vectors; their columns come behind
};

/// One penalty's fit on some of the rows.
SoftmaxWeights fit_weights(const Material& m, const LabelledRows& given, std::span<const float> weights, std::span<const std::uint32_t> which,
                           float penalty, const FitOptions& options) {
  SoftmaxWeights w = SoftmaxWeights::zero(m.columns + m.dimension, given.names.size());
  internal::TrainOptions how{.seed = options.seed, .epochs = options.epochs, .l2 = penalty};
  how.dense_from = m.columns;
  how.dense_step = kDenseStep;
  internal::train(m.rows, given.labels, weights, which, how, w);
  return w;
}

DenseIndex dense_index_of(const LabelledRows& given, std::span<const std::uint32_t> which, std::size_t dimension) {
  DenseIndex index(dimension);
  for (const std::uint32_t i : which) {
    if (given.vectors[i] != nullptr) index.add(*given.vectors[i], given.labels[i]);
  }
  return index;
}

NeighbourIndex index_of(const SparseRows& rows, const LabelledRows& given, std::span<const std::uint32_t> which, std::size_t columns) {
  SparseRows some;
  std::vector<std::uint32_t> labels;
  for (const std::uint32_t i : which) {
    some.add(rows[i]);
    labels.push_back(given.labels[i]);
  }
  return NeighbourIndex::create(columns, some.entries, some.start, labels);
}

/// int8 rows of `width` numbers: each column's greatest weight becomes 127.
void quantise(const SoftmaxWeights& w, std::size_t first, std::size_t columns, std::size_t width, std::vector<std::int8_t>& weights, std::vector<float>& scales) {
  weights.assign(columns * width, 0);
  scales.resize(columns);
  for (std::size_t c = 0; c < columns; ++c) {
    const float* row = w.weights.data() + (first + c) * w.stride;
    float most = 0;
    for (std::size_t k = 0; k < w.classes; ++k) most = std::max(most, std::abs(row[k]));
    scales[c] = most / 127;
    const float inverse = most > 0 ? 127 / most : 0;
    for (std::size_t k = 0; k < w.classes; ++k) weights[c * width + k] = static_cast<std::int8_t>(std::lround(row[k] * inverse));
  }
}

}  // namespace

float vote_logit(float share) { return std::log(share + kVoteFloor); }

std::shared_ptr<const TextModel> TextModel::fit(const LabelledRows& given, const TermFrequencies& frequencies, const FitOptions& options) {
  auto model = std::make_shared<TextModel>();
  const std::size_t n = given.terms.size(), classes = given.names.size();
  UNDERSTUDY_ASSERT(classes <= LinearModel::kMostLabels && given.labels.size() == n && options.folds >= 2 && !options.penalties.empty());
  model->report_.rows = n;
  if (n == 0 || classes == 0) return model;
  LinearParts parts;
  parts.space = TermSpace::create(given.terms, frequencies, options.words_share, options.most_weights / internal::padded(classes));
  parts.labels = given.names;
  Material material;
  material.columns = parts.space->columns();
  UNDERSTUDY_ASSERT(given.vectors.empty() || given.vectors.size() == n);
  std::size_t with_vector = 0;
  for (const PackedVector* vector : given.vectors) {
    if (vector == nullptr) continue;
    ++with_vector;
    model->dense_.dimension = material.dimension = vector->values.size();
    model->dense_.mean.resize(material.dimension, 0);
    for (std::size_t d = 0; d < material.dimension; ++d) model->dense_.mean[d] += vector->scale * static_cast<float>(vector->values[d]);
  }
  for (float& mean : model->dense_.mean) mean /= static_cast<float>(with_vector);
  const bool dense = with_vector > 0;
  std::vector<TermSpace::Entry> row;
  for (std::size_t i = 0; i < n; ++i) {
    parts.space->place(*given.terms[i], row);
    if (dense && given.vectors[i] != nullptr) model->dense_.place(*given.vectors[i], static_cast<std::uint32_t>(material.columns), row);
    material.rows.add(row);
  }
  const SparseRows& rows = material.rows;
  std::vector<float> weights = given.weights;
  weights.resize(n, 1);
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  SeededRandom random(options.seed);
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(random.below(i))]);

  // The calibration, and the penalty where there are several, from rows that trial fits have not seen.
  float penalty = options.penalties.front();
  internal::Calibration best = internal::Calibration::usual();
  if (options.calibrated_as != nullptr) {
    best.sharpness = options.calibrated_as->linear_.sharpness();
    best.mixed_sharpness = options.calibrated_as->sharpness_;
    best.trust = options.calibrated_as->trust_;
    model->report_ = options.calibrated_as->report_;
    model->report_.rows = n;
  } else if (n >= kFewestRows) {
    double least = std::numeric_limits<double>::infinity();
    for (const float candidate : options.penalties) {
      HeldBack held;
      for (std::size_t f = 0; f < std::min(options.folds_used, options.folds); ++f) {
        std::vector<std::uint32_t> fit_on, rest;
        for (std::size_t i = 0; i < n; ++i) (i % options.folds == f ? rest : fit_on).push_back(order[i]);
        if (rest.size() > kMostHeldBack) rest.resize(kMostHeldBack);
        const SoftmaxWeights w = fit_weights(material, given, weights, fit_on, candidate, options);
        NeighbourIndex index;
        DenseIndex dense_index;
        if (options.neighbours && dense) dense_index = dense_index_of(given, fit_on, material.dimension);
        if (options.neighbours && !dense) index = index_of(rows, given, fit_on, material.columns);
        NeighbourIndex::Scratch scratch;
        DenseIndex::Scratch dense_scratch;
        std::vector<NeighbourIndex::Vote> votes;
        for (const std::uint32_t i : rest) {
          float cosine = 0;
          held.begin_row(given.labels[i], weights[i], classes, w.stride);
          w.logits(rows[i], held.logits());
          if (!options.neighbours) continue;
          votes.clear();
          if (!dense) {
            index.vote(rows[i], scratch, votes, cosine);
          } else if (given.vectors[i] != nullptr) {
            dense_index.vote(*given.vectors[i], dense_scratch, votes, cosine);
          }
          held.set_votes(votes);
        }
      }
      const internal::Calibration calibration = held.calibrate(options.neighbours);
      const double loss = options.neighbours ? calibration.mixed_log_loss : calibration.log_loss;
      if (loss < least) {
        least = loss;
        best = calibration;
        penalty = candidate;
        model->report_ = {n, held.rows(), candidate, calibration.accuracy, loss, calibration.log_loss_before};
      }
    }
  }
  parts.sharpness = best.sharpness;
  model->sharpness_ = best.mixed_sharpness;
  model->trust_ = options.neighbours ? best.trust : 0;
  model->report_.penalty = penalty;
  const SoftmaxWeights w = fit_weights(material, given, weights, order, penalty, options);
  quantise(w, 0, material.columns, classes, parts.weights, parts.scales);
  quantise(w, material.columns, material.dimension, w.stride, model->dense_.weights, model->dense_.scales);
  parts.bias.assign(w.bias.begin(), w.bias.begin() + static_cast<std::ptrdiff_t>(classes));
  std::iota(order.begin(), order.end(), 0u);
  if (options.neighbours && dense) model->dense_neighbours_ = dense_index_of(given, order, material.dimension);
  if (options.neighbours && !dense) model->neighbours_ = NeighbourIndex::create(material.columns, rows.entries, rows.start, given.labels);
  model->linear_ = LinearModel(std::move(parts));
  return model;
}

void TextModel::Dense::place(const PackedVector& vector, std::uint32_t first, std::vector<TermSpace::Entry>& out) const {
  for (std::size_t d = 0; d < dimension; ++d) {
    out.push_back({first + static_cast<std::uint32_t>(d), kDenseLength * (vector.scale * static_cast<float>(vector.values[d]) - mean[d])});
  }
}

std::uint64_t TextModel::weights_hash() const {
  const std::uint64_t linear = linear_.hash();
  if (!has_vectors()) return linear;
  const auto bytes = [](const auto& v) { return std::string_view(reinterpret_cast<const char*>(v.data()), v.size() * sizeof(v[0])); };
  return hash64(bytes(dense_.weights), hash64(bytes(dense_.scales), hash64(bytes(dense_.mean), linear)));
}

Guess TextModel::guess(const Terms& terms, Scratch& scratch, Neighbours* neighbours, const PackedVector* vector) const {
  const bool dense = has_vectors() && vector != nullptr && vector->values.size() == dense_.dimension;
  const bool vote = (neighbours_.examples() > 0 || (dense && dense_neighbours_.examples() > 0)) && (trust_ > 0 || neighbours != nullptr);
  if (!vote && !dense) return linear_.guess(terms, scratch.linear);
  linear_.logits(terms, scratch.linear);
  if (dense && !labels().empty()) {
    scratch.dense_row.clear();
    dense_.place(*vector, 0, scratch.dense_row);
    internal::add_rows(scratch.dense_row, dense_.weights.data(), dense_.scales.data(), scratch.linear.logits.size(), scratch.linear.logits.data());
  }
  const auto alone = [&] {
    internal::softmax(scratch.linear.logits.data(), scratch.linear.logits.size(), linear_.sharpness());
    return ranked_guess(scratch.linear.logits, labels());
  };
  if (!vote) return alone();
  float cosine = 0;
  if (dense) {
    dense_neighbours_.vote(*vector, scratch.dense_neighbours, scratch.votes, cosine);
  } else {
    neighbours_.vote(scratch.linear.row, scratch.neighbours, scratch.votes, cosine);
  }
  if (neighbours != nullptr) {
    *neighbours = {};
    neighbours->cosine = cosine;
    if (!scratch.votes.empty()) neighbours->label = scratch.votes[0].label, neighbours->share = scratch.votes[0].share;
    if (scratch.votes.size() > 1) neighbours->second_share = scratch.votes[1].share;
    if (trust_ <= 0) return alone();
  }
  auto& z = scratch.linear.logits;
  const float none = trust_ * vote_logit(0);
  for (std::size_t c = 0; c < labels().size(); ++c) z[c] = sharpness_ * z[c] + none;
  for (const NeighbourIndex::Vote& v : scratch.votes) z[v.label] += trust_ * vote_logit(v.share) - none;
  internal::softmax(z.data(), z.size(), 1);
  return ranked_guess(z, labels());
}

Guess TextModel::guess(std::string_view text) const {
  thread_local TermExtractor extractor;
  thread_local Terms terms;
  thread_local Scratch scratch;
  extractor.extract(text, terms);
  return guess(terms, scratch);
}

}  // namespace understudy::specialists
