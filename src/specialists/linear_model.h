#pragma once
/// Softmax regression over hashed terms with int8 weights and calibrated probabilities: the floor of every closed-answer task, and the
/// student that learns online. docs/formats/linear-model.md has the bytes of a file.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "retrieval/hashed_text.h"

namespace understudy::specialists {

using retrieval::TermExtractor;
using retrieval::TermFrequencies;
using retrieval::Terms;
using retrieval::TermSpace;

/// What a model says about a text.
struct Guess {
  static constexpr std::size_t kTop = 5;
  struct Ranked {
    std::uint32_t label = 0;  ///< index into labels()
    float probability = 0;
  };
  std::string_view label;  ///< the likeliest; lives as long as the model. Empty where nothing has been learnt
  float probability = 0;   ///< of it, calibrated on rows that the weights were not fitted on
  float margin = 0;        ///< to the second; equals probability where there is one label only
  std::array<Ranked, kTop> top{};
  std::size_t ranked = 0;  ///< how many of top are set: min(5, labels)
};

/// Memory of a thread that guesses; grows once.
struct LinearScratch {
  std::vector<TermSpace::Entry> row;
  std::vector<float> logits;
};

/// The parts of a LinearModel. weights: one row of labels.size() a column; a weight is scale[column] * int8.
struct LinearParts {
  std::shared_ptr<const TermSpace> space;
  std::vector<std::string> labels;
  std::vector<std::int8_t> weights;
  std::vector<float> scales;
  std::vector<float> bias;
  float sharpness = 1;  ///< probabilities are softmax(sharpness * logits): the inverse of a temperature
};

/// Frozen, immutable, thread-safe. A guess about 60 characters takes about 10 us, of which 2 cut the text.
class LinearModel {
 public:
  /// On how many labels a model may be fitted, and how many bytes one may have.
  static constexpr std::size_t kMostLabels = 1 << 14, kLongestLabel = 1 << 16;

  LinearModel() = default;  ///< has learnt nothing
  explicit LinearModel(LinearParts parts);

  Guess guess(std::string_view text) const;
  Guess guess(const Terms& terms, LinearScratch& scratch) const;
  /// scratch.row becomes the text's vector, scratch.logits the logits: labels().size() of them, then padding.
  void logits(const Terms& terms, LinearScratch& scratch) const;

  std::span<const std::string> labels() const { return parts_.labels; }
  const TermSpace* space() const { return parts_.space.get(); }
  float sharpness() const { return parts_.sharpness; }
  std::size_t bytes() const { return parts_.weights.size() + parts_.scales.size() * 4; }

  /// Of everything that a guess depends on: equal for models that answer alike.
  std::uint64_t hash() const;

  /// The bytes of a file.
  std::string save() const;
  /// kCorrupt where bytes are missing, spare or changed; kUnsupported where a newer version wrote them.
  static Result<LinearModel> load(std::string_view bytes);

 private:
  LinearParts parts_;
  std::size_t stride_ = 0;
};

/// Probabilities (labels.size() used, then padding that is 0) as a Guess.
Guess ranked_guess(std::span<const float> probabilities, std::span<const std::string> labels);

}  // namespace understudy::specialists
