#include "specialists/judge_features.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "specialists/internal/judge_words.h"

namespace understudy::specialists {
namespace {

using internal::JudgeWord;
using internal::judge_words;
using Words = std::vector<JudgeWord>;
using Buckets = std::unordered_set<std::uint32_t>;

constexpr std::size_t kMostSentences = 4000, kLongestSentence = 60, kMostEmbedded = 12, kMostParts = 32, kBest = 3;

bool white(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/// A full stop after one letter or a title ends no sentence.
bool abbreviated(std::string_view before) {
  std::size_t begin = before.size();
  while (begin > 0 && !white(before[begin - 1]) && before[begin - 1] != '(') --begin;
  const std::string_view word = before.substr(begin);
  if (word.size() == 1) return word[0] != 'I' && !(word[0] >= '0' && word[0] <= '9');
  if (word.find('.') != std::string_view::npos && word.size() <= 5) return true;  // U.S., e.g.
  for (const std::string_view title : {"Mr", "Mrs", "Ms", "Dr", "St", "vs", "al", "Fig", "Prof", "Jr", "Sr"})
    if (word == title) return true;
  return false;
}

void add_piece(std::string_view text, std::vector<std::string_view>& out) {
  while (!text.empty() && white(text.front())) text.remove_prefix(1);
  while (!text.empty() && white(text.back())) text.remove_suffix(1);
  std::size_t words = 0, at = 0;
  while (at < text.size()) {
    at = std::min(text.find_first_of(" \t", at), text.size());
    if (++words == kLongestSentence && at < text.size()) {
      add_piece(text.substr(0, at), out);
      add_piece(text.substr(at), out);
      return;
    }
    at = std::min(text.find_first_not_of(" \t", at), text.size());
  }
  const bool says = std::ranges::any_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80; });
  if (says && out.size() < kMostSentences) out.push_back(text);
}

Buckets buckets_of(const Words& words) {
  Buckets out;
  for (const JudgeWord& w : words) out.insert(w.bucket);
  return out;
}

std::uint64_t pair_of(const JudgeWord& a, const JudgeWord& b) { return std::uint64_t{a.bucket} << 32 | b.bucket; }

struct Evidence {
  std::vector<std::string_view> texts;
  std::vector<Words> words;
  std::vector<Buckets> buckets;
  Words all;  ///< sentence after sentence
};

/// What some sentences have.
struct Said {
  Buckets words, stumps;
  std::unordered_set<std::uint64_t> pairs;

  explicit Said(std::span<const Words* const> sentences) {
    for (const Words* sentence : sentences) {
      for (std::size_t i = 0; i < sentence->size(); ++i) {
        words.insert((*sentence)[i].bucket);
        stumps.insert((*sentence)[i].stump);
        if (i > 0) pairs.insert(pair_of((*sentence)[i - 1], (*sentence)[i]));
      }
    }
  }
};

/// How much of a claim, or of one of its sentences, they say.
struct Support {
  double rare = 0, plain = 0, pairs = 0, rarest_missing = 0, missing = 0, numbers_missing = 0, names_missing = 0, stumps = 0, opposites = 0, restrictions = 0;
};

class Comparer {
 public:
  Comparer(const TermStatistics& statistics, const Words& claim) : statistics_(statistics), claim_(claim) {
    for (const JudgeWord& w : claim)
      if (w.content()) total_ += rarity(w);
  }
  double rarity(const JudgeWord& w) const { return statistics_.rarity(w.bucket); }

  /// Of the claim's rare words, the share that are there: to choose sentences by.
  double overlap(const Buckets& there) const {
    double found = 0;
    for (const JudgeWord& w : claim_)
      if (w.content() && there.contains(w.bucket)) found += rarity(w);
    return total_ > 0 ? found / total_ : 0;
  }

  Support support(const Said& said) const {
    Support out;
    double words = 0, plain = 0, found_pairs = 0, stump_mass = 0, found = 0;
    for (std::size_t i = 0; i < claim_.size(); ++i) {
      const JudgeWord& w = claim_[i];
      if (i > 0) found_pairs += said.pairs.contains(pair_of(claim_[i - 1], w));
      const bool here = said.words.contains(w.bucket);
      if (w.restriction && !here) ++out.restrictions;
      if (w.opposite != 0 && !here && said.words.contains(w.opposite)) ++out.opposites;
      if (!w.content()) continue;
      ++words;
      if (said.stumps.contains(w.stump)) stump_mass += rarity(w);
      if (here) {
        found += rarity(w);
        ++plain;
        continue;
      }
      ++out.missing;
      out.rarest_missing = std::max(out.rarest_missing, rarity(w));
      out.numbers_missing += w.number;
      out.names_missing += w.name;
    }
    out.rare = total_ > 0 ? found / total_ : 0;
    out.stumps = total_ > 0 ? stump_mass / total_ : 0;
    out.plain = words > 0 ? plain / words : 0;
    out.pairs = claim_.size() > 1 ? found_pairs / static_cast<double>(claim_.size() - 1) : 0;
    return out;
  }

