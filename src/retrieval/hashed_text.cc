#include "retrieval/hashed_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace understudy::retrieval {

namespace {

constexpr std::uint32_t kSeparator = 0;
constexpr std::uint32_t kSkip = 1;  // an apostrophe: neither a letter nor an end of a word
constexpr std::uint32_t kNotUtf8 = 0x110000;
constexpr std::size_t kShortest = 3, kLongest = 5;
constexpr std::size_t kMarked = 2;                 // so many first words count once more by their place
constexpr std::uint64_t kPlace = 11, kEnd = 13;  // never the hash of a word but by chance

constexpr std::array<std::uint8_t, 128> kAscii = [] {
  std::array<std::uint8_t, 128> table{};
  for (std::uint32_t c = 0; c < 128; ++c) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    table[c] = static_cast<std::uint8_t>(upper ? c + 32 : plain ? c : c == '\'' ? kSkip : kSeparator);
  }
  return table;
}();

std::uint32_t fold(std::int32_t c) {
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT: return static_cast<std::uint32_t>(utf8proc_tolower(c));
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return static_cast<std::uint32_t>(c);
    default: return c == 0x2019 ? kSkip : kSeparator;
  }
}

/// Scripts written without spaces: kana, Han, Hangul, Thai to Khmer.
bool writes_no_spaces(std::uint32_t c) {
  return c < kNotUtf8 && ((c >= 0x0e00 && c <= 0x0eff) || (c >= 0x1000 && c <= 0x109f) || (c >= 0x1780 && c <= 0x17ff) || (c >= 0x2e80 && c <= 0xd7ff) ||
                          (c >= 0xf900 && c <= 0xfaff) || (c >= 0xff66 && c <= 0xff9f) || (c >= 0x20000 && c <= 0x3ffff));
}

std::uint64_t mix(std::uint64_t h, std::uint64_t value) {
  h = (h ^ value) * 0x9e3779b97f4a7c15ull;
  return h ^ (h >> 29);
}

}  // namespace

TermExtractor::TermExtractor() : slots_(1024) {}

void TermExtractor::normalise(std::string_view text) {
  letters_.clear();
  letters_.push_back(kSeparator);
  const auto* p = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto* const end = p + std::min(text.size(), kReadBytes);
  while (p != end) {
    std::uint32_t letter;
    if (*p < 128) {
      letter = kAscii[*p++];
    } else {
      utf8proc_int32_t c = 0;
      const auto n = utf8proc_iterate(p, end - p, &c);
      letter = n > 0 ? fold(c) : kNotUtf8 + *p;
      p += n > 0 ? n : 1;
    }
    if (letter == kSkip || (letter == kSeparator && letters_.back() == kSeparator)) continue;
    letters_.push_back(letter);
  }
  if (letters_.back() != kSeparator) letters_.push_back(kSeparator);
}

void TermExtractor::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  const std::size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.round != round_) continue;
    std::size_t at = (slot.bucket * 0x9e3779b1u) & mask;
    while (slots_[at].round == round_) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

void TermExtractor::count(std::uint64_t hash, std::uint32_t block, Terms& out) {
  const auto bucket = static_cast<std::uint32_t>((hash * 0xd6e8feb86659fd93ull) >> 46) + block * kBucketsPerBlock;
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = (bucket * 0x9e3779b1u) & mask;
  for (; slots_[at].round == round_; at = (at + 1) & mask) {
    if (slots_[at].bucket == bucket) {
      ++out[slots_[at].place].count;
      return;
    }
  }
  slots_[at] = {bucket, static_cast<std::uint32_t>(out.size()), round_};
  out.push_back({bucket, 1});
  if (out.size() * 2 > slots_.size()) grow();
}

