#include "cascade/answer_cache.h"

#include <array>

namespace understudy::cascade {
namespace {

bool same(const std::string& identity, const AnswerCache::Key& key) {
  return identity.size() == key.scope.size() + 1 + key.canonical.size() && identity.starts_with(key.scope) && identity.ends_with(key.canonical);
}

}  // namespace

AnswerCache::Key::Key(std::string_view s, std::string_view c) : scope(s), canonical(c), content(hash128(c)) {
  const std::array<std::uint64_t, 3> parts{content.high, content.low, hash64(scope)};
  hash = hash128({reinterpret_cast<const char*>(parts.data()), sizeof parts});
}

AnswerCache::AnswerCache(std::size_t max_bytes) : shard_limit_(max_bytes / kShards) {}

std::shared_ptr<const CachedAnswer> AnswerCache::find(const Key& key, MonoTime now, std::int64_t max_age_ms) {
  Shard& shard = shard_of(key.hash);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.index.find(key.hash);
  if (found == shard.index.end() || !same(found->second->identity, key)) return nullptr;
  Entry& entry = *found->second;
  if (now.ns - entry.stored.ns > max_age_ms * 1'000'000) {
    erase(shard, entry);
    return nullptr;
  }
  shard.recent.splice(shard.recent.begin(), shard.recent, shard.recent.iterator_to(entry));
  return found->second;
}

void AnswerCache::put(const Key& key, CachedAnswer answer) {
  auto entry = std::make_shared<Entry>(std::move(answer));
  entry->hash = key.hash;
  entry->identity.reserve(key.scope.size() + 1 + key.canonical.size());
  entry->identity.append(key.scope).push_back('\0');
  entry->identity.append(key.canonical);
  // Beside the texts: the entry, what the allocations cost, and its place in a table that is half full.
  entry->bytes = entry->identity.size() + entry->completion.size() + sizeof(Entry) + 100;
  if (entry->bytes > shard_limit_) return;

  Shard& shard = shard_of(key.hash);
  const std::lock_guard lock(shard.mutex);
  if (const auto old = shard.index.find(key.hash); old != shard.index.end()) erase(shard, *old->second);
  while (!shard.recent.empty() && shard.bytes + entry->bytes > shard_limit_) erase(shard, shard.recent.back());
  shard.bytes += entry->bytes;
  shard.recent.push_front(*entry);
  shard.index.emplace(key.hash, std::move(entry));
}

void AnswerCache::erase(Shard& shard, Entry& entry) {
  shard.bytes -= entry.bytes;
  shard.recent.erase(shard.recent.iterator_to(entry));
  shard.index.erase(Hash128(entry.hash));  // a copy: the entry may go with it
}

void AnswerCache::clear() {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    shard.recent.clear();
    shard.index.clear();
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
