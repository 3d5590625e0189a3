#pragma once
/// What the tests of specialists that read two texts share.

#include <array>
#include <cstdlib>
#include <span>

#include "neural/pair_scorer.h"

namespace understudy::specialists::testing {

inline constexpr std::array kThings = {"lantern", "harbour", "violin", "glacier", "compass", "orchard", "furnace", "saddle", "anchor", "meadow"};

/// A cross-encoder that knows what the words do not say, which pairs belong together; or one that knows nothing.
class FakeScorer : public neural::PairScorer {
 public:
  FakeScorer(bool knows, bool (*belong)(const neural::TextPair&)) : knows_(knows), belong_(belong) { identity_.weights_sha256 = knows ? "knows" : "guesses"; }
  const neural::EncoderIdentity& identity() const override { return identity_; }
  std::size_t max_tokens() const override { return 96; }
  const neural::WordPiece& tokenizer() const override { std::abort(); }
  Result<void> score(std::span<const neural::TextPair> pairs, std::span<float> scores) const override {
    for (std::size_t i = 0; i < pairs.size(); ++i) scores[i] = knows_ ? (belong_(pairs[i]) ? 3.0f : -3.0f) : 1.0f;
    return {};
  }

 private:
  bool knows_;
  bool (*belong_)(const neural::TextPair&);
  neural::EncoderIdentity identity_;
};

}  // namespace understudy::specialists::testing
