#include "specialists/score_cache.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace understudy::specialists {

ScoreCache::ScoreCache(std::size_t max_bytes) : shard_limit_(max_bytes / kShards) {}

Hash128 ScoreCache::key_of(std::string_view scope, std::string_view first, std::string_view second) {
  const std::array<std::uint64_t, 2> sizes{scope.size(), first.size()};   // where one text ends and the next begins
  std::string whole(sizeof sizes, '\0');
  whole.reserve(sizeof sizes + scope.size() + first.size() + second.size());
  std::memcpy(whole.data(), sizes.data(), sizeof sizes);
  for (const std::string_view part : {scope, first, second}) whole += part;
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(whole.data()), whole.size(), digest.data());
  Hash128 key;
  std::memcpy(&key.high, digest.data(), sizeof key.high);
  std::memcpy(&key.low, digest.data() + sizeof key.high, sizeof key.low);
  return key;
}

/// A node of the list, a place in the table, two allocations.
std::size_t ScoreCache::cost(std::size_t values) { return values * sizeof(float) + sizeof(Entry) + 2 * sizeof(void*) + 2 * sizeof(Hash128) + 32; }

bool ScoreCache::find(const Hash128& key, std::span<float> values) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.places.find(key);
  if (found == shard.places.end() || found->second->size != values.size()) {
    ++shard.misses;
    return false;
  }
  ++shard.hits;
  shard.recent.splice(shard.recent.begin(), shard.recent, found->second);
  std::copy_n(found->second->values.get(), values.size(), values.begin());
  return true;
}

void ScoreCache::put(const Hash128& key, std::span<const float> values) {
  const std::size_t bytes = cost(values.size());
  if (bytes > shard_limit_) return;
  Entry entry{key, std::make_unique<float[]>(values.size()), values.size()};
  std::copy(values.begin(), values.end(), entry.values.get());
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  if (shard.places.contains(key)) return;   // another thread computed the same
  while (shard.bytes + bytes > shard_limit_) {
    const Entry& last = shard.recent.back();
    shard.bytes -= cost(last.size);
    shard.places.erase(last.key);
    shard.recent.pop_back();
  }
  shard.recent.push_front(std::move(entry));
  shard.places.emplace(key, shard.recent.begin());
  shard.bytes += bytes;
}

ScoreCacheCounts ScoreCache::counts() const {
  ScoreCacheCounts out;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    out.hits += shard.hits;
    out.misses += shard.misses;
    out.bytes += shard.bytes;
    out.entries += shard.recent.size();
  }
  return out;
}

}  // namespace understudy::specialists
