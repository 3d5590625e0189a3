#pragma once
/// Texts that are like a text by its words and, where vectors of meaning are there, by what it means.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "retrieval/sparse_index.h"
#include "retrieval/vector_index.h"

namespace understudy::retrieval {

/// A SparseIndex that may have a vector beside each text. With one on both sides the similarity of two texts is
/// (1 - kMeaning) * their cosine by words + kMeaning * that of their vectors (0 where it is below), else the cosine by words alone.
///
/// A search takes the nearest by words and the nearest by vectors, and compares what either brought by both. Thread-safe as its two
/// indices are. All vectors come from one encoder: whoever fills it sees to that.
class MixedIndex {
 public:
  using Hit = TextIndex::Hit;
  static constexpr float kMeaning = 0.75f;   ///< bench/learning/README.md compares others

  /// @param meaning  in place of kMeaning, 0..1
  explicit MixedIndex(float meaning = kMeaning) : meaning_weight_(meaning) {}

  void add(std::uint64_t id, std::string_view text) { words_.add(id, text); }
  void add_all(std::span<const std::pair<std::uint64_t, std::string_view>> texts) { words_.add_all(texts); }
  /// The vector of a text that was added. All have the length of the first one.
  void add_vector(std::uint64_t id, const PackedVector& vector);
  bool remove(std::uint64_t id);

  /// The `k` most similar, as TextIndex::nearest gives them. @param vector  of `text`; empty: by words alone
  void nearest(std::string_view text, const PackedVector& vector, std::size_t k, std::vector<Hit>& out) const;
  /// How like the texts `of` are to the one under id `to`: one number each, in their order, 0 where an id is not known. Replaces `out`.
  void likeness(std::uint64_t to, std::span<const std::uint64_t> of, std::vector<float>& out) const;

  std::size_t size() const { return words_.size(); }
  std::size_t vectors() const;

 private:
  std::shared_ptr<VectorIndex> meaning() const;
  void mix(std::span<float> by_words, std::span<const float> by_meaning) const;

  const float meaning_weight_;
  SparseIndex words_;
  mutable std::mutex mutex_;
  std::shared_ptr<VectorIndex> meaning_;   ///< guarded; null before the first vector
};

}  // namespace understudy::retrieval
