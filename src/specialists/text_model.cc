#include "specialists/text_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/assert.h"
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

/// One penalty's fit on some of the rows.
SoftmaxWeights fit_weights(const SparseRows& rows, const LabelledRows& given, std::span<const float> weights, std::span<const std::uint32_t> which,
                           std::size_t columns, float penalty, const FitOptions& options) {
  SoftmaxWeights w = SoftmaxWeights::zero(columns, given.names.size());
  internal::train(rows, given.labels, weights, which, {.seed = options.seed, .epochs = options.epochs, .l2 = penalty}, w);
  return w;
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

/// int8 rows: each column's greatest weight becomes 127.
void quantise(const SoftmaxWeights& w, LinearParts& parts) {
  const std::size_t columns = parts.space->columns();
  parts.weights.resize(columns * w.classes);
  parts.scales.resize(columns);
  for (std::size_t c = 0; c < columns; ++c) {
    const float* row = w.weights.data() + c * w.stride;
    float most = 0;
    for (std::size_t k = 0; k < w.classes; ++k) most = std::max(most, std::abs(row[k]));
    parts.scales[c] = most / 127;
    const float inverse = most > 0 ? 127 / most : 0;
    for (std::size_t k = 0; k < w.classes; ++k) parts.weights[c * w.classes + k] = static_cast<std::int8_t>(std::lround(row[k] * inverse));
  }
  parts.bias.assign(w.bias.begin(), w.bias.begin() + static_cast<std::ptrdiff_t>(w.classes));
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
  const std::size_t columns = parts.space->columns();
  SparseRows rows;
  std::vector<TermSpace::Entry> row;
  for (const Terms* terms : given.terms) {
    parts.space->place(*terms, row);
    rows.add(row);
  }
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
        const SoftmaxWeights w = fit_weights(rows, given, weights, fit_on, columns, candidate, options);
        NeighbourIndex index;
        if (options.neighbours) index = index_of(rows, given, fit_on, columns);
        NeighbourIndex::Scratch scratch;
        std::vector<NeighbourIndex::Vote> votes;
        for (const std::uint32_t i : rest) {
          float cosine = 0;
          held.begin_row(given.labels[i], weights[i], classes, w.stride);
          w.logits(rows[i], held.logits());
          if (!options.neighbours) continue;
          index.vote(rows[i], scratch, votes, cosine);
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
  quantise(fit_weights(rows, given, weights, order, columns, penalty, options), parts);
  if (options.neighbours) model->neighbours_ = NeighbourIndex::create(columns, rows.entries, rows.start, given.labels);
  model->linear_ = LinearModel(std::move(parts));
  return model;
}

Guess TextModel::guess(const Terms& terms, Scratch& scratch, Neighbours* neighbours) const {
  const bool vote = neighbours_.examples() > 0 && (trust_ > 0 || neighbours != nullptr);
  if (!vote) return linear_.guess(terms, scratch.linear);
  linear_.logits(terms, scratch.linear);
  float cosine = 0;
  neighbours_.vote(scratch.linear.row, scratch.neighbours, scratch.votes, cosine);
  if (neighbours != nullptr) {
    *neighbours = {};
    neighbours->cosine = cosine;
    if (!scratch.votes.empty()) neighbours->label = scratch.votes[0].label, neighbours->share = scratch.votes[0].share;
    if (scratch.votes.size() > 1) neighbours->second_share = scratch.votes[1].share;
    if (trust_ <= 0) return linear_.guess(terms, scratch.linear);
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
