#include "retrieval/dense_index.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "retrieval/internal/dot.h"

namespace understudy::retrieval {
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
  static const internal::Dot dot = internal::dot_kernel();
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