 private:
  const TermStatistics& statistics_;
  const Words& claim_;
  double total_ = 0;
};

/// The claim as runs of words that stand in the evidence (Grusky et al. 2018): the longest run's share, and the mean length that a word stands in.
std::pair<double, double> runs(const Words& claim, const Words& evidence) {
  std::unordered_multimap<std::uint32_t, std::size_t> places;
  for (std::size_t i = 0; i < evidence.size(); ++i) places.emplace(evidence[i].bucket, i);
  double longest = 0, squares = 0;
  for (std::size_t i = 0; i < claim.size();) {
    std::size_t best = 0, tried = 0;
    for (auto [at, end] = places.equal_range(claim[i].bucket); at != end && tried < 200; ++at, ++tried) {  // "the" may stand a thousand times
      std::size_t run = 1;
      while (i + run < claim.size() && at->second + run < evidence.size() && claim[i + run].bucket == evidence[at->second + run].bucket) ++run;
      best = std::max(best, run);
    }
    longest = std::max(longest, static_cast<double>(best));
    squares += static_cast<double>(best * best);
    i += std::max<std::size_t>(best, 1);
  }
  const double n = std::max<double>(static_cast<double>(claim.size()), 1);
  return {longest / n, squares / n};
}

/// Other numbers or names of the sentence, where one of the claim's is missing: a swap.
template <typename Is>
double swapped(const Words& claim, const Buckets& claim_buckets, const Words& sentence, const Buckets& there, Is&& is) {
  double missing = 0, others = 0;
  for (const JudgeWord& w : claim) missing += is(w) && !there.contains(w.bucket);
  for (const JudgeWord& w : sentence) others += is(w) && !claim_buckets.contains(w.bucket);
  return std::min(missing, others);
}

double share_claimed(const Comparer& compare, std::span<const Words* const> sentences, const Buckets& claim) {
  double total = 0, found = 0;
  for (const Words* words : sentences) {
    for (const JudgeWord& w : *words) {
      if (!w.content()) continue;
      total += compare.rarity(w);
      if (claim.contains(w.bucket)) found += compare.rarity(w);
    }
  }
  return total > 0 ? found / total : 0;
}

}  // namespace

std::vector<std::string_view> sentences_of(std::string_view text) {
  std::vector<std::string_view> out;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool ends = c == '\n' || ((c == '.' || c == '!' || c == '?') && (i + 1 == text.size() || white(text[i + 1])) && !(c == '.' && abbreviated(text.substr(begin, i - begin))));
    if (!ends) continue;
    add_piece(text.substr(begin, i + 1 - begin), out);
    begin = i + 1;
  }
  add_piece(text.substr(begin), out);
  return out;
}

TermStatistics word_statistics(std::span<const std::string_view> texts) {
  std::map<std::uint32_t, std::uint32_t> with;
  double words = 0;
  for (const std::string_view text : texts) {
    const Words all = judge_words(text);
    words += static_cast<double>(all.size());
    for (const std::uint32_t bucket : buckets_of(all)) ++with[bucket];
  }
  std::vector<std::uint32_t> buckets, counts;
  for (const auto& [bucket, count] : with) {
    if (count < 2) continue;
    buckets.push_back(bucket);
    counts.push_back(count);
  }
  const double mean = texts.empty() ? 1 : std::max(words / static_cast<double>(texts.size()), 1.0);
  return TermStatistics::restore(std::move(buckets), std::move(counts), static_cast<std::uint32_t>(texts.size()), mean);
}

