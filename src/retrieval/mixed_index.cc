#include "retrieval/mixed_index.h"

#include <algorithm>
#include <cmath>

namespace understudy::retrieval {

std::shared_ptr<VectorIndex> MixedIndex::meaning() const {
  const std::lock_guard lock(mutex_);
  return meaning_;
}

std::size_t MixedIndex::vectors() const {
  const auto index = meaning();
  return index ? index->size() : 0;
}

void MixedIndex::add_vector(std::uint64_t id, const PackedVector& vector) {
  auto index = meaning();
  if (!index) {
    index = std::make_shared<VectorIndex>(vector.values.size());
    const std::lock_guard lock(mutex_);
    meaning_ = index;
  }
  index->add(id, vector);
}

bool MixedIndex::remove(std::uint64_t id) {
  if (const auto index = meaning()) index->remove(id);
  return words_.remove(id);
}

void MixedIndex::mix(std::span<float> by_words, std::span<const float> by_meaning) const {
  for (std::size_t i = 0; i < by_words.size(); ++i) {
    if (!std::isnan(by_meaning[i])) by_words[i] = (1 - meaning_weight_) * by_words[i] + meaning_weight_ * std::max(by_meaning[i], 0.0f);
  }
}

void MixedIndex::nearest(std::string_view text, const PackedVector& vector, std::size_t k, std::vector<Hit>& out) const {
  words_.nearest(text, k, out);
  const auto index = vector.empty() ? nullptr : meaning();
  if (!index) return;
  std::vector<Hit> near;
  index->nearest(vector, k, near);
  std::vector<std::uint64_t> ids;
  for (const Hit& hit : out) ids.push_back(hit.id);
  for (const Hit& hit : near) ids.push_back(hit.id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::vector<float> similarity, cosine;
  words_.cosines(text, ids, similarity);
  index->cosines(vector, ids, cosine);
  mix(similarity, cosine);
  out.clear();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (similarity[i] > 0) out.push_back({ids[i], similarity[i]});
  }
  std::sort(out.begin(), out.end(), [](const Hit& a, const Hit& b) { return a.similarity != b.similarity ? a.similarity > b.similarity : a.id < b.id; });
  if (out.size() > k) out.resize(k);
}

void MixedIndex::likeness(std::uint64_t to, std::span<const std::uint64_t> of, std::vector<float>& out) const {
  words_.likeness(to, of, out);
  const auto index = meaning();
  if (!index) return;
  std::vector<float> cosine;
  index->cosines(index->find(to), of, cosine);
  mix(out, cosine);
}

}  // namespace understudy::retrieval
