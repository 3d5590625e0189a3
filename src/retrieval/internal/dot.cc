#include "retrieval/internal/dot.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace understudy::retrieval::internal {

std::int32_t dot_plain(const std::int8_t* a, const std::int8_t* b, std::size_t n) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

#if defined(__x86_64__)
namespace {

[[gnu::target("avx2")]] std::int32_t dot_avx2(const std::int8_t* a, const std::int8_t* b, std::size_t n) {
  __m256i sums = _mm256_setzero_si256();
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a + i)));
    const __m256i y = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b + i)));
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(x, y));
  }
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  std::int32_t sum = _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

Dot dot_kernel() { return __builtin_cpu_supports("avx2") ? dot_avx2 : dot_plain; }
#else
Dot dot_kernel() { return dot_plain; }
#endif

}  // namespace understudy::retrieval::internal
