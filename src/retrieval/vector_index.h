#pragma once
/// Finds the vectors of meaning that are nearest to one: what sparse_index.h is for words.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <vector>

#include "retrieval/dense_index.h"
#include "retrieval/text_index.h"

namespace understudy::retrieval {

struct VectorIndexOptions {
  std::size_t scanned = 4'096;     ///< up to so many vectors a search compares every one
  std::size_t reads = 4'608;       ///< that a search compares beyond that, at least; more is slower and misses less
  std::size_t list_length = 256;   ///< vectors in a list, on average
};

/// Similarity: the cosine, of vectors in 8 bits a number, so within .01.
///
/// Few vectors are compared one by one. Many stand in lists, each around a centre that spherical k-means has found (an inverted file:
/// Sivic and Zisserman 2003, Jegou et al. 2011), and a search reads the lists of the centres nearest to the query.
///
/// Threads: as SparseIndex. Any number search while others add and remove, which hold the lock alone for microseconds; the centres are
/// found anew in the thread whose `add` doubles the index, beside searches. Memory: dimension + 30 bytes a vector.
class VectorIndex {
 public:
  using Hit = TextIndex::Hit;

  explicit VectorIndex(std::size_t dimension, VectorIndexOptions options = {});
  ~VectorIndex();

  /// Adds a vector of `dimension` numbers under an id of the caller's, or replaces the one that had it.
  void add(std::uint64_t id, const PackedVector& vector);
  bool remove(std::uint64_t id);   ///< false where the id is not known

  /// The `k` nearest, the nearest first, the smaller id first among equals. Empty for a vector of another dimension. Replaces `out`.
  void nearest(const PackedVector& query, std::size_t k, std::vector<Hit>& out) const;
  /// The same by comparing every vector: what `nearest` is measured against.
  void scan(const PackedVector& query, std::size_t k, std::vector<Hit>& out) const;

  /// Cosines of `to` with vectors in the index: one number each, in their order, NaN where an id is not known. Replaces `out`.
  void cosines(const PackedVector& to, std::span<const std::uint64_t> of, std::vector<float>& out) const;
  /// A vector that is in it; empty where the id is not known.
  PackedVector find(std::uint64_t id) const;
  std::size_t size() const;

 private:
  struct Core;
  void search(const PackedVector& query, std::size_t k, std::size_t reads, std::vector<Hit>& out) const;
  std::unique_ptr<Core> clustered() const;

  const std::size_t dimension_;
  const VectorIndexOptions options_;
  std::mutex writing_;                 ///< one writer at a time; taken before `lock_`
  mutable std::shared_mutex lock_;     ///< guards what `core_` holds
  std::unique_ptr<Core> core_;         ///< never null
};

}  // namespace understudy::retrieval
