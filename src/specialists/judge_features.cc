#include "specialists/judge_features.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>

#include "specialists/internal/judge_compare.h"

namespace understudy::specialists {
namespace {

using internal::Buckets;
using internal::Comparer;
using internal::JudgeWord;
using internal::judge_words;
using internal::Said;
using internal::Support;
using internal::Words;

constexpr std::size_t kMostSentences = 4000, kLongestSentence = 60, kMostEmbedded = 16, kMostParts = 32, kMostReadParts = 8, kBest = 3;

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
    for (const std::uint32_t bucket : internal::buckets_of(all)) ++with[bucket];
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

namespace {

/// A claim beside its evidence, while its columns are made.
struct Reading {
  Words claim;
  Buckets claim_buckets;
  std::vector<std::string_view> parts, sentences;  ///< of the claim; of the evidence, one at least
  std::vector<Words> part_words, words;            ///< theirs
  std::vector<Buckets> buckets;                    ///< of the sentences
  Words all;                                       ///< of the sentences, one after the other
  std::vector<std::size_t> near;                   ///< at most kMostEmbedded sentences, the nearest by words first
  std::vector<double> overlap, cosine;             ///< of those
  std::vector<std::shared_ptr<const ReadText>> read;  ///< of those, where there is an encoder
  Eigen::MatrixXd part_cosines;                    ///< parts by near sentences; no rows where there is one part
  std::vector<std::size_t> ranked;                 ///< places in `near`, the best by words and cosine first
  std::vector<std::size_t> chosen;                 ///< the best kBest sentences, in the evidence's order

