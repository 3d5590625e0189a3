#pragma once
/// What was computed of a text or of a pair of texts alone: the vector of a text, the score that a cross-encoder gives a pair. Whatever also
/// depends on the other documents of a list is no part of it, so a hit cannot change an answer.

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/hash.h"

namespace understudy::specialists {

/// Since the start, but for `bytes` and `entries`.
struct ScoreCacheCounts {
  std::uint64_t hits = 0, misses = 0;
  std::size_t bytes = 0, entries = 0;
};

/// Thread-safe; sharded, so that threads rarely meet. Least recently used entries go first when the bytes are full.
class ScoreCache {
 public:
  /// @param max_bytes  of values and what they cost to keep; 0: nothing is kept
  explicit ScoreCache(std::size_t max_bytes);

  /// SHA-256 of all three, cut to 128 bits: who chooses texts cannot make one pair answer for another.
  /// @param scope  names what computes, weights, precision and machine: no scope sees another's values. "" as `second`: a single text
  static Hash128 key_of(std::string_view scope, std::string_view first, std::string_view second);

  /// Copies the values out; false: not there.
  bool find(const Hash128& key, std::span<float> values);
  void put(const Hash128& key, std::span<const float> values);
  ScoreCacheCounts counts() const;

 private:
  struct Entry {
    Hash128 key;
    std::unique_ptr<float[]> values;
    std::size_t size = 0;
  };
  struct HashOfKey {
    using is_avalanching = void;
    std::size_t operator()(const Hash128& key) const { return key.low; }
  };
  struct Shard {
    mutable std::mutex mutex;
    std::list<Entry> recent;   ///< most recent first
    boost::unordered_flat_map<Hash128, std::list<Entry>::iterator, HashOfKey> places;
    std::size_t bytes = 0;
    std::uint64_t hits = 0, misses = 0;
  };
  static constexpr std::size_t kShards = 16;

  Shard& shard_of(const Hash128& key) { return shards_[key.high % kShards]; }
  static std::size_t cost(std::size_t values);

  std::array<Shard, kShards> shards_;
  std::size_t shard_limit_;
};

}  // namespace understudy::specialists
