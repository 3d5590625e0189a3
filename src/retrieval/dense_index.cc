#include "retrieval/dense_index.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace understudy::retrieval {
namespace {

using Dot = std::int32_t (*)(const std::int8_t*, const std::int8_t*, std::size_t);

// Whole numbers: the same result whatever the width.
std::int32_t dot_plain(const std::int8_t* a, const std::int8_t* b, std::size_t n) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}
#if defined(__x86_64__)
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
#endif

Dot choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return dot_avx2;
#endif
  return dot_plain;
}

}  // namespace

PackedVector pack_vector(std::span<const float> vector) {
  PackedVector packed;
  float most = 0;
  for (const float v : vector) most = std::max(most, std::abs(v));
  packed.scale = most / 127;
  packed.values.reserve(vector.size());
  const float inverse = most > 0 ? 127 / most : 0;
  for (const float v : vector) packed.values.push_back(static_cast<std::int8_t>(std::lround(v * inverse)));
  return packed;
}

void DenseIndex::add(const PackedVector& vector, std::uint32_t label) {
  UNDERSTUDY_ASSERT(vector.values.size() == dimension_);
  values_.insert(values_.end(), vector.values.begin(), vector.values.end());
  scales_.push_back(vector.scale);
  labels_.push_back(label);
}

void DenseIndex::vote(const PackedVector& query, Scratch& scratch, std::vector<Vote>& votes, float& best) const {
  static const Dot dot = choose();
  votes.clear();
  best = 0;
  if (labels_.empty() || query.values.size() != dimension_) return;
  scratch.clear();
  for (std::uint32_t i = 0; i < labels_.size(); ++i) {
    const auto whole = dot(values_.data() + i * dimension_, query.values.data(), dimension_);
    scratch.emplace_back(static_cast<float>(whole) * scales_[i] * query.scale, i);
  }
  const std::size_t k = std::min(scratch.size(), NeighbourIndex::kNeighbours);
  const auto nearer = [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; };
  std::partial_sort(scratch.begin(), scratch.begin() + static_cast<std::ptrdiff_t>(k), scratch.end(), nearer);
  best = scratch[0].first;
  float sum = 0;
  for (std::size_t i = 0; i < k; ++i) {
    const float weight = std::exp(NeighbourIndex::kSharpness * (scratch[i].first - best));
    const std::uint32_t label = labels_[scratch[i].second];
    sum += weight;
    const auto known = std::find_if(votes.begin(), votes.end(), [&](const Vote& v) { return v.label == label; });
    if (known != votes.end()) {
      known->share += weight;
    } else {
      votes.push_back({label, weight});
    }
  }
  for (Vote& v : votes) v.share /= sum;
  std::stable_sort(votes.begin(), votes.end(), [](const Vote& a, const Vote& b) { return a.share > b.share; });
}

}  // namespace understudy::retrieval
