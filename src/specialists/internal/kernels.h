#pragma once
/// The inner loops of the softmax regression. Every sum runs in one order, without fused multiply-add, so that they give the same bits
/// on every processor; on those with AVX2 eight classes advance at a time.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "retrieval/hashed_text.h"

namespace understudy::specialists::internal {

/// Classes in memory: a multiple of 16; the logits of those beyond the last class must be kNever.
inline std::size_t padded(std::size_t classes) { return (classes + 15) / 16 * 16; }
constexpr float kNever = -1e30f;

/// For tests: whether AVX2 is used where the processor has it (the default). Not while other threads compute.
void use_avx2(bool wanted);

/// logits[0..stride) += sum over the row of value * weights[column * stride ...].
void add_rows(std::span<const retrieval::TermSpace::Entry> row, const float* weights, std::size_t stride, float* logits);
/// The same with int8 weights and one scale a column.
void add_rows(std::span<const retrieval::TermSpace::Entry> row, const std::int8_t* weights, const float* scales, std::size_t stride, float* logits);
/// weights[column * stride ...] = keep * weights[...] - step * gradient, keep and step by entry of the row.
void update_rows(std::span<const retrieval::TermSpace::Entry> row, const float* keep, const float* step, const float* gradient, std::size_t stride, float* weights);
inline float sigmoid(float logit) { return 1 / (1 + std::exp(-logit)); }
/// Logits become probabilities of `scale * logit`; the relative error of the exponential is below 3e-7.
void softmax(float* logits, std::size_t stride, float scale);

}  // namespace understudy::specialists::internal
