#pragma once
/// How much of a claim, or of one of its sentences, stands in some sentences of the evidence. Words only.

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "specialists/internal/judge_words.h"
#include "specialists/rerank_features.h"

namespace understudy::specialists::internal {

using Words = std::vector<JudgeWord>;
using Buckets = std::unordered_set<std::uint32_t>;

Buckets buckets_of(const Words& words);

/// What some sentences have.
struct Said {
  Buckets words, stumps;
  std::unordered_set<std::uint64_t> pairs;

  explicit Said(std::span<const Words* const> sentences);
};

/// Shares of the claim's content words by rarity (rare, stumps) and by number (plain), of its word pairs; the rarest word that is missing, and counts of
/// missing ones; opposites that are said in their place, and restrictions ("only") that are not said.
struct Support {
  double rare = 0, plain = 0, pairs = 0, rarest_missing = 0, missing = 0, numbers_missing = 0, names_missing = 0, years_missing = 0, stumps = 0, opposites = 0, restrictions = 0;
};

class Comparer {
 public:
  /// Both must outlive it.
  Comparer(const TermStatistics& statistics, const Words& claim);
  double rarity(const JudgeWord& w) const { return statistics_.rarity(w.bucket); }
  /// Of the claim's rare words, the share that are there: to choose sentences by.
  double overlap(const Buckets& there) const;
  Support support(const Said& said) const;

 private:
  const TermStatistics& statistics_;
  const Words& claim_;
  double total_ = 0;
};

/// The claim as runs of words that stand in the evidence (Grusky et al. 2018): the longest run's share, and the mean length that a word stands in.
std::pair<double, double> runs(const Words& claim, const Words& evidence);

/// By rarity, each word once, the greatest share of the claim that stands among so many words of the evidence that follow one another: what is said in
/// one place, in however many sentences.
double best_window(const TermStatistics& statistics, const Words& claim, const Words& evidence, std::size_t length);

/// Other numbers or names of the sentence, where one of the claim's is missing: a swap.
template <typename Is>
double swapped(const Words& claim, const Buckets& claim_buckets, const Words& sentence, const Buckets& there, Is&& is) {
  double missing = 0, others = 0;
  for (const JudgeWord& w : claim) missing += is(w) && !there.contains(w.bucket);
  for (const JudgeWord& w : sentence) others += is(w) && !claim_buckets.contains(w.bucket);
  return std::min(missing, others);
}

/// By rarity, the share of what the sentences say that the claim says too.
double share_claimed(const Comparer& compare, std::span<const Words* const> sentences, const Buckets& claim);

/// Words that a claim puts together, and the evidence nowhere: an edit that moves a name or a verb leaves all words in the evidence, but apart.
struct Apart {
  double over8 = 0, over20 = 0, over60 = 0;  ///< shares of pairs with more words than so many between their nearest places
  double heaviest = 0;                       ///< rarity of the rarer pair's commoner word, of pairs over 20 apart; 0: none is
  double mean = 0;                           ///< of log(1 + distance)
  double worst_part = 0;                     ///< the greatest share of over20 in one sentence of the claim
};
Apart apart(const TermStatistics& statistics, std::span<const Words> parts, const Words& evidence);

/// A claim's sentences, each beside its own best places in the evidence: a sentence with both its neighbours.
struct LeastSupported {
  double best = 1, best3 = 1, mean_best = 1, mean_best3 = 1;    ///< share of rare words in the best place, in the best three: the least, and means
  double rarest_missing = 0, rarest_missing3 = 0, missing3 = 0;  ///< the greatest
  double numbers_missing3 = 0, names_missing3 = 0;
};
LeastSupported least_supported(const TermStatistics& statistics, std::span<const Words> parts, std::span<const Buckets> sentences);

}  // namespace understudy::specialists::internal
