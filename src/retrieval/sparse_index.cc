#include "retrieval/sparse_index.h"

#include <algorithm>
#include <array>
#include <bit>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cmath>
#include <limits>

namespace understudy::retrieval {

namespace {

// A term of a text in one word: buckets have 19 bits, and who says a word 63 times has said it often enough.
static_assert(kBuckets == 1u << 19);
constexpr std::uint32_t kCountShift = 19, kMostCount = 63, kBucketMask = kBuckets - 1;

std::uint32_t packed(const TermCount& t) { return t.bucket | std::min(t.count, kMostCount) << kCountShift; }

/// 1 + log(count); [0] is not used.
const std::array<float, kMostCount + 1> kFrequency = [] {
  std::array<float, kMostCount + 1> table{};
  for (std::uint32_t count = 1; count <= kMostCount; ++count) table[count] = count == 1 ? 1 : 1 + std::log(static_cast<float>(count));
  return table;
}();
float frequency(std::uint32_t count) { return kFrequency[std::min(count, kMostCount)]; }
float block_weight(std::uint32_t bucket) { return bucket < kBucketsPerBlock ? SparseIndex::kWordWeight : 1; }

/// A text that says a term again is in the term's list again, so that lists need no weights: 1 + log(count), rounded up, at most 3.
std::uint32_t entries_for(std::uint32_t count) { return count < 2 ? 1 : count < 3 ? 2 : 3; }

/// Partial sums are 16-bit numbers: what all of a query's terms can add up to, three times, with each list's part rounded up.
constexpr float kFullSum = 20'000;
constexpr std::size_t kMostLists = 1'800;
static_assert(3 * (static_cast<std::size_t>(kFullSum) + kMostLists) < 1u << 16);
/// Of a longer query the rest is not looked at: some 20 KB of text.
constexpr std::size_t kMostQueryTerms = 1 << 15;

/// Equal similarities in order of ids, whatever order the texts came in.
bool better(const TextIndex::Hit& a, const TextIndex::Hit& b) { return a.similarity != b.similarity ? a.similarity > b.similarity : a.id < b.id; }

void keep_best(std::vector<TextIndex::Hit>& hits, std::size_t k) {
  const auto end = hits.begin() + static_cast<std::ptrdiff_t>(std::min(k, hits.size()));
  std::partial_sort(hits.begin(), end, hits.end(), better);
  hits.erase(end, hits.end());
}

}  // namespace

struct SparseIndex::Core {
  struct List {
    float rarity = 0;                    ///< with the block's weight
    std::uint32_t entries = 0;           ///< more than `places` holds where the list is too long to be kept
    std::vector<std::uint32_t> places;
  };
  struct Text {
    std::uint64_t id = 0;
    std::uint32_t begin = 0, terms = 0;  ///< in `all_terms`; a removed text has none
  };

  std::vector<Text> texts;               ///< by place
  std::vector<std::uint32_t> all_terms;  ///< packed, text after text: a candidate costs few pages
  std::vector<float> inverse_length;     ///< by place; 0 for removed texts and those without terms
  boost::unordered_flat_map<std::uint32_t, List> lists;      ///< by bucket
  boost::unordered_flat_map<std::uint64_t, std::uint32_t> place_of;   ///< by id
  std::size_t full_at = 0;               ///< texts, removed ones too, up to which nothing has to move
  std::size_t lists_full_at = 0, terms_full_at = 0;
  float unseen_rarity = 1;
  std::size_t longest_list = 0;

  float rarity_of(std::uint32_t bucket) const {
    const auto list = lists.find(bucket);
    return list != lists.end() ? list->second.rarity : unseen_rarity * block_weight(bucket);
  }
  float inverse_length_of(std::span<const std::uint32_t> terms) const {
    float squares = 0;
    for (const std::uint32_t t : terms) {
      const float value = frequency(t >> kCountShift) * rarity_of(t & kBucketMask);
      squares += value * value;
    }
    return squares > 0 ? 1 / std::sqrt(squares) : 0;
  }
  bool full(std::size_t terms_to_come) const {
    return texts.size() >= full_at || lists.size() + terms_to_come > lists_full_at || all_terms.size() + terms_to_come > terms_full_at;
  }
  std::span<const std::uint32_t> terms_of(const Text& text) const { return std::span(all_terms).subspan(text.begin, text.terms); }

