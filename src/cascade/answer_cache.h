#pragma once
/// The exact cache: canonical request -> answer, per tenant and policy scope, bounded by bytes and age.

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "chat/stage.h"
#include "chat/usage.h"

namespace understudy::cascade {

/// An answer as it may be served again. Immutable.
struct CachedAnswer {
  std::string completion;             ///< plain `chat.completion` JSON
  Stage stage = Stage::kTeacher;      ///< who gave it first
  std::string model;                  ///< configured name of that model
  std::optional<double> confidence;
  std::optional<Usage> usage;
  MonoTime stored;
};

/// Thread-safe; sharded, so that reactors rarely meet. A hit compares the whole canonical request, not only its hash.
/// Least recently used entries go first when the bytes are full.
class AnswerCache {
 public:
  explicit AnswerCache(std::size_t max_bytes);

  struct Key {
    std::string_view scope;       ///< tenant and cascade: answers never cross it
    std::string_view canonical;   ///< chat::append_canonical
    Hash128 hash() const;
  };

  /// nullptr where there is none, or only one older than `max_age_ms`.
  std::shared_ptr<const CachedAnswer> find(const Key& key, MonoTime now, std::int64_t max_age_ms);
  void put(const Key& key, std::shared_ptr<const CachedAnswer> answer);
  void clear();

  std::size_t bytes() const;
  std::size_t entries() const;

 private:
  struct Entry {
    Hash128 hash;
    std::string identity;   ///< scope, a zero byte, canonical
    std::shared_ptr<const CachedAnswer> answer;
    std::size_t bytes;
  };
  struct HashOfHash {
    std::size_t operator()(const Hash128& h) const { return h.low; }
  };
  struct Shard {
    mutable std::mutex mutex;
    std::list<Entry> recent;   ///< most recent first
    std::unordered_map<Hash128, std::list<Entry>::iterator, HashOfHash> index;
    std::size_t bytes = 0;
  };
  static constexpr std::size_t kShards = 16;

  Shard& shard_of(const Hash128& hash) { return shards_[hash.high % kShards]; }
  void erase(Shard& shard, std::list<Entry>::iterator entry);

  std::vector<Shard> shards_;
  std::size_t shard_limit_;
};

}  // namespace understudy::cascade
