#include "specialists/internal/judge_compare.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace understudy::specialists::internal {
namespace {

std::uint64_t pair_of(const JudgeWord& a, const JudgeWord& b) { return std::uint64_t{a.bucket} << 32 | b.bucket; }

/// Where each word stands, rising.
std::unordered_map<std::uint32_t, std::vector<std::size_t>> places_of(const Words& words) {
  std::unordered_map<std::uint32_t, std::vector<std::size_t>> out;
  for (std::size_t i = 0; i < words.size(); ++i) out[words[i].bucket].push_back(i);
  return out;
}

std::size_t nearest(const std::vector<std::size_t>& a, const std::vector<std::size_t>& b) {
  std::size_t best = SIZE_MAX;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    best = std::min(best, a[i] > b[j] ? a[i] - b[j] : b[j] - a[i]);
    if (a[i] < b[j]) ++i;
    else ++j;
  }
  return best;
}

}  // namespace

Buckets buckets_of(const Words& words) {
  Buckets out;
  for (const JudgeWord& w : words) out.insert(w.bucket);
  return out;
}

Said::Said(std::span<const Words* const> sentences) {
  for (const Words* sentence : sentences) {
    for (std::size_t i = 0; i < sentence->size(); ++i) {
      words.insert((*sentence)[i].bucket);
      stumps.insert((*sentence)[i].stump);
      if (i > 0) pairs.insert(pair_of((*sentence)[i - 1], (*sentence)[i]));
    }
  }
}

Comparer::Comparer(const TermStatistics& statistics, const Words& claim) : statistics_(statistics), claim_(claim) {
  for (const JudgeWord& w : claim)
    if (w.content()) total_ += rarity(w);
}

double Comparer::overlap(const Buckets& there) const {
  double found = 0;
  for (const JudgeWord& w : claim_)
    if (w.content() && there.contains(w.bucket)) found += rarity(w);
  return total_ > 0 ? found / total_ : 0;
}

Support Comparer::support(const Said& said) const {
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
    out.years_missing += w.year;
  }
  out.rare = total_ > 0 ? found / total_ : 0;
  out.stumps = total_ > 0 ? stump_mass / total_ : 0;
  out.plain = words > 0 ? plain / words : 0;
  out.pairs = claim_.size() > 1 ? found_pairs / static_cast<double>(claim_.size() - 1) : 0;
  return out;
}

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

double best_window(const TermStatistics& statistics, const Words& claim, const Words& evidence, std::size_t length) {
  std::unordered_map<std::uint32_t, double> wanted;
  std::unordered_map<std::uint32_t, std::size_t> inside;
  double total = 0, here = 0, most = 0;
  for (const JudgeWord& w : claim)
    if (w.content() && wanted.try_emplace(w.bucket, statistics.rarity(w.bucket)).second) total += wanted[w.bucket];
  for (std::size_t i = 0; i < evidence.size(); ++i) {
    if (const auto found = wanted.find(evidence[i].bucket); found != wanted.end() && ++inside[found->first] == 1) here += found->second;
    if (i >= length)
      if (const auto found = wanted.find(evidence[i - length].bucket); found != wanted.end() && --inside[found->first] == 0) here -= found->second;
    most = std::max(most, here);
  }
  return total > 0 ? std::min(most / total, 1.0) : 0;
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

Apart apart(const TermStatistics& statistics, std::span<const Words> parts, const Words& evidence) {
  const auto places = places_of(evidence);
  Apart out;
  double pairs = 0;
  for (const Words& part : parts) {
    std::vector<const JudgeWord*> known;
    for (const JudgeWord& w : part)
      if (w.content() && places.contains(w.bucket)) known.push_back(&w);
    double here = 0, far = 0;
    for (const std::size_t step : {1, 2}) {
      for (std::size_t i = 0; i + step < known.size(); ++i) {
        const JudgeWord &a = *known[i], &b = *known[i + step];
        if (a.bucket == b.bucket) continue;
        const std::size_t distance = nearest(places.at(a.bucket), places.at(b.bucket));
        ++here;
        out.mean += std::log1p(static_cast<double>(distance));
        out.over8 += distance > 8;
        out.over60 += distance > 60;
        if (distance <= 20) continue;
        ++far;
        out.heaviest = std::max(out.heaviest, std::min(statistics.rarity(a.bucket), statistics.rarity(b.bucket)));
      }
    }
    pairs += here;
    out.over20 += far;
    if (here > 0) out.worst_part = std::max(out.worst_part, far / here);
  }
  if (pairs == 0) return {};
  for (double* const sum : {&out.over8, &out.over20, &out.over60, &out.mean}) *sum /= pairs;
  return out;
}

LeastSupported least_supported(const TermStatistics& statistics, std::span<const Words> parts, std::span<const Buckets> sentences) {
  LeastSupported out;
  if (parts.empty() || sentences.empty()) return out;
  std::vector<Buckets> places;
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    Buckets& place = places.emplace_back(sentences[i]);
    if (i > 0) place.insert(sentences[i - 1].begin(), sentences[i - 1].end());
    if (i + 1 < sentences.size()) place.insert(sentences[i + 1].begin(), sentences[i + 1].end());
  }
  double best = 0, best3 = 0;
  for (const Words& part : parts) {
    const Comparer compare(statistics, part);
    std::vector<double> overlap;
    for (const Buckets& place : places) overlap.push_back(compare.overlap(place));
    std::vector<std::size_t> order(places.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return overlap[a] > overlap[b]; });
    Buckets three;
    for (std::size_t i = 0; i < std::min<std::size_t>(3, order.size()); ++i) three.insert(places[order[i]].begin(), places[order[i]].end());
    const double share = overlap[order[0]], share3 = compare.overlap(three);
    best += share;
    best3 += share3;
    out.best = std::min(out.best, share);
    out.best3 = std::min(out.best3, share3);
    double missing = 0, numbers = 0, names = 0;
    for (const JudgeWord& w : part) {
      if (!w.content()) continue;
      if (!places[order[0]].contains(w.bucket)) out.rarest_missing = std::max(out.rarest_missing, compare.rarity(w));
      if (three.contains(w.bucket)) continue;
      out.rarest_missing3 = std::max(out.rarest_missing3, compare.rarity(w));
      ++missing;
      numbers += w.number;
      names += w.name;
    }
    out.missing3 = std::max(out.missing3, missing);
    out.numbers_missing3 = std::max(out.numbers_missing3, numbers);
    out.names_missing3 = std::max(out.names_missing3, names);
  }
  out.mean_best = best / static_cast<double>(parts.size());
  out.mean_best3 = best3 / static_cast<double>(parts.size());
  return out;
}

}  // namespace understudy::specialists::internal
