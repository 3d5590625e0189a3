#pragma once
/// What makes one score of the token vectors of two texts (docs/formats/trainer-job.md).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "neural/wordpiece.h"

namespace understudy::neural {

enum class PairHeadKind : std::uint8_t { kHybrid, kInteraction };
std::string_view pair_head_name(PairHeadKind kind);  ///< "hybrid", "interaction"
std::optional<PairHeadKind> parse_pair_head(std::string_view name);

inline constexpr std::size_t kMostPairWidth = 4096;

/// With u and v the means of the first and of the second text's token vectors, all of one encoding of both, [CLS] and the [SEP] behind a text counting
/// as its tokens, and c the vector of [CLS]:
///   hybrid:      z = weight . mean(all tokens) + bias + cosine * cos(u, v): near from the start, so few labels do
///   interaction: z = weight . tanh([c, u, v, |u - v|, u v] inner + inner_bias) + bias: what the texts say differently counts
struct PairHead {
  static constexpr const char *kWeight = "pair_head.weight", *kBias = "pair_head.bias", *kCosine = "pair_head.cosine", *kInner = "pair_head.inner",
                              *kInnerBias = "pair_head.inner_bias";  ///< tensors

  PairHeadKind kind = PairHeadKind::kHybrid;
  std::span<const float> weight;             ///< hybrid: hidden; interaction: width
  float bias = 0, cosine = 0;                ///< cosine: hybrid
  std::span<const float> inner, inner_bias;  ///< interaction: [5 hidden, width] row by row, [width]
};

/// @param tokens   of a pair, encode_pair's
/// @param vectors  of the tokens, as many as there are ids
float pair_score(const PairHead& head, const Tokens& tokens, std::span<const float> vectors);

}  // namespace understudy::neural