  void append(std::uint64_t id, std::span<const std::uint32_t> terms, float inverse) {
    const auto place = static_cast<std::uint32_t>(texts.size());
    for (const std::uint32_t t : terms) {
      const std::uint32_t bucket = t & kBucketMask;
      auto [at, is_new] = lists.try_emplace(bucket);
      List& list = at->second;
      if (is_new) list.rarity = unseen_rarity * block_weight(bucket);
      const std::uint32_t entries = entries_for(t >> kCountShift);
      if ((list.entries += entries) <= longest_list) {
        list.places.insert(list.places.end(), entries, place);
      } else if (!list.places.empty()) {
        list.places = {};
      }
    }
    place_of[id] = place;
    inverse_length.push_back(inverse);
    texts.push_back({id, static_cast<std::uint32_t>(all_terms.size()), static_cast<std::uint32_t>(terms.size())});
    all_terms.insert(all_terms.end(), terms.begin(), terms.end());
  }

  bool remove(std::uint64_t id) {
    const auto at = place_of.find(id);
    if (at == place_of.end()) return false;
    inverse_length[at->second] = 0;   // its places stay in the lists until the next rebuild
    texts[at->second].terms = 0;
    place_of.erase(at);
    return true;
  }
};

struct SparseIndex::Scratch {
  TermExtractor extractor;
  Terms terms;
  std::vector<std::uint16_t> sum;             ///< by place; all zero between searches
  std::vector<std::uint32_t> touched;
  std::vector<std::uint32_t> bins;
  std::vector<std::uint16_t> bin_of;          ///< parallel to `touched`
  struct QueryTerm {
    const Core::List* list = nullptr;
    float weight = 0;
  };
  std::vector<QueryTerm> query;
  std::vector<std::uint32_t> candidates;      ///< places


  // The query's weights by bucket, to which every term of a candidate is compared. Up to kMostApart terms a hash is sought under
  // which no two of them meet: then a term's slot tells at once, without a branch that depends on the candidate.
  static constexpr std::size_t kMostApart = 360;
  std::vector<std::uint16_t> slots;           ///< number of a term of the query; 0: none
  std::vector<std::uint32_t> bucket_of;       ///< by number
  std::vector<float> weight_of;               ///< the same; [0] is 0
  std::uint32_t factor = 0, shift = 0;
  bool apart = false;

  void begin_query() {
    bucket_of.assign(1, kBuckets);
    weight_of.assign(1, 0);
  }
  void put(std::uint32_t bucket, float weight) {
    if (bucket_of.size() > kMostQueryTerms) return;
    bucket_of.push_back(bucket);
    weight_of.push_back(weight);
  }
  void end_query() {
    const std::size_t n = bucket_of.size();
    std::uint32_t bits = 12;
    const std::size_t room = n <= kMostApart ? n * n / 2 : n * 4;   // with n * n / 2 slots every third hash will do
    while (bits < 18 && (std::size_t{1} << bits) < room) ++bits;
    shift = 32 - bits;
    factor = 0x9e3779b1u;
    for (int tries = n <= kMostApart ? 64 : 0; tries > 0; --tries, factor = factor * 5 + 2) {   // stays odd
      slots.assign(std::size_t{1} << bits, 0);
      apart = true;
      for (std::size_t i = 1; i < n && apart; ++i) apart = std::exchange(slots[slot(bucket_of[i])], static_cast<std::uint16_t>(i)) == 0;
      if (apart) return;
    }
    apart = false;
    slots.assign(std::size_t{1} << bits, 0);
    for (std::size_t i = 1; i < n; ++i) {
      std::size_t at = slot(bucket_of[i]);
      while (slots[at] != 0) at = (at + 1) & (slots.size() - 1);
      slots[at] = static_cast<std::uint16_t>(i);
    }
  }
  std::size_t slot(std::uint32_t bucket) const { return (bucket * factor) >> shift; }

  /// Takes a text for the query, its terms without lists too. @return one by its length
  float read(const Core& core, const Terms& text) {
    begin_query();
    float squares = 0;
    for (const TermCount& t : text) {
      const float rarity = core.rarity_of(t.bucket);
      const float value = frequency(t.count) * rarity;
      squares += value * value;
      put(t.bucket, value * rarity);
    }
    end_query();
    return 1 / std::sqrt(squares);
  }
  float cosine(const Core& core, std::uint32_t place, float inverse) const {
    return std::min(1.0f, product(core.terms_of(core.texts[place])) * core.inverse_length[place] * inverse);
  }

  /// The product with one text, before its length.
  float product(std::span<const std::uint32_t> text) const { return apart ? product_of<true>(text) : product_of<false>(text); }

