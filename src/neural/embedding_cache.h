#pragma once
/// Vectors that were computed before, in a file: fitting twice on the same texts embeds them once. One file an encoder identity, so that
/// what another encoder computed is never taken. docs/formats/embedding-cache.md has the bytes.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/error.h"
#include "base/hash.h"
#include "neural/encoder.h"

namespace understudy::neural {

/// Not thread-safe. Several processes may use one file: each sees what was there when it opened it, and appends under a lock.
class EmbeddingCache {
 public:
  static constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;

  /// Makes folder and file where there are none. What a crash left half written at the end is cut off; a file that is none of ours, or
  /// broken in its middle from there on, is started anew. kIo. A file that has reached `most_bytes` is read and no longer added to.
  static Result<EmbeddingCache> open(const std::filesystem::path& folder, const EncoderIdentity& identity, std::size_t dimension,
                                     std::uint64_t most_bytes = kMostBytes);
  EmbeddingCache(EmbeddingCache&& other) noexcept;
  EmbeddingCache& operator=(EmbeddingCache&&) = delete;
  ~EmbeddingCache();

  std::size_t size() const { return places_.size(); }
  /// Copies the text's vector out; false: not there, or no longer readable.
  bool find(std::string_view text, std::span<float> vector) const;
  /// Appends texts and their vectors (texts x dimension) in one write. Texts that are there already are left out. kIo.
  Result<void> add(std::span<const std::string_view> texts, std::span<const float> vectors);

 private:
  struct KeyHash {
    using is_avalanching = void;
    std::size_t operator()(const Hash128& key) const { return key.high ^ key.low; }
  };
  EmbeddingCache() = default;
  Result<void> read(std::uint64_t size);
  std::size_t record_bytes() const { return sizeof(Hash128) + dimension_ * sizeof(float) + sizeof(std::uint32_t); }

  int fd_ = -1;
  std::string path_;
  std::string header_;
  std::size_t dimension_ = 0;
  std::uint64_t most_bytes_ = 0;
  boost::unordered_flat_map<Hash128, std::uint64_t, KeyHash> places_;  // of the vectors in the file
};

}  // namespace understudy::neural