Result<JudgeReading> read_judged(const TermStatistics& statistics, std::string_view claim, std::string_view evidence, const neural::TextEncoder* encoder) {
  const Words claim_words = judge_words(claim);
  const Buckets claim_buckets = buckets_of(claim_words);
  const Comparer compare(statistics, claim_words);
  Evidence e;
  e.texts = sentences_of(evidence);
  if (e.texts.empty()) e.texts.push_back(evidence);
  std::vector<double> overlap;
  std::vector<const Words*> everything;
  for (const std::string_view text : e.texts) {
    e.words.push_back(judge_words(text));
    e.buckets.push_back(buckets_of(e.words.back()));
    e.all.insert(e.all.end(), e.words.back().begin(), e.words.back().end());
    overlap.push_back(compare.overlap(e.buckets.back()));
  }
  for (const Words& words : e.words) everything.push_back(&words);

  // By words first, since a vector costs a thousand times as much; then by both.
  std::vector<std::size_t> order(e.texts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return overlap[a] > overlap[b]; });
  order.resize(std::min(order.size(), kMostEmbedded));
  auto parts = sentences_of(claim);
  parts.resize(std::min(parts.size(), kMostParts));
  const bool several = parts.size() > 1;
  std::vector<double> cosine(order.size(), 0.0);
  Eigen::MatrixXd part_cosines = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(several ? parts.size() : 0), static_cast<Eigen::Index>(order.size()));
  if (encoder != nullptr) {
    std::vector<std::string_view> texts{claim};
    for (const std::size_t i : order) texts.push_back(e.texts[i]);
    if (several) texts.insert(texts.end(), parts.begin(), parts.end());
    const auto d = static_cast<Eigen::Index>(encoder->dimension());
    std::vector<float> vectors(texts.size() * encoder->dimension());
    if (auto done = encoder->embed(texts, vectors); !done) return fail(done.error());
    const Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> v(vectors.data(), static_cast<Eigen::Index>(texts.size()), d);
    const auto n = static_cast<Eigen::Index>(order.size());
    for (Eigen::Index i = 0; i < n; ++i) cosine[static_cast<std::size_t>(i)] = static_cast<double>(v.row(0).dot(v.row(i + 1)));
    if (several) part_cosines = (v.bottomRows(static_cast<Eigen::Index>(parts.size())) * v.middleRows(1, n).transpose()).cast<double>();
  }
  std::vector<std::size_t> ranked(order.size());  // places in `order`
  std::iota(ranked.begin(), ranked.end(), std::size_t{0});
  std::ranges::stable_sort(ranked, [&](std::size_t a, std::size_t b) { return overlap[order[a]] + cosine[a] > overlap[order[b]] + cosine[b]; });
  const std::size_t best = order[ranked[0]];
  std::vector<std::size_t> chosen;
  double mean_cosine = 0;
  for (std::size_t i = 0; i < std::min(kBest, ranked.size()); ++i) {
    chosen.push_back(order[ranked[i]]);
    mean_cosine += cosine[ranked[i]];
  }
  mean_cosine /= static_cast<double>(chosen.size());
  std::ranges::sort(chosen);
  std::vector<const Words*> few;
  JudgeReading out;
  for (const std::size_t i : chosen) {
    few.push_back(&e.words[i]);
    out.evidence += (out.evidence.empty() ? "" : " ") + std::string(e.texts[i]);
  }

  const Words* const best_words[] = {&e.words[best]};
  const Said everywhere(everything);
  const Support all = compare.support(everywhere), top = compare.support(Said(few)), one = compare.support(Said(best_words));
  const auto [longest, density] = runs(claim_words, e.all);
  const auto count = [](const Words& words, auto&& is) { return static_cast<double>(std::ranges::count_if(words, is)); };
  const auto negation = [](const JudgeWord& w) { return w.negation; };
  const auto number = [](const JudgeWord& w) { return w.number; };
  const auto name = [](const JudgeWord& w) { return w.name; };
  const bool claim_denies = count(claim_words, negation) > 0, best_denies = count(e.words[best], negation) > 0;
  // The least supported sentence: one wrong sentence makes a summary wrong.
  double least_rare = all.rare, least_pairs = all.pairs, most_missing = all.numbers_missing + all.names_missing, least_cosine = cosine[ranked[0]];
  for (std::size_t p = 0; several && p < parts.size(); ++p) {
    const Words words = judge_words(parts[p]);
    const Support s = Comparer(statistics, words).support(everywhere);
    if (p == 0) least_rare = s.rare, least_pairs = s.pairs, most_missing = 0, least_cosine = 1;
    least_rare = std::min(least_rare, s.rare);
    least_pairs = std::min(least_pairs, s.pairs);
    most_missing = std::max(most_missing, s.numbers_missing + s.names_missing);
    least_cosine = std::min(least_cosine, part_cosines.row(static_cast<Eigen::Index>(p)).maxCoeff());
  }
  const auto n_claim = static_cast<double>(claim_words.size()), n_best = static_cast<double>(e.words[best].size());
  const double columns[] = {all.rare, top.rare, one.rare, top.plain, all.stumps, all.pairs, one.pairs, longest, density, std::log1p(all.rarest_missing), std::log1p(top.rarest_missing),
                            std::log1p(all.missing), std::log1p(top.missing), all.numbers_missing, top.numbers_missing, all.names_missing, top.names_missing,
                            count(claim_words, number), count(claim_words, name), claim_denies ? 1.0 : 0.0, best_denies ? 1.0 : 0.0, claim_denies != best_denies ? 1.0 : 0.0,
                            top.opposites, one.opposites, top.restrictions, swapped(claim_words, claim_buckets, e.words[best], e.buckets[best], number),
                            swapped(claim_words, claim_buckets, e.words[best], e.buckets[best], name), cosine[ranked[0]], mean_cosine,
                            ranked.size() > 1 ? cosine[ranked[1]] : cosine[ranked[0]], share_claimed(compare, best_words, claim_buckets), share_claimed(compare, few, claim_buckets),
                            std::log1p(n_claim), std::log1p(static_cast<double>(e.all.size())), std::log1p(n_best) - std::log1p(n_claim), std::log1p(static_cast<double>(parts.size())),
                            least_rare, least_pairs, most_missing, least_cosine};
  static_assert(std::size(columns) == std::size_t{kJudgeColumns});
  out.x = Eigen::Map<const Eigen::VectorXd>(columns, kJudgeColumns);
  return out;
}

}  // namespace understudy::specialists
