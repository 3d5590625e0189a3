#include "cascade/answer_cache.h"

namespace understudy::cascade {
namespace {

bool same(const std::string& identity, const AnswerCache::Key& key) {
  return identity.size() == key.scope.size() + 1 + key.canonical.size() && identity.starts_with(key.scope) && identity.ends_with(key.canonical);
}

}  // namespace

Hash128 AnswerCache::Key::hash() const { return hash128(canonical, hash64(scope)); }

AnswerCache::AnswerCache(std::size_t max_bytes) : shards_(kShards), shard_limit_(max_bytes / kShards) {}

std::shared_ptr<const CachedAnswer> AnswerCache::find(const Key& key, MonoTime now, std::int64_t max_age_ms) {
  const Hash128 hash = key.hash();
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.index.find(hash);
  if (found == shard.index.end() || !same(found->second->identity, key)) return nullptr;
  if (now.ns - found->second->answer->stored.ns > max_age_ms * 1'000'000) {
    erase(shard, found->second);
    return nullptr;
  }
  shard.recent.splice(shard.recent.begin(), shard.recent, found->second);
  return found->second->answer;
}

void AnswerCache::put(const Key& key, std::shared_ptr<const CachedAnswer> answer) {
  const Hash128 hash = key.hash();
  Entry entry;
  entry.hash = hash;
  entry.identity.reserve(key.scope.size() + 1 + key.canonical.size());
  entry.identity.append(key.scope).push_back('\0');
  entry.identity.append(key.canonical);
  // The list node, the index node and two allocations cost about 200 bytes beside the texts.
  entry.bytes = entry.identity.size() + answer->completion.size() + answer->model.size() + sizeof(CachedAnswer) + 200;
  entry.answer = std::move(answer);
  if (entry.bytes > shard_limit_) return;

  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  if (const auto old = shard.index.find(hash); old != shard.index.end()) erase(shard, old->second);
  while (!shard.recent.empty() && shard.bytes + entry.bytes > shard_limit_) erase(shard, std::prev(shard.recent.end()));
  shard.bytes += entry.bytes;
  shard.recent.push_front(std::move(entry));
  shard.index.emplace(hash, shard.recent.begin());
}

void AnswerCache::erase(Shard& shard, std::list<Entry>::iterator entry) {
  shard.bytes -= entry->bytes;
  shard.index.erase(entry->hash);
  shard.recent.erase(entry);
}

void AnswerCache::clear() {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    shard.index.clear();
    shard.recent.clear();
    shard.bytes = 0;
  }
}

std::size_t AnswerCache::bytes() const {
  std::size_t sum = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum += shard.bytes;
  }
  return sum;
}

std::size_t AnswerCache::entries() const {
  std::size_t sum = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum += shard.recent.size();
  }
  return sum;
}

}  // namespace understudy::cascade