void TermExtractor::extract(std::string_view text, Terms& out) {
  out.clear();
  if (++round_ == 0) {
    std::fill(slots_.begin(), slots_.end(), Slot{});
    round_ = 1;
  }
  normalise(text);
  std::uint64_t previous = 0;
  std::size_t words = 0;
  for (std::size_t start = 1; start < letters_.size();) {
    std::size_t end = start;
    std::uint64_t word = 1;  // seeds 1 and 2 keep a word and an n-gram of the same letters apart
    for (; letters_[end] != kSeparator; ++end) word = mix(word, letters_[end]);
    if (end == start) break;
    count(word, 0, out);
    if (words > 0) count(mix(previous, word), 0, out);
    if (words < kMarked) count(mix(kPlace + words, word), 0, out);
    previous = word;
    ++words;
    // " word ": n-grams see where it begins and ends.
    for (std::size_t from = start - 1; from < end; ++from) {
      const std::size_t shortest = writes_no_spaces(letters_[from]) ? 1 : kShortest;
      std::uint64_t gram = 2;
      for (std::size_t n = 1; n <= kLongest && from + n <= end + 1; ++n) {
        gram = mix(gram, letters_[from + n - 1]);
        if (n >= shortest) count(gram, 1, out);
      }
    }
    start = end + 1;
  }
  if (words > 0) count(mix(kEnd, previous), 0, out);
}

// ---------------------------------------------------------------------------------------------------- space

std::shared_ptr<const TermSpace> TermSpace::create(std::span<const Terms* const> examples, const TermFrequencies& frequencies, float words_share,
                                                   std::size_t max_columns) {
  std::vector<std::uint32_t> examples_with(kBuckets, 0);
  for (const Terms* terms : examples) {
    for (const TermCount& t : *terms) ++examples_with[t.bucket];
  }
  std::shared_ptr<TermSpace> space(new TermSpace);
  for (std::uint32_t b = 0; b < kBuckets; ++b) {
    if (examples_with[b] > 0) space->buckets_.push_back(b);
  }
  // Frequent first: their weights then share cache lines, and a bound on the columns drops the rarest.
  std::stable_sort(space->buckets_.begin(), space->buckets_.end(), [&](std::uint32_t a, std::uint32_t b) { return examples_with[a] > examples_with[b]; });
  if (space->buckets_.size() > max_columns) space->buckets_.resize(max_columns);
  const auto rarity = [&](std::uint32_t texts_with) {
    return std::log((1 + static_cast<float>(frequencies.texts())) / (1 + static_cast<float>(std::min(texts_with, frequencies.texts())))) + 1;
  };
  for (const std::uint32_t b : space->buckets_) space->rarity_.push_back(rarity(frequencies.texts_with(b)));
  space->unseen_rarity_ = rarity(1);
  space->words_share_ = words_share;
  space->index();
  return space;
}

std::shared_ptr<const TermSpace> TermSpace::restore(std::vector<std::uint32_t> buckets, std::vector<float> rarity, float unseen_rarity, float words_share) {
  std::shared_ptr<TermSpace> space(new TermSpace);
  space->buckets_ = std::move(buckets);
  space->rarity_ = std::move(rarity);
  space->unseen_rarity_ = unseen_rarity;
  space->words_share_ = words_share;
  space->index();
  return space;
}

void TermSpace::index() {
  column_.assign(kBuckets, kNoColumn);
  for (std::size_t c = 0; c < buckets_.size(); ++c) column_[buckets_[c]] = static_cast<std::uint32_t>(c);
}

void TermSpace::place(const Terms& terms, std::vector<Entry>& out) const {
  out.clear();
  float squares[2] = {0, 0};
  for (const TermCount& t : terms) {
    const std::uint32_t column = column_[t.bucket];
    const float tf = t.count == 1 ? 1 : 1 + std::log(static_cast<float>(t.count));
    const float value = tf * (column == kNoColumn ? unseen_rarity_ : rarity_[column]);
    squares[t.bucket >= kBucketsPerBlock] += value * value;
    if (column != kNoColumn) out.push_back({column, value});
  }
  const float share[2] = {words_share_, 1 - words_share_};
  float scale[2];
  for (int b = 0; b < 2; ++b) scale[b] = squares[b] > 0 ? std::sqrt(share[b] / squares[b]) : 0;
  for (Entry& e : out) e.value *= scale[buckets_[e.column] >= kBucketsPerBlock];
}

}  // namespace understudy::retrieval