  template <bool kApart>
  float product_of(std::span<const std::uint32_t> text) const {
    const std::uint16_t* const numbers = slots.data();
    const std::uint32_t* const buckets = bucket_of.data();
    const float* const weights = weight_of.data();
    const std::uint32_t by = factor, down = shift;
    const std::size_t mask = slots.size() - 1;
    const auto part = [=](std::uint32_t term) {
      const std::uint32_t bucket = term & kBucketMask;
      std::size_t at = (bucket * by) >> down;
      std::uint32_t number = numbers[at];
      if constexpr (!kApart) {
        while (number != 0 && buckets[number] != bucket) number = numbers[at = (at + 1) & mask];
      }
      // All bits or none, since a jump here would be guessed wrong for every third term.
      const float weight = std::bit_cast<float>(std::bit_cast<std::uint32_t>(weights[number]) & (0u - static_cast<std::uint32_t>(buckets[number] == bucket)));
      return weight * kFrequency[term >> kCountShift];
    };
    float sums[4] = {0, 0, 0, 0};   // four, so that additions do not wait for each other
    std::size_t i = 0;
    for (; i + 4 <= text.size(); i += 4) {
      for (std::size_t j = 0; j < 4; ++j) sums[j] += part(text[i + j]);
    }
    for (; i < text.size(); ++i) sums[0] += part(text[i]);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
};

SparseIndex::Scratch& SparseIndex::scratch() {
  thread_local Scratch one;   // grows to the largest index that the thread has searched
  return one;
}

SparseIndex::SparseIndex(SparseIndexOptions options) : options_(options), core_(std::make_unique<Core>()) { core_ = rebuilt({}); }
SparseIndex::~SparseIndex() = default;

std::size_t SparseIndex::size() const {
  const std::shared_lock lock(lock_);
  return core_->place_of.size();
}

// ---------------------------------------------------------------------------------------------------- writing

/// Under `writing_`, so that nobody changes `core_` meanwhile; readers may read on.
std::unique_ptr<SparseIndex::Core> SparseIndex::rebuilt(Room room) const {
  auto core = std::make_unique<Core>();
  core->longest_list = options_.longest_list;
  boost::unordered_flat_map<std::uint32_t, std::uint32_t> texts_with;
  texts_with.reserve(core_->lists.size());
  std::size_t texts = 0;
  std::size_t terms = 0;
  for (const Core::Text& text : core_->texts) {
    texts += text.terms > 0;
    terms += text.terms;
    for (const std::uint32_t t : core_->terms_of(text)) ++texts_with[t & kBucketMask];
  }
  const auto rarity = [&](std::uint32_t with) { return std::log((1 + static_cast<float>(texts)) / (1 + static_cast<float>(with))) + 1; };
  core->unseen_rarity = rarity(1);
  core->full_at = std::max<std::size_t>(256, (core_->place_of.size() + room.texts) * 3 / 2);
  core->lists_full_at = std::max<std::size_t>(std::size_t{1} << 13, texts_with.size() * 3 / 2) + room.terms;
  core->terms_full_at = std::max<std::size_t>(std::size_t{1} << 14, terms * 3 / 2) + room.terms;
  core->lists.reserve(core->lists_full_at);
  core->all_terms.reserve(core->terms_full_at);
  core->texts.reserve(core->full_at);
  core->inverse_length.reserve(core->full_at);
  core->place_of.reserve(core->full_at);
  for (const auto& [bucket, with] : texts_with) {
    Core::List& list = core->lists[bucket];
    list.rarity = rarity(with) * block_weight(bucket);
    if (with <= options_.longest_list) {
      list.places.reserve(with);
    } else {
      list.entries = static_cast<std::uint32_t>(options_.longest_list);   // the first text that comes finds it too long
    }
  }
  for (std::size_t place = 0; place < core_->texts.size(); ++place) {
    const Core::Text& text = core_->texts[place];
    const auto known = core_->place_of.find(text.id);
    if (known == core_->place_of.end() || known->second != place) continue;   // removed
    core->append(text.id, core_->terms_of(text), core->inverse_length_of(core_->terms_of(text)));
  }
  return core;
}

void SparseIndex::swap_in(std::unique_ptr<Core> core) {
  {
    const std::unique_lock lock(lock_);
    core_.swap(core);
  }
  // The old one is freed here, outside the lock.
}

void SparseIndex::read(std::string_view text) {
  extractor_.extract(text, terms_);
  packed_.clear();
  for (const TermCount& t : terms_) packed_.push_back(packed(t));
}

void SparseIndex::add(std::uint64_t id, std::string_view text) {
  const std::lock_guard writing(writing_);
  read(text);
  if (core_->full(packed_.size())) swap_in(rebuilt({1, packed_.size()}));
  const float inverse = core_->inverse_length_of(packed_);
  const std::unique_lock lock(lock_);
  core_->remove(id);
  core_->append(id, packed_, inverse);
}

void SparseIndex::add_all(std::span<const std::pair<std::uint64_t, std::string_view>> texts) {
  const std::lock_guard writing(writing_);
  // Into a copy, where they are not found yet, for their lengths are not known; the next rebuild then weighs all texts alike.
  auto next = rebuilt({texts.size(), 0});
  for (const auto& [id, text] : texts) {
    read(text);
    next->remove(id);
    next->append(id, packed_, 0);
  }
  swap_in(std::move(next));
  swap_in(rebuilt({}));
}

bool SparseIndex::remove(std::uint64_t id) {
  const std::lock_guard writing(writing_);
  const std::unique_lock lock(lock_);
  return core_->remove(id);
}

// ---------------------------------------------------------------------------------------------------- searching

void SparseIndex::nearest(std::string_view text, std::size_t k, std::vector<Hit>& out) const {
  Scratch& s = scratch();
  s.extractor.extract(text, s.terms);
  nearest(s.terms, k, out);
}

void SparseIndex::nearest(const Terms& terms, std::size_t k, std::vector<Hit>& out) const {
  out.clear();
  if (k == 0 || terms.empty()) return;
  Scratch& s = scratch();
  const std::shared_lock lock(lock_);
  const Core& core = *core_;
  if (core.place_of.empty()) return;
  if (s.sum.size() < core.texts.size()) s.sum.resize(core.texts.size(), 0);

  s.begin_query();
  s.query.clear();
  float squares = 0, all = 0, unread = 0;
  for (const TermCount& t : terms) {
    const auto found = core.lists.find(t.bucket);
    const float rarity = found != core.lists.end() ? found->second.rarity : core.unseen_rarity * block_weight(t.bucket);
    const float value = frequency(t.count) * rarity;
    squares += value * value;
    if (found == core.lists.end()) continue;
    s.put(t.bucket, value * rarity);
    unread += value * rarity;
    if (found->second.places.empty()) continue;
    s.query.push_back({&found->second, value * rarity});
    all += value * rarity;
  }
  s.end_query();
  const float inverse = 1 / std::sqrt(squares);

  // 1. The rarest terms bring texts in; the next ones add to those.
  std::sort(s.query.begin(), s.query.end(), [](const auto& a, const auto& b) {
    return a.list->places.size() != b.list->places.size() ? a.list->places.size() < b.list->places.size() : a.weight > b.weight;
  });
  if (s.query.size() > kMostLists) s.query.resize(kMostLists);
  const float scale = kFullSum / all;
  std::size_t next = 0, read = 0;
  std::size_t touched = 0;
  for (; next < s.query.size(); ++next) {
    const auto& places = s.query[next].list->places;
    if (read > 0 && read + places.size() > options_.entries_in) break;
    read += places.size();
    unread -= s.query[next].weight;
    const auto part = static_cast<std::uint16_t>(s.query[next].weight * scale + 1);
    if (s.touched.size() < touched + places.size()) s.touched.resize((touched + places.size()) * 2);
    std::uint32_t* const in = s.touched.data();
    std::uint16_t* const sum = s.sum.data();
    for (const std::uint32_t place : places) {
      in[touched] = place;
      touched += sum[place] == 0;
      sum[place] = static_cast<std::uint16_t>(sum[place] + part);
    }
  }
  for (read = 0; next < s.query.size(); ++next) {
    const auto& places = s.query[next].list->places;
    read += places.size();
    if (read > options_.entries_more) break;
    unread -= s.query[next].weight;
    const auto part = static_cast<std::uint16_t>(s.query[next].weight * scale + 1);
    std::uint16_t* const sum = s.sum.data();
    for (const std::uint32_t place : places) sum[place] = static_cast<std::uint16_t>(sum[place] + (sum[place] != 0 ? part : 0));
  }

  // 2. The best of them by what was added up; bins instead of a sort.
  constexpr std::size_t kBins = 1024;
  s.bins.assign(kBins, 0);
  s.bin_of.resize(touched);
  const float to_bin = kBins / scale * inverse;   // a cosine of 1 is the last bin
  for (std::size_t i = 0; i < touched; ++i) {
    const std::uint32_t place = s.touched[i];
    const float partial = static_cast<float>(std::exchange(s.sum[place], 0)) * core.inverse_length[place];
    const auto bin = std::min<std::uint32_t>(kBins - 1, static_cast<std::uint32_t>(partial * to_bin));
    s.bin_of[i] = static_cast<std::uint16_t>(bin);
    ++s.bins[bin];
  }
  const std::size_t wanted = std::max(options_.candidates, 4 * k);
  std::size_t least = kBins - 1, above = s.bins[least];
  while (least > 0 && above < wanted) above += s.bins[--least];

  // 3. Exactly, the most promising first, until what a text may have in the terms that were not read cannot make up for what it
  // lacks. Then only texts without a rare term in common, and those that `candidates` cuts off, can be missed.
  for (std::size_t bin = kBins - 1, begin = 0; bin + 1 > least; --bin) {
    begin += std::exchange(s.bins[bin], static_cast<std::uint32_t>(begin));
    if (bin == 0) break;
  }
  s.candidates.resize(above);
  for (std::size_t i = 0; i < touched; ++i) {
    if (s.bin_of[i] >= least) s.candidates[s.bins[s.bin_of[i]]++] = s.touched[i];
  }
  // Their terms lie all over the memory: fetched a few texts ahead.
  const auto fetch = [&](std::size_t i) {
    if (i >= s.candidates.size()) return;
    const Core::Text& text = core.texts[s.candidates[i]];
    const std::uint32_t* const begin = core.all_terms.data() + text.begin;
    for (std::uint32_t at = 0; at < std::min(text.terms, 256u); at += 16) __builtin_prefetch(begin + at);
  };
  constexpr float kRounding = 0.005f;   // for terms that a text repeats more often than lists tell
  constexpr std::size_t kAhead = 3;
  for (std::size_t i = 0; i < kAhead; ++i) fetch(i);
  std::size_t bin = kBins - 1;
  for (std::size_t i = 0; i < s.candidates.size(); ++i) {
    fetch(i + kAhead);
    const std::uint32_t place = s.candidates[i];
    const float to_cosine = core.inverse_length[place] * inverse;
    while (bin > 0 && i >= s.bins[bin]) --bin;
    if (out.size() == k && static_cast<float>(bin + 1) / kBins + kRounding + unread * to_cosine < out.front().similarity) continue;
    const float similarity = std::min(1.0f, s.product(core.terms_of(core.texts[place])) * to_cosine);
    if (similarity <= 0) continue;   // removed
    const Hit hit{core.texts[place].id, similarity};
    if (out.size() == k) {           // a heap with the worst on top
      if (!better(hit, out.front())) continue;
      std::pop_heap(out.begin(), out.end(), better);
      out.pop_back();
    }
    out.push_back(hit);
    std::push_heap(out.begin(), out.end(), better);
  }
  std::sort_heap(out.begin(), out.end(), better);
}

void SparseIndex::likeness(std::uint64_t to, std::span<const std::uint64_t> of, std::vector<float>& out) const {
  out.assign(of.size(), 0);
  Scratch& s = scratch();
  const std::shared_lock lock(lock_);
  const Core& core = *core_;
  const auto known = core.place_of.find(to);
  if (known == core.place_of.end()) return;
  s.begin_query();
  for (const std::uint32_t t : core.terms_of(core.texts[known->second])) {
    const float rarity = core.rarity_of(t & kBucketMask);
    s.put(t & kBucketMask, frequency(t >> kCountShift) * rarity * rarity);
  }
  s.end_query();
  for (std::size_t i = 0; i < of.size(); ++i) {
    const auto other = core.place_of.find(of[i]);
    if (other == core.place_of.end()) continue;
    const float lengths = core.inverse_length[known->second] * core.inverse_length[other->second];
    out[i] = std::min(1.0f, s.product(core.terms_of(core.texts[other->second])) * lengths);
  }
}

void SparseIndex::cosines(std::string_view text, std::span<const std::uint64_t> of, std::vector<float>& out) const {
  out.assign(of.size(), 0);
  Scratch& s = scratch();
  s.extractor.extract(text, s.terms);
  if (s.terms.empty()) return;
  const std::shared_lock lock(lock_);
  const float inverse = s.read(*core_, s.terms);
  for (std::size_t i = 0; i < of.size(); ++i) {
    const auto found = core_->place_of.find(of[i]);
    if (found != core_->place_of.end()) out[i] = s.cosine(*core_, found->second, inverse);
  }
}

void SparseIndex::scan(const Terms& terms, std::size_t k, std::vector<Hit>& out) const {
  out.clear();
  if (terms.empty()) return;
  Scratch& s = scratch();
  const std::shared_lock lock(lock_);
  const float inverse = s.read(*core_, terms);
  for (std::uint32_t place = 0; place < core_->texts.size(); ++place) {
    const float similarity = s.cosine(*core_, place, inverse);
    if (similarity > 0) out.push_back({core_->texts[place].id, similarity});
  }
  keep_best(out, k);
}

}  // namespace understudy::retrieval
