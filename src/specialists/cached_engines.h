#pragma once
/// The engines of one request to a reranker or judge: those of this machine behind the cache, in pieces, until somebody says stop.

#include <memory>
#include <stop_token>
#include <string>

#include "neural/encoder.h"
#include "neural/pair_scorer.h"
#include "specialists/pair_specialist.h"
#include "specialists/registry.h"
#include "specialists/score_cache.h"
#include "specialists/score_pool.h"

namespace understudy::specialists {

/// Vectors from the cache, the others computed a few at a time and put there. kCancelled once `stop` is asked for.
class CachedEncoder final : public neural::TextEncoder {
 public:
  /// @param cache  null: none. It and `encoder` must outlive this.
  CachedEncoder(const neural::TextEncoder& encoder, ScoreCache* cache, std::stop_token stop);

  const neural::EncoderIdentity& identity() const override { return encoder_.identity(); }
  std::size_t dimension() const override { return encoder_.dimension(); }
  std::size_t max_tokens() const override { return encoder_.max_tokens(); }
  const neural::WordPiece& tokenizer() const override { return encoder_.tokenizer(); }
  Result<void> embed(std::span<const std::string_view> texts, std::span<float> vectors) const override;
  Result<std::vector<float>> token_vectors(const neural::Tokens& tokens) const override;   ///< kept by the TextMemory before it, not here

 private:
  const neural::TextEncoder& encoder_;
  ScoreCache* cache_;
  std::stop_token stop_;
  std::string scope_;
};

/// The same of scores of pairs.
class CachedPairScorer final : public neural::PairScorer {
 public:
  /// @param version  of the specialist that asks: none sees another version's scores
  CachedPairScorer(const neural::PairScorer& scorer, std::string_view version, ScoreCache* cache, std::stop_token stop);

  const neural::EncoderIdentity& identity() const override { return scorer_.identity(); }
  std::size_t max_tokens() const override { return scorer_.max_tokens(); }
  const neural::WordPiece& tokenizer() const override { return scorer_.tokenizer(); }
  Result<void> score(std::span<const neural::TextPair> pairs, std::span<float> scores) const override;

 private:
  const neural::PairScorer& scorer_;
  ScoreCache* cache_;
  std::stop_token stop_;
  std::string scope_;
};

/// Of one thread at a time.
class CachedEngines {
 public:
  /// What the specialist does not read, or was not calibrated for here, is left out. All that is given must outlive this.
  CachedEngines(const NamedSpecialist& specialist, ScorePool& pool, std::stop_token stop);
  /// @param encoder  null: none runs here
  /// @param memory  of texts read token by token; null: none are kept
  CachedEngines(const NamedSpecialist& specialist, const neural::TextEncoder* encoder, ScoreCache* cache, std::stop_token stop, TextMemory* memory = nullptr);

  PairEngines all() const { return {encoder_.get(), cross_encoder_.get(), encoder_ ? memory_ : nullptr}; }
  /// Neither: answers take microseconds a text.
  bool none() const { return !encoder_ && !cross_encoder_; }

 private:
  std::unique_ptr<CachedEncoder> encoder_;
  std::unique_ptr<CachedPairScorer> cross_encoder_;
  TextMemory* memory_;
};

}  // namespace understudy::specialists
