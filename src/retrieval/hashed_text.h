#pragma once
/// Texts as sparse vectors without a dictionary: words, word pairs and character 3- to 5-grams, hashed into a table of fixed size
/// (Weinberger et al. 2009), weighted by sublinear frequency times rarity.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace understudy::retrieval {

/// Words and pairs hash into the lower half of the buckets, character n-grams into the upper half.
constexpr std::uint32_t kBucketsPerBlock = 1u << 18;
constexpr std::uint32_t kBuckets = 2 * kBucketsPerBlock;
/// What lies behind this many bytes of a text is not read, so that one text cannot cost more than about two milliseconds.
constexpr std::size_t kReadBytes = 64 * 1024;

struct TermCount {
  std::uint32_t bucket = 0;
  std::uint32_t count = 0;
  friend bool operator==(const TermCount&, const TermCount&) = default;
};
/// Each bucket of a text once, in the order in which the text reaches them.
using Terms = std::vector<TermCount>;

/// Sorted by bucket: the same text always gives the same sums, also from its packed form.
void sort_terms(Terms& terms);
/// Sorted terms in about three bytes each. unpack_terms replaces `out`; false for bytes that pack_terms does not write.
std::string pack_terms(const Terms& sorted);
bool unpack_terms(std::string_view bytes, Terms& out);

/// Cuts texts into terms. Letters are lower-cased by Unicode's simple mapping; a word is a run of letters, marks and digits, and an
/// apostrophe inside it is dropped ("don't" is "dont"); everything else separates. The first two words and the last one count once
/// more by their place. Character n-grams stay inside a word and see its two ends; those that begin with a character of East Asian
/// scripts, which write no spaces, start at one character. A byte that is not UTF-8 counts as a letter of its own, so texts in old
/// encodings are still told apart.
///
/// Not thread-safe: owns scratch memory, so that a text costs no allocation once the buffers have grown. About 2 us for 60 bytes.
class TermExtractor {
 public:
  TermExtractor();
  /// Replaces `out`. The empty text has no terms.
  void extract(std::string_view text, Terms& out);

 private:
  void normalise(std::string_view text);
  void count(std::uint64_t hash, std::uint32_t block, Terms& out);
  void grow();

  std::vector<std::uint32_t> letters_;  // code points; words stand between separators (0)
  struct Slot {
    std::uint32_t bucket = 0, place = 0, round = 0;
  };
  std::vector<Slot> slots_;  // open addressing; a slot of an older round is free
  std::uint32_t round_ = 0;
  std::size_t used_ = 0;
};

/// How many texts hold each bucket. Grows by counting; 2 MB.
class TermFrequencies {
 public:
  TermFrequencies() : texts_with_(kBuckets, 0) {}
  void count(const Terms& terms) {
    for (const TermCount& t : terms) ++texts_with_[t.bucket];
    ++texts_;
  }
  std::uint32_t texts() const { return texts_; }
  std::uint32_t texts_with(std::uint32_t bucket) const { return texts_with_[bucket]; }

 private:
  std::vector<std::uint32_t> texts_with_;
  std::uint32_t texts_ = 0;
};

/// The coordinates of a fit: which buckets have a column, and the weight of each. Immutable, thread-safe.
class TermSpace {
 public:
  struct Entry {
    std::uint32_t column = 0;
    float value = 0;
  };
  static constexpr std::uint32_t kNoColumn = ~0u;

  /// Columns for the buckets that occur in `examples`, the frequent ones first, at most `max_columns` of them.
  /// @param frequencies   rarity is log((1 + texts) / (1 + texts with it)) + 1
  /// @param words_share   share of words and pairs in the squared length of a vector, [0, 1]; each block has unit length before
  static std::shared_ptr<const TermSpace> create(std::span<const Terms* const> examples, const TermFrequencies& frequencies,
                                                 float words_share, std::size_t max_columns = kBuckets);
  /// From stored parts; the caller has checked that buckets ascend strictly below kBuckets and rarities are finite and positive.
  static std::shared_ptr<const TermSpace> restore(std::vector<std::uint32_t> buckets, std::vector<float> rarity, float unseen_rarity,
                                                  float words_share);

  /// The vector of a text: (1 + log count) * rarity, unit length over both blocks; terms without a column count for the length
  /// only. Replaces `out`.
  void place(const Terms& terms, std::vector<Entry>& out) const;

  std::size_t columns() const { return buckets_.size(); }
  std::uint32_t bucket(std::size_t column) const { return buckets_[column]; }
  std::uint32_t column(std::uint32_t bucket) const { return column_[bucket]; }
  float rarity(std::size_t column) const { return rarity_[column]; }
  float unseen_rarity() const { return unseen_rarity_; }
  float words_share() const { return words_share_; }

 private:
  TermSpace() = default;
  void index();

  std::vector<std::uint32_t> column_;   // by bucket
  std::vector<std::uint32_t> buckets_;  // by column
  std::vector<float> rarity_;           // by column
  float unseen_rarity_ = 1, words_share_ = 0.5f;
};

}  // namespace understudy::retrieval