  bool several() const { return parts.size() > 1; }
};

Reading read_words(const TermStatistics& statistics, std::string_view claim, std::string_view evidence) {
  Reading r;
  r.claim = judge_words(claim);
  r.claim_buckets = internal::buckets_of(r.claim);
  r.parts = sentences_of(claim);
  if (r.parts.empty()) r.parts.push_back(claim);
  r.parts.resize(std::min(r.parts.size(), kMostParts));
  for (const std::string_view part : r.parts) r.part_words.push_back(judge_words(part));
  r.sentences = sentences_of(evidence);
  if (r.sentences.empty()) r.sentences.push_back(evidence);
  for (const std::string_view text : r.sentences) {
    r.words.push_back(judge_words(text));
    r.buckets.push_back(internal::buckets_of(r.words.back()));
    r.all.insert(r.all.end(), r.words.back().begin(), r.words.back().end());
  }
  // By words first, since a vector costs a thousand times as much. Each part of the claim names its best ones in turn, the whole claim before them.
  std::vector<std::vector<std::size_t>> wanted;
  std::vector<double> overlap;
  const auto want = [&](const Words& words) {
    const Comparer compare(statistics, words);
    overlap.clear();
    for (const Buckets& there : r.buckets) overlap.push_back(compare.overlap(there));
    auto& order = wanted.emplace_back(r.sentences.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return overlap[a] > overlap[b]; });
    order.resize(std::min(order.size(), kMostEmbedded));
  };
  want(r.claim);
  const std::vector<double> whole = overlap;
  for (std::size_t p = 0; r.several() && p < r.parts.size(); ++p) want(r.part_words[p]);
  for (std::size_t k = 0; k < kMostEmbedded; ++k) {
    for (const auto& order : wanted)
      if (k < order.size() && r.near.size() < kMostEmbedded && std::ranges::find(r.near, order[k]) == r.near.end()) r.near.push_back(order[k]);
  }
  for (const std::size_t i : r.near) r.overlap.push_back(whole[i]);
  return r;
}

/// Late interaction: of each of the claim's tokens the greatest cosine with a token of the near sentences.
struct TokenSupport {
  double mean = 0, least = 0, least3 = 0, tenth = 0, under_half = 0, least_part = 0;
};

TokenSupport token_support(const Reading& r, const ReadText& claim, const neural::TextEncoder& encoder) {
  TokenSupport out;
  if (claim.tokens == 0) return out;
  std::vector<double> best(claim.tokens, -1.0);
  for (const auto& sentence : r.read) {
    const auto near = likest(claim, *sentence);
    for (std::size_t t = 0; t < near.size(); ++t) best[t] = std::max(best[t], static_cast<double>(near[t]));
  }
  const auto mean = [&](std::size_t begin, std::size_t end) {
    return std::accumulate(best.begin() + static_cast<std::ptrdiff_t>(begin), best.begin() + static_cast<std::ptrdiff_t>(end), 0.0) / static_cast<double>(end - begin);
  };
  out.least_part = out.mean = mean(0, best.size());
  std::size_t at = 0;
  for (std::size_t p = 0; r.several() && p < r.parts.size(); ++p) {  // the parts' tokens follow one another
    std::vector<std::int32_t> ids;
    encoder.tokenizer().append_pieces(r.parts[p], encoder.max_tokens(), ids);
    const std::size_t end = std::min(at + ids.size(), best.size());
    if (end > at) out.least_part = std::min(out.least_part, mean(at, end));
    at = end;
  }
  std::ranges::sort(best);
  const std::size_t n = best.size();
  out.least = best[0];
  out.least3 = mean(0, std::min<std::size_t>(3, n));
  out.tenth = best[n / 10];
  out.under_half = static_cast<double>(std::ranges::count_if(best, [](double c) { return c < 0.5; })) / static_cast<double>(n);
  return out;
}

double cosine(const ReadText& a, const ReadText& b) { return std::inner_product(a.sentence.begin(), a.sentence.end(), b.sentence.begin(), 0.0); }

/// Reads claim, parts and near sentences, one after the other, and compares them.
Result<TokenSupport> read_vectors(Reading& r, std::string_view claim, const JudgeEngines& engines) {
  const auto read = [&](std::string_view text) { return read_text(*engines.encoder, engines.memory, text); };
  const auto whole = read(claim);
  if (!whole) return fail(whole.error());
  for (const std::size_t i : r.near) {
    auto sentence = read(r.sentences[i]);
    if (!sentence) return fail(sentence.error());
    r.cosine[r.read.size()] = cosine(**whole, **sentence);
    r.read.push_back(std::move(*sentence));
  }
  if (r.several()) r.part_cosines.resize(static_cast<Eigen::Index>(r.parts.size()), static_cast<Eigen::Index>(r.near.size()));
  for (Eigen::Index p = 0; p < r.part_cosines.rows(); ++p) {
    const auto part = read(r.parts[static_cast<std::size_t>(p)]);
    if (!part) return fail(part.error());
    for (Eigen::Index k = 0; k < r.part_cosines.cols(); ++k) r.part_cosines(p, k) = cosine(**part, *r.read[static_cast<std::size_t>(k)]);
  }
  return token_support(r, **whole, *engines.encoder);
}

void choose(Reading& r) {
  r.ranked.resize(r.near.size());
  std::iota(r.ranked.begin(), r.ranked.end(), std::size_t{0});
  std::ranges::stable_sort(r.ranked, [&](std::size_t a, std::size_t b) { return r.overlap[a] + r.cosine[a] > r.overlap[b] + r.cosine[b]; });
  for (std::size_t i = 0; i < std::min(kBest, r.ranked.size()); ++i) r.chosen.push_back(r.near[r.ranked[i]]);
  std::ranges::sort(r.chosen);
}

/// What a cross-encoder that has not seen these rows says: of the claim and the best sentences together, of the best one of them alone, and of the claim's
/// sentences, each beside its own two best ones, the least and the mean.
struct PairSupport {
  double together = 0, best = 0, least_part = 0, mean_part = 0;
};

Result<PairSupport> pair_support(const TermStatistics& statistics, const Reading& r, std::string_view claim, std::string_view best, const neural::PairScorer& scorer) {
  std::vector<neural::TextPair> pairs{{claim, best}};
  for (const std::size_t i : r.chosen) pairs.push_back({claim, r.sentences[i]});
  const std::size_t parts = r.several() ? std::min(r.parts.size(), kMostReadParts) : 0, each = std::min<std::size_t>(2, r.near.size());
  for (std::size_t p = 0; p < parts; ++p) {
    const Comparer compare(statistics, r.part_words[p]);
    std::vector<double> nearness;
    for (std::size_t k = 0; k < r.near.size(); ++k)
      nearness.push_back(compare.overlap(r.buckets[r.near[k]]) + (r.part_cosines.size() > 0 ? r.part_cosines(static_cast<Eigen::Index>(p), static_cast<Eigen::Index>(k)) : 0));
    std::vector<std::size_t> order(r.near.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return nearness[a] > nearness[b]; });
    for (std::size_t k = 0; k < each; ++k) pairs.push_back({r.parts[p], r.sentences[r.near[order[k]]]});
  }
  std::vector<float> z(pairs.size());
  if (auto done = scorer.score(pairs, z); !done) return fail(done.error());
  PairSupport out;
  const auto most = [&](std::size_t begin, std::size_t count) { return static_cast<double>(*std::max_element(z.begin() + static_cast<std::ptrdiff_t>(begin), z.begin() + static_cast<std::ptrdiff_t>(begin + count))); };
  out.together = static_cast<double>(z[0]);
  out.best = out.least_part = out.mean_part = most(1, r.chosen.size());
  for (std::size_t p = 0; p < parts; ++p) {
    const double part = most(1 + r.chosen.size() + p * each, each);
    out.least_part = p == 0 ? part : std::min(out.least_part, part);
    out.mean_part = (p == 0 ? 0 : out.mean_part) + part / static_cast<double>(parts);
  }
  return out;
}

double count(const Words& words, bool JudgeWord::* is) {
  return static_cast<double>(std::ranges::count_if(words, [&](const JudgeWord& w) { return w.*is; }));
}

}  // namespace

