#include "specialists/internal/kernels.h"

#include <algorithm>
#include <atomic>
#include <bit>

namespace understudy::specialists::internal {

namespace {

using Entry = retrieval::TermSpace::Entry;

#define UNDERSTUDY_INLINE [[gnu::always_inline]] inline

UNDERSTUDY_INLINE void add_floats(std::span<const Entry> row, const float* weights, std::size_t stride, float* __restrict logits) {
  // Four rows of weights at a time, so that logits are read and written a quarter as often; the order of the sums stays.
  std::size_t i = 0;
  for (; i + 4 <= row.size(); i += 4) {
    const float* __restrict a = weights + row[i].column * stride;
    const float* __restrict b = weights + row[i + 1].column * stride;
    const float* __restrict c = weights + row[i + 2].column * stride;
    const float* __restrict d = weights + row[i + 3].column * stride;
    const float va = row[i].value, vb = row[i + 1].value, vc = row[i + 2].value, vd = row[i + 3].value;
    for (std::size_t k = 0; k < stride; ++k) logits[k] = (((logits[k] + va * a[k]) + vb * b[k]) + vc * c[k]) + vd * d[k];
  }
  for (; i < row.size(); ++i) {
    const float* __restrict w = weights + row[i].column * stride;
    for (std::size_t k = 0; k < stride; ++k) logits[k] += row[i].value * w[k];
  }
}

UNDERSTUDY_INLINE void add_int8(std::span<const Entry> row, const std::int8_t* weights, const float* scales, std::size_t stride, float* __restrict logits) {
  for (const Entry& e : row) {
    const std::int8_t* __restrict w = weights + e.column * stride;
    const float value = e.value * scales[e.column];
    for (std::size_t c = 0; c < stride; ++c) logits[c] += value * static_cast<float>(w[c]);
  }
}

UNDERSTUDY_INLINE void update(std::span<const Entry> row, const float* keep, const float* step, const float* __restrict gradient, std::size_t stride,
                              float* weights) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    float* __restrict w = weights + row[i].column * stride;
    const float k = keep[i], s = step[i];
    for (std::size_t c = 0; c < stride; ++c) w[c] = k * w[c] - s * gradient[c];
  }
}

/// e^x for x <= 0: 2^n times a polynomial of the fraction (Cephes' coefficients). 0 below -40, so that no gradient is denormal.
UNDERSTUDY_INLINE float exp_of_negative(float given) {
  const float x = given < -40.0f ? -40.0f : given;
  const float shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to the nearest whole number
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * r * r + r) + 1.0f;
  const auto bits = (static_cast<std::int32_t>(n) + 127) << 23;
  return given < -40.0f ? 0.0f : p * std::bit_cast<float>(bits);
}

UNDERSTUDY_INLINE void softmax_of(float* __restrict z, std::size_t stride, float scale) {
  float tops[8], sums[8] = {};
  for (std::size_t i = 0; i < 8; ++i) tops[i] = z[i];
  for (std::size_t c = 8; c < stride; c += 8) {
    for (std::size_t i = 0; i < 8; ++i) tops[i] = z[c + i] > tops[i] ? z[c + i] : tops[i];
  }
  const float top = *std::max_element(tops, tops + 8);
  for (std::size_t c = 0; c < stride; ++c) z[c] = exp_of_negative(scale * (z[c] - top));
  for (std::size_t c = 0; c < stride; c += 8) {
    for (std::size_t i = 0; i < 8; ++i) sums[i] += z[c + i];
  }
  const float sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  for (std::size_t c = 0; c < stride; ++c) z[c] /= sum;
}

struct Kernels {
  void (*add_floats)(std::span<const Entry>, const float*, std::size_t, float*);
  void (*add_int8)(std::span<const Entry>, const std::int8_t*, const float*, std::size_t, float*);
  void (*update)(std::span<const Entry>, const float*, const float*, const float*, std::size_t, float*);
  void (*softmax)(float*, std::size_t, float);
};

#define UNDERSTUDY_KERNELS(name, attribute)                                                                                                    \
  attribute void add_floats_##name(std::span<const Entry> r, const float* w, std::size_t n, float* z) { add_floats(r, w, n, z); }             \
  attribute void add_int8_##name(std::span<const Entry> r, const std::int8_t* w, const float* s, std::size_t n, float* z) {                   \
    add_int8(r, w, s, n, z);                                                                                                                   \
  }                                                                                                                                            \
  attribute void update_##name(std::span<const Entry> r, const float* k, const float* s, const float* g, std::size_t n, float* w) {           \
    update(r, k, s, g, n, w);                                                                                                                  \
  }                                                                                                                                            \
  attribute void softmax_##name(float* z, std::size_t n, float scale) { softmax_of(z, n, scale); }                                            \
  constexpr Kernels kernels_##name{add_floats_##name, add_int8_##name, update_##name, softmax_##name};

UNDERSTUDY_KERNELS(plain, )
#if defined(__x86_64__)
UNDERSTUDY_KERNELS(avx2, [[gnu::target("avx2")]])
#endif

const Kernels* choose(bool wanted) {
#if defined(__x86_64__)
  if (wanted && __builtin_cpu_supports("avx2")) return &kernels_avx2;
#endif
  static_cast<void>(wanted);
  return &kernels_plain;
}

std::atomic<const Kernels*>& chosen() {
  static std::atomic<const Kernels*> kernels = choose(true);
  return kernels;
}

const Kernels& kernels() { return *chosen().load(std::memory_order_relaxed); }

}  // namespace

void use_avx2(bool wanted) { chosen().store(choose(wanted)); }

void add_rows(std::span<const Entry> row, const float* weights, std::size_t stride, float* logits) { kernels().add_floats(row, weights, stride, logits); }
void add_rows(std::span<const Entry> row, const std::int8_t* weights, const float* scales, std::size_t stride, float* logits) {
  kernels().add_int8(row, weights, scales, stride, logits);
}
void update_rows(std::span<const Entry> row, const float* keep, const float* step, const float* gradient, std::size_t stride, float* weights) {
  kernels().update(row, keep, step, gradient, stride, weights);
}
void softmax(float* logits, std::size_t stride, float scale) { kernels().softmax(logits, stride, scale); }

}  // namespace understudy::specialists::internal
