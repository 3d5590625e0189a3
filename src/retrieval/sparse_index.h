#pragma once
/// A TextIndex over hashed terms (hashed_text.h): an inverted index that is searched under a bound on the work, however many texts
/// there are, and whose best candidates are then compared exactly.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "retrieval/hashed_text.h"
#include "retrieval/text_index.h"

namespace understudy::retrieval {

struct SparseIndexOptions {
  /// Entries of the rarest terms' lists that may bring a text in, and of the next ones that only add to texts already in. More
  /// is slower and misses less; README.md has the figures.
  std::size_t entries_in = 3 << 12;
  std::size_t entries_more = 3 << 15;
  std::size_t candidates = 384;      ///< that are compared exactly at most; at least four a hit that is wanted
  /// A term that more texts than this have is in nobody's list: it only counts in the exact comparison.
  std::size_t longest_list = 1 << 15;
};

/// Similarity: the cosine of term vectors, (1 + log count) * rarity; words and pairs weigh kWordWeight times a character n-gram.
/// Rarity is that of the texts that were there when the index was last rebuilt, which happens as it grows by half.
///
/// Threads: any number search while others add and remove. A search holds a shared lock while it runs; `add` and `remove` hold it
/// alone for microseconds, to append to lists that were made before. Rebuilding (a second at 100,000 texts, in the thread whose
/// `add` is the one too many, other writers wait) holds it for the swap of one pointer. Scratch memory is one per thread.
/// Memory: about 1 KB a text of 60 characters. Ids of texts are unique; at most 2^31 texts.
class SparseIndex final : public TextIndex {
 public:
  static constexpr float kWordWeight = 1.5f;

  explicit SparseIndex(SparseIndexOptions options = {});
  ~SparseIndex() override;

  void add(std::uint64_t id, std::string_view text) override;
  /// Many at once: one rebuild. Ids must be new and differ.
  void add_all(std::span<const std::pair<std::uint64_t, std::string_view>> texts);
  bool remove(std::uint64_t id) override;
  void nearest(std::string_view text, std::size_t k, std::vector<Hit>& out) const override;
  void likeness(std::uint64_t to, std::span<const std::uint64_t> of, std::vector<float>& out) const override;
  std::size_t size() const override;

  /// `nearest` without cutting the text into terms.
  void nearest(const Terms& terms, std::size_t k, std::vector<Hit>& out) const;
  /// How like the texts `of` are to a text that need not be in it: one number each, in their order, 0 where an id is not known. Replaces `out`.
  void cosines(std::string_view text, std::span<const std::uint64_t> of, std::vector<float>& out) const;
  /// `nearest` by comparing every text: what it is measured against.
  void scan(const Terms& terms, std::size_t k, std::vector<Hit>& out) const;

 private:
  struct Core;
  struct Scratch;
  static Scratch& scratch();
  struct Room {
    std::size_t texts = 0, terms = 0;   ///< that are about to come
  };
  std::unique_ptr<Core> rebuilt(Room room) const;
  void read(std::string_view text);
  void swap_in(std::unique_ptr<Core> core);

  const SparseIndexOptions options_;
  std::mutex writing_;                 ///< one writer at a time; taken before `lock_`
  TermExtractor extractor_;            ///< the writer's
  Terms terms_;                        ///< the same
  std::vector<std::uint32_t> packed_;  ///< the same
  mutable std::shared_mutex lock_;     ///< guards what `core_` holds
  std::unique_ptr<Core> core_;         ///< never null
};

}  // namespace understudy::retrieval
