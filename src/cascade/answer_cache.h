#pragma once
/// The exact cache: canonical request -> answer, per tenant and policy scope, bounded by bytes and age.

#include <array>
#include <boost/intrusive/list.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

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

  /// Views: what they show must outlive the key.
  struct Key {
    Key() = default;
    Key(std::string_view scope, std::string_view canonical);
    std::string_view scope;       ///< tenant and cascade: answers never cross it
    std::string_view canonical;   ///< chat::append_canonical
    Hash128 content;              ///< of the canonical request alone
    Hash128 hash;                 ///< of both
  };

  /// nullptr where there is none, or only one older than `max_age_ms`.
  std::shared_ptr<const CachedAnswer> find(const Key& key, MonoTime now, std::int64_t max_age_ms);
  /// Takes the place of an older answer to the same request. An answer too large for its share of the bytes is not kept.
  void put(const Key& key, CachedAnswer answer);
  void clear();

  std::size_t bytes() const;
  std::size_t entries() const;

 private:
  /// The answer, its place in the order of use, and what tells it from others of the same hash: one allocation beside the texts.
  struct Entry : CachedAnswer, boost::intrusive::list_base_hook<> {
    explicit Entry(CachedAnswer answer) : CachedAnswer(std::move(answer)) {}
    Hash128 hash;
    std::string identity;   ///< scope, a zero byte, canonical
    std::size_t bytes = 0;
  };
  struct HashOfHash {
    using is_avalanching = void;
    std::size_t operator()(const Hash128& h) const { return h.low; }
  };
  struct Shard {
    ~Shard() { recent.clear(); }
    mutable std::mutex mutex;
    boost::unordered_flat_map<Hash128, std::shared_ptr<Entry>, HashOfHash> index;
    boost::intrusive::list<Entry> recent;   ///< most recent first
    std::size_t bytes = 0;
  };
  static constexpr std::size_t kShards = 16;

  Shard& shard_of(const Hash128& hash) { return shards_[hash.high % kShards]; }
  static void erase(Shard& shard, Entry& entry);

  std::array<Shard, kShards> shards_;
  std::size_t shard_limit_;
};

}  // namespace understudy::cascade
