#pragma once
/// Distinct ids in at most 16 bytes each, shared by all workers.

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace understudy::audit {

__extension__ using Uint128 = unsigned __int128;

/// A set of 64-bit hashes with 8 bits beside each. 256 shards by the hash's top byte; a slot keeps the other 56 bits of the
/// hash and the 8 bits, so nothing of the hash is lost. Open addressing, filled to 88 %, grown by 1.6: 9.1 to 14.6 bytes
/// an id. Two ids that collide in 64 bits count as one: for n ids the chance of any is about n^2 / 2^65 (1e-7 for a million).
class IdSet {
 public:
  using Merge = std::uint8_t (*)(std::uint8_t old, std::uint8_t add);

  /// How the 8 bits of an id already there and those of its next insertion are combined; thread-safe like insert.
  explicit IdSet(Merge merge) : merge_(merge) {}

  /// Adds the id, or merges its bits. Returns true where it is new. Thread-safe; one lock a shard.
  bool insert(std::uint64_t hash, std::uint8_t bits) {
    Shard& shard = shards_[hash >> 56];
    const std::lock_guard lock(shard.mutex);
    return shard.insert(hash, bits, merge_);
  }
  /// All of one shard (equal top bytes), under one lock. `words` are hash << 8 | bits.
  void insert_batch(std::uint8_t shard, const std::uint64_t* words, std::size_t n);

  /// Bits of an id, or -1 where it is not there.
  int find(std::uint64_t hash) const;

  std::uint64_t size() const;
  std::uint64_t bytes() const;
  void for_each_bits(const std::function<void(std::uint8_t)>& visit) const;

 private:
  struct Shard {
    mutable std::mutex mutex;
    std::vector<std::uint64_t> slots;  ///< key << 8 | bits; key 0 is kept out by mapping it to 1
    std::uint64_t used = 0;

    static std::uint64_t key(std::uint64_t hash) {
      const std::uint64_t k = hash & 0x00ff'ffff'ffff'ffff;
      return k == 0 ? 1 : k;
    }
    std::size_t home(std::uint64_t k) const {
      return static_cast<std::size_t>((static_cast<Uint128>(k << 8) * slots.size()) >> 64);
    }
    bool insert(std::uint64_t hash, std::uint8_t bits, Merge merge);
    void grow();
  };

  Merge merge_;
  std::array<Shard, 256> shards_;
};

/// Collects insertions of one worker by shard, so that each shard's table is touched in bursts that stay in cache.
class IdBatch {
 public:
  explicit IdBatch(IdSet& set) : set_(set), counts_{} {}
  ~IdBatch() { flush(); }
  IdBatch(const IdBatch&) = delete;
  IdBatch& operator=(const IdBatch&) = delete;

  void insert(std::uint64_t hash, std::uint8_t bits) {
    const std::size_t shard = hash >> 56;
    auto& count = counts_[shard];
    words_[shard][count++] = hash << 8 | bits;
    if (count == kDepth) flush_shard(shard);
  }
  void flush();

 private:
  static constexpr std::size_t kDepth = 48;
  void flush_shard(std::size_t shard);

  IdSet& set_;
  std::array<std::uint8_t, 256> counts_;
  std::array<std::array<std::uint64_t, kDepth>, 256> words_;
};

}  // namespace understudy::audit
