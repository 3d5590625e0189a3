#pragma once
/// How well two texts belong together, read by a cross-encoder: both texts in one input, so that each token sees those of the other text.
/// Such a model is an encoder's folder with a head, made by understudy-trainer (docs/guide/trainer.md).

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "base/error.h"
#include "neural/encoder.h"

namespace understudy::neural {

struct TextPair {
  std::string_view first, second;  ///< query and document, claim and evidence
};

/// Thread-safe. A pair's score depends on the pair alone, not on the others of its batch, up to 1e-5.
class PairScorer {
 public:
  virtual ~PairScorer() = default;
  virtual const EncoderIdentity& identity() const = 0;
  virtual std::size_t max_tokens() const = 0;  ///< of a pair; of what is over, the longer text's end is not read
  virtual const WordPiece& tokenizer() const = 0;

  /// @param scores  one a pair: raw, higher where the texts belong together; no probabilities, which a calibration makes of them
  /// Any number of pairs of any length, empty texts too. kInternal: the runtime failed.
  virtual Result<void> score(std::span<const TextPair> pairs, std::span<float> scores) const = 0;
};

/// As open_encoder; `folder` must be named. kInvalidRequest: the model has no head for pairs.
Result<std::unique_ptr<PairScorer>> open_pair_scorer(const EncoderOptions& options);

}  // namespace understudy::neural
