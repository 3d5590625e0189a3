#pragma once
/// A query and a document as the vectors of their tokens (Khattab and Zaharia 2020): each token looks for its likest on the other side. The documents' side does not
/// depend on the query, so it is read once and kept.

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/error.h"
#include "base/hash.h"
#include "neural/encoder.h"
#include "specialists/score_cache.h"

namespace understudy::specialists {

/// A text's vectors, each of length 1: its own, and those of its tokens in 8 bits a number.
struct ReadText {
  std::vector<float> sentence;          ///< mean of the tokens', as TextEncoder::embed computes for encoders with that pooling
  std::size_t tokens = 0;               ///< without the marks at both ends
  std::vector<std::int8_t> numbers;     ///< tokens x dimension
  std::vector<float> scales;            ///< one a token: number * scale
  std::size_t bytes() const { return sizeof *this + sentence.size() * sizeof(float) + numbers.size() + scales.size() * sizeof(float); }
};
/// Of an encoder that gives no token vectors (kUnsupported): its sentence vector alone. Any text, also the empty one; what is over the encoder's limit is not read. kInternal: the runtime failed.
Result<ReadText> read_text(const neural::TextEncoder& encoder, std::string_view text);

/// Cosines, each 0 where a side has no token.
struct Likeness {
  float cosine = 0;   ///< of the two texts
  float query = 0;    ///< mean over the query's tokens of the likest in the document (MaxSim)
  float worst = 0;    ///< the least of those: what the document lacks
  float document = 0; ///< mean over the document's tokens of the likest in the query
};
Likeness likeness(const ReadText& query, const ReadText& document);

/// Of each of a text's tokens the cosine with the likest one in another. Empty where a side has no token.
std::vector<float> likest(const ReadText& text, const ReadText& other);

/// Texts that were read lately. Thread-safe: held for the look-up, not while a text is read.
class TextMemory {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{256} << 20;
  /// @param most_bytes  of vectors: those not asked for the longest go first
  explicit TextMemory(std::size_t most_bytes = kMostBytes) : most_bytes_(most_bytes) {}

  /// Reads it where it is not kept, for this encoder: none sees another's. kInternal: the runtime failed.
  Result<std::shared_ptr<const ReadText>> read(const neural::TextEncoder& encoder, std::string_view text);
  ScoreCacheCounts counts() const;

 private:
  struct KeyHash {
    using is_avalanching = void;
    std::size_t operator()(const Hash128& key) const { return key.high ^ key.low; }
  };
  using Kept = std::pair<Hash128, std::shared_ptr<const ReadText>>;
  const std::size_t most_bytes_;
  mutable std::mutex lock_;  ///< guards what follows
  std::list<Kept> kept_;     ///< the one asked for last first
  boost::unordered_flat_map<Hash128, std::list<Kept>::iterator, KeyHash> places_;
  std::size_t bytes_ = 0;
  std::uint64_t hits_ = 0, misses_ = 0;
};

/// @param memory  null: read anew
Result<std::shared_ptr<const ReadText>> read_text(const neural::TextEncoder& encoder, TextMemory* memory, std::string_view text);

}  // namespace understudy::specialists
