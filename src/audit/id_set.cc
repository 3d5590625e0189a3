#include "audit/id_set.h"

#include <algorithm>

namespace understudy::audit {

bool IdSet::Shard::insert(std::uint64_t hash, std::uint8_t bits, Merge merge) {
  if (used * 100 >= slots.size() * 88) grow();
  const std::uint64_t k = key(hash);
  for (std::size_t i = home(k);;) {
    const std::uint64_t slot = slots[i];
    if (slot == 0) {
      slots[i] = k << 8 | bits;
      ++used;
      return true;
    }
    if (slot >> 8 == k) {
      slots[i] = k << 8 | merge(static_cast<std::uint8_t>(slot), bits);
      return false;
    }
    if (++i == slots.size()) i = 0;
  }
}

void IdSet::Shard::grow() {
  std::vector<std::uint64_t> old(std::max<std::size_t>(16, slots.size() * 8 / 5));
  old.swap(slots);
  for (const std::uint64_t slot : old) {
    if (slot == 0) continue;
    std::size_t i = home(slot >> 8);
    while (slots[i] != 0) {
      if (++i == slots.size()) i = 0;
    }
    slots[i] = slot;
  }
}

void IdSet::insert_batch(std::uint8_t shard_index, const std::uint64_t* words, std::size_t n) {
  Shard& shard = shards_[shard_index];
  const std::lock_guard lock(shard.mutex);
  for (std::size_t i = 0; i < n; ++i) shard.insert(words[i] >> 8, static_cast<std::uint8_t>(words[i]), merge_);
}

int IdSet::find(std::uint64_t hash) const {
  const Shard& shard = shards_[hash >> 56];
  const std::lock_guard lock(shard.mutex);
  if (shard.slots.empty()) return -1;
  const std::uint64_t k = Shard::key(hash);
  for (std::size_t i = shard.home(k); shard.slots[i] != 0;) {
    if (shard.slots[i] >> 8 == k) return static_cast<std::uint8_t>(shard.slots[i]);
    if (++i == shard.slots.size()) i = 0;
  }
  return -1;
}

std::uint64_t IdSet::size() const {
  std::uint64_t total = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    total += shard.used;
  }
  return total;
}

std::uint64_t IdSet::bytes() const {
  std::uint64_t total = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    total += shard.slots.size() * sizeof(std::uint64_t);
  }
  return total;
}

void IdSet::for_each_bits(const std::function<void(std::uint8_t)>& visit) const {
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const std::uint64_t slot : shard.slots) {
      if (slot != 0) visit(static_cast<std::uint8_t>(slot));
    }
  }
}

void IdBatch::flush_shard(std::size_t shard) {
  set_.insert_batch(static_cast<std::uint8_t>(shard), words_[shard].data(), counts_[shard]);
  counts_[shard] = 0;
}

void IdBatch::flush() {
  for (std::size_t shard = 0; shard < counts_.size(); ++shard) {
    if (counts_[shard] > 0) flush_shard(shard);
  }
}

}  // namespace understudy::audit
