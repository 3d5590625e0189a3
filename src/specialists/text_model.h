#pragma once
/// Fits text classifiers: the linear model, its calibration on rows it was not fitted on, and the neighbours' vote beside it.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "retrieval/dense_index.h"
#include "retrieval/hashed_text.h"
#include "specialists/linear_model.h"
#include "retrieval/neighbour_index.h"

namespace understudy::specialists {

using retrieval::DenseIndex;
using retrieval::NeighbourIndex;
using retrieval::PackedVector;

class TextModel;

struct FitOptions {
  std::uint64_t seed = 1;
  int epochs = 6;
  /// Penalties on squared weights. Several: the one with the least log loss on held-back rows.
  std::vector<float> penalties{0.1f};
  /// One row of so many is held back from a trial fit, on which the calibration is then measured; the fit itself has all rows.
  std::size_t folds = 5;
  /// How many of the folds are held back in turn: 1 is quick, `folds` is cross-validation.
  std::size_t folds_used = 1;
  /// Takes that fit's calibration instead of measuring one: for fits on parts of the same rows whose probabilities are to be comparable.
  const TextModel* calibrated_as = nullptr;
  bool neighbours = false;    ///< also ask the nearest examples
  float words_share = 0.5f;   ///< of words and pairs in the squared length of a vector, against character n-grams
  /// Bounds memory: at most this many floats (256 MB) while fitting and as many int8 after; the rarest terms go.
  std::size_t most_weights = std::size_t{1} << 26;
};

/// Training rows; the vectors are parallel.
struct LabelledRows {
  std::vector<const Terms*> terms;
  std::vector<std::uint32_t> labels;  ///< indices into names
  std::vector<float> weights;         ///< how much each row counts, >= 0; empty: all 1
  std::vector<std::string> names;
  /// Vectors of meaning, all of one encoder; empty: there are none. A row without one has a null.
  std::vector<const PackedVector*> vectors;
};

/// What the held-back rows said. Everything is NaN or 0 where there were too few rows to hold any back.
struct FitReport {
  std::size_t rows = 0, held_back = 0;
  float penalty = 0;
  double accuracy = 0;         ///< on held-back rows, of fits on the rest
  double log_loss = 0;         ///< after calibration, in nats
  double log_loss_before = 0;  ///< of the plain softmax
};

/// A frozen fit: the linear model and, where asked for, the neighbours. Immutable, thread-safe.
///
/// With neighbours the logits are sharpness * linear + trust * log(share of the votes + 0.02): on held-back rows of three intent sets
/// this product had a lower log loss than either alone, and the average of both probabilities a higher one.
///
/// With vectors the linear model reads their numbers beside the terms (less their mean, twice as long as the block of terms), and the
/// neighbours are the nearest by vector.
class TextModel {
 public:
  struct Scratch {
    LinearScratch linear;
    NeighbourIndex::Scratch neighbours;
    DenseIndex::Scratch dense_neighbours;
    std::vector<TermSpace::Entry> dense_row;
    std::vector<NeighbourIndex::Vote> votes;
  };

  TextModel() = default;  ///< has learnt nothing
  /// `rows` need not live on. Deterministic for rows, frequencies and options; a fold's held-back rows beyond 4,096 are not looked at. Rows of weight 0 and labels without rows are allowed.
  /// O(epochs * terms of all rows * labels): 4,000 short texts and 77 labels take about 0.3 s of one core, calibration included.
  static std::shared_ptr<const TextModel> fit(const LabelledRows& rows, const TermFrequencies& frequencies, const FitOptions& options);

  /// What the nearest examples alone say.
  struct Neighbours {
    std::uint32_t label = 0;            ///< with most of the votes; meant where share > 0
    float share = 0, second_share = 0;  ///< of the votes
    float cosine = 0;                   ///< of the nearest
  };

  Guess guess(std::string_view text) const;
  /// @param neighbours  where given, and the fit has any, receives their vote
  /// @param vector  of the same encoder as those of the fit; null: the guess is made without, worse and not calibrated
  Guess guess(const Terms& terms, Scratch& scratch, Neighbours* neighbours = nullptr, const PackedVector* vector = nullptr) const;
  bool has_vectors() const { return dense_.dimension > 0; }
  /// Hash of all weights: equal for equal fits.
  std::uint64_t weights_hash() const;

  const LinearModel& linear() const { return linear_; }
  std::span<const std::string> labels() const { return linear_.labels(); }
  const FitReport& report() const { return report_; }

 private:
  /// The linear model's columns for the numbers of a vector.
  struct Dense {
    std::size_t dimension = 0;
    std::vector<float> mean, scales;      // by number
    std::vector<std::int8_t> weights;     // dimension x padded labels
    /// Appends (number - mean) * length as columns `first` and on.
    void place(const PackedVector& vector, std::uint32_t first, std::vector<TermSpace::Entry>& out) const;
  };
  LinearModel linear_;
  Dense dense_;
  NeighbourIndex neighbours_;
  DenseIndex dense_neighbours_;
  float sharpness_ = 1, trust_ = 0;  // with neighbours
  FitReport report_;
};

/// ln(share + floor): what the vote adds to a label's logit, up to `trust`.
float vote_logit(float share);

}  // namespace understudy::specialists
