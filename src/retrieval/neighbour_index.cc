#include "retrieval/neighbour_index.h"

#include <algorithm>
#include <cmath>

namespace understudy::retrieval {

NeighbourIndex NeighbourIndex::create(std::size_t columns, std::span<const TermSpace::Entry> entries, std::span<const std::size_t> start,
                                      std::span<const std::uint32_t> labels) {
  NeighbourIndex index;
  index.labels_.assign(labels.begin(), labels.end());
  index.start_.assign(columns + 1, 0);
  for (const auto& e : entries) ++index.start_[e.column + 1];
  for (std::size_t c = 0; c < columns; ++c) {
    if (index.start_[c + 1] > kMostPostings) index.start_[c + 1] = 0;
    index.start_[c + 1] += index.start_[c];
  }
  index.example_.resize(index.start_.back());
  index.weight_.resize(index.start_.back());
  std::vector<std::size_t> next(index.start_.begin(), index.start_.end() - 1);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    for (std::size_t j = start[i]; j < start[i + 1]; ++j) {
      const auto& e = entries[j];
      if (next[e.column] == index.start_[e.column + 1]) continue;  // a list that is not kept
      index.example_[next[e.column]] = static_cast<std::uint32_t>(i);
      index.weight_[next[e.column]++] = static_cast<std::uint16_t>(std::lround(std::clamp(e.value, 0.0f, 1.0f) * 65535));
    }
  }
  return index;
}

void NeighbourIndex::vote(std::span<const TermSpace::Entry> query, Scratch& scratch, std::vector<Vote>& votes, float& best) const {
  votes.clear();
  best = 0;
  if (labels_.empty()) return;
  if (scratch.cosine.size() < labels_.size()) scratch.cosine.resize(labels_.size(), 0);
  scratch.touched.clear();
  const auto length = [&](const TermSpace::Entry& e) { return start_[e.column + 1] - start_[e.column]; };
  std::size_t all = 0;
  for (const auto& e : query) all += length(e);
  if (all > kMostPostings) {
    scratch.rarest_first.assign(query.begin(), query.end());
    std::sort(scratch.rarest_first.begin(), scratch.rarest_first.end(), [&](const auto& a, const auto& b) {
      return length(a) != length(b) ? length(a) < length(b) : a.column < b.column;
    });
    query = scratch.rarest_first;
  }
  std::size_t read = 0;
  for (const auto& e : query) {
    read += length(e);
    if (read > kMostPostings) break;
    const float value = e.value / 65535;
    for (std::size_t p = start_[e.column]; p < start_[e.column + 1]; ++p) {
      float& cosine = scratch.cosine[example_[p]];
      if (cosine == 0) scratch.touched.push_back(example_[p]);
      cosine += value * static_cast<float>(weight_[p]);
    }
  }
  const std::size_t k = std::min(kNeighbours, scratch.touched.size());
  std::partial_sort(scratch.touched.begin(), scratch.touched.begin() + static_cast<std::ptrdiff_t>(k), scratch.touched.end(), [&](std::uint32_t a, std::uint32_t b) {
    return scratch.cosine[a] != scratch.cosine[b] ? scratch.cosine[a] > scratch.cosine[b] : a < b;
  });
  float sum = 0;
  for (std::size_t i = 0; i < k; ++i) {
    const std::uint32_t example = scratch.touched[i];
    if (i == 0) best = scratch.cosine[example];
    const float weight = std::exp(kSharpness * (scratch.cosine[example] - best));
    const auto at = std::find_if(votes.begin(), votes.end(), [&](const Vote& v) { return v.label == labels_[example]; });
    if (at == votes.end()) {
      votes.push_back({labels_[example], weight});
    } else {
      at->share += weight;
    }
    sum += weight;
  }
  for (const std::uint32_t example : scratch.touched) scratch.cosine[example] = 0;
  for (Vote& v : votes) v.share /= sum;
  std::sort(votes.begin(), votes.end(), [](const Vote& a, const Vote& b) { return a.share != b.share ? a.share > b.share : a.label < b.label; });
}

}  // namespace understudy::retrieval