Result<JudgeReading> read_judged(const TermStatistics& statistics, std::string_view claim, std::string_view evidence, const JudgeEngines& engines, Eigen::Index columns_read) {
  Reading r = read_words(statistics, claim, evidence);
  r.cosine.assign(r.near.size(), 0.0);
  TokenSupport tokens;
  if (engines.encoder != nullptr) {
    const auto read = read_vectors(r, claim, engines);
    if (!read) return fail(read.error());
    tokens = *read;
  }
  choose(r);
  JudgeReading out;
  std::vector<const Words*> everything, few;
  for (const Words& words : r.words) everything.push_back(&words);
  for (const std::size_t i : r.chosen) {
    few.push_back(&r.words[i]);
    out.evidence += (out.evidence.empty() ? "" : " ") + std::string(r.sentences[i]);
  }
  PairSupport pairs;
  if (engines.cross_encoder != nullptr) {
    const auto read = pair_support(statistics, r, claim, out.evidence, *engines.cross_encoder);
    if (!read) return fail(read.error());
    pairs = *read;
  }

  const std::size_t best = r.near[r.ranked[0]];
  const Words* const best_words[] = {&r.words[best]};
  const Comparer compare(statistics, r.claim);
  const Said everywhere(everything);
  const Support all = compare.support(everywhere), top = compare.support(Said(few)), one = compare.support(Said(best_words));
  const auto [longest, density] = internal::runs(r.claim, r.all);
  const auto number = [](const JudgeWord& w) { return w.number; };
  const auto name = [](const JudgeWord& w) { return w.name; };
  const bool claim_denies = count(r.claim, &JudgeWord::negation) > 0, best_denies = count(r.words[best], &JudgeWord::negation) > 0;
  double mean_cosine = 0;
  for (std::size_t i = 0; i < r.chosen.size(); ++i) mean_cosine += r.cosine[r.ranked[i]] / static_cast<double>(r.chosen.size());
  // The least supported sentence: one wrong sentence makes a summary wrong.
  double least_rare = all.rare, least_pairs = all.pairs, most_missing = all.numbers_missing + all.names_missing, least_cosine = r.cosine[r.ranked[0]];
  for (std::size_t p = 0; r.several() && p < r.parts.size(); ++p) {
    const Support s = Comparer(statistics, r.part_words[p]).support(everywhere);
    if (p == 0) least_rare = s.rare, least_pairs = s.pairs, most_missing = 0, least_cosine = r.part_cosines.size() > 0 ? 1 : 0;
    least_rare = std::min(least_rare, s.rare);
    least_pairs = std::min(least_pairs, s.pairs);
    most_missing = std::max(most_missing, s.numbers_missing + s.names_missing);
    if (r.part_cosines.size() > 0) least_cosine = std::min(least_cosine, r.part_cosines.row(static_cast<Eigen::Index>(p)).maxCoeff());
  }
  const auto least = internal::least_supported(statistics, r.part_words, r.buckets);
  const auto apart = internal::apart(statistics, r.part_words, r.all);
  const auto content = [&](bool JudgeWord::* is) { return static_cast<double>(std::ranges::count_if(r.claim, [&](const JudgeWord& w) { return w.content() && w.*is; })); };
  const double said_names = content(&JudgeWord::name), said_numbers = content(&JudgeWord::number);
  const auto share = [](double part, double whole) { return whole > 0 ? part / whole : 0; };
  // Three walks through all of the evidence.
  const auto window = [&](std::size_t length) { return columns_read > kFirstJudgeColumns ? internal::best_window(statistics, r.claim, r.all, length) : 0; };
  const auto n_claim = static_cast<double>(r.claim.size()), n_best = static_cast<double>(r.words[best].size());
  const double columns[] = {all.rare, top.rare, one.rare, top.plain, all.stumps, all.pairs, one.pairs, longest, density, std::log1p(all.rarest_missing), std::log1p(top.rarest_missing),
                            std::log1p(all.missing), std::log1p(top.missing), all.numbers_missing, top.numbers_missing, all.names_missing, top.names_missing,
                            count(r.claim, &JudgeWord::number), count(r.claim, &JudgeWord::name), claim_denies ? 1.0 : 0.0, best_denies ? 1.0 : 0.0, claim_denies != best_denies ? 1.0 : 0.0,
                            top.opposites, one.opposites, top.restrictions, internal::swapped(r.claim, r.claim_buckets, r.words[best], r.buckets[best], number),
                            internal::swapped(r.claim, r.claim_buckets, r.words[best], r.buckets[best], name), r.cosine[r.ranked[0]], mean_cosine,
                            r.ranked.size() > 1 ? r.cosine[r.ranked[1]] : r.cosine[r.ranked[0]], internal::share_claimed(compare, best_words, r.claim_buckets),
                            internal::share_claimed(compare, few, r.claim_buckets), std::log1p(n_claim), std::log1p(static_cast<double>(r.all.size())), std::log1p(n_best) - std::log1p(n_claim),
                            std::log1p(static_cast<double>(r.parts.size())), least_rare, least_pairs, most_missing, least_cosine,
                            least.best, least.best3, least.mean_best, least.mean_best3, std::log1p(least.rarest_missing), std::log1p(least.rarest_missing3), std::log1p(least.missing3),
                            least.numbers_missing3, least.names_missing3, apart.over8, apart.over20, apart.over60, std::log1p(apart.heaviest), apart.mean, apart.worst_part,
                            tokens.mean, tokens.least, tokens.least3, tokens.tenth, tokens.under_half, tokens.least_part, pairs.together, pairs.best, pairs.least_part, pairs.mean_part,
                            share(all.names_missing, said_names), share(top.names_missing, said_names), share(all.numbers_missing, said_numbers), all.years_missing, top.years_missing,
                            window(30), window(60), window(150)};
  static_assert(std::size(columns) == std::size_t{kJudgeColumns});
  out.x = Eigen::Map<const Eigen::VectorXd>(columns, kJudgeColumns);
  out.x.tail(kJudgeColumns - columns_read).setZero();
  return out;
}

}  // namespace understudy::specialists
