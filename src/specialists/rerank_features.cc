#include "specialists/rerank_features.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "base/assert.h"
#include "retrieval/stem_words.h"
#include "specialists/judge_features.h"

namespace understudy::specialists {
namespace {

constexpr double kSaturation = 1.2, kLengthShare = 0.75;  // BM25's k1 and b
constexpr Eigen::Index kRelative = 7;                     // of these columns also the distance to the list's best and to its mean

bool is_word(std::uint32_t bucket) { return bucket < retrieval::kBucketsPerBlock; }

std::size_t words_of(const retrieval::Terms& terms) {
  std::size_t words = 0;
  for (const auto& term : terms) words += is_word(term.bucket) ? term.count : 0;
  return words;
}

/// Shares of the words that have a digit, and that begin with a capital, the text's first word aside.
std::pair<double, double> digits_and_capitals(std::string_view text) {
  double words = 0, digits = 0, capitals = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = text.find_first_not_of(" \t\r\n", at);
    if (begin == std::string_view::npos) break;
    at = std::min(text.find_first_of(" \t\r\n", begin), text.size());
    const std::string_view word = text.substr(begin, at - begin);
    if (word.find_first_of("0123456789") != std::string_view::npos) ++digits;
    if (words > 0 && word[0] >= 'A' && word[0] <= 'Z') ++capitals;
    ++words;
  }
  return {digits / std::max(words, 1.0), capitals / std::max(words, 1.0)};
}

}  // namespace

std::size_t query_type(std::string_view query) {
  for (std::size_t at = 0; at < query.size();) {
    std::string word;
    for (; at < query.size(); ++at) {
      const char c = query[at];
      if (c >= 'A' && c <= 'Z') word += static_cast<char>(c + ('a' - 'A'));
      else if (c >= 'a' && c <= 'z') word += c;
      else break;
    }
    ++at;
    if (word == "whom" || word == "whose") return 1;
    for (std::size_t type = 1; type < kQueryTypes.size(); ++type)
      if (word == kQueryTypes[type]) return type;
  }
  return 0;
}

TermStatistics TermStatistics::learn(std::span<const std::string_view> documents) {
  retrieval::TermExtractor extractor;
  retrieval::Terms terms;
  retrieval::TermFrequencies frequencies;
  double words = 0;
  for (const std::string_view document : documents) {
    extractor.extract(document, terms);
    frequencies.count(terms);
    words += static_cast<double>(words_of(terms));
  }
  TermStatistics out;
  out.documents_ = frequencies.texts();
  out.mean_words_ = documents.empty() ? 1 : std::max(words / static_cast<double>(documents.size()), 1.0);
  for (std::uint32_t bucket = 0; bucket < retrieval::kBuckets; ++bucket) {
    if (frequencies.texts_with(bucket) < 2) continue;
    out.buckets_.push_back(bucket);
    out.counts_.push_back(frequencies.texts_with(bucket));
  }
  return out;
}

TermStatistics TermStatistics::restore(std::vector<std::uint32_t> buckets, std::vector<std::uint32_t> counts, std::uint32_t documents, double mean_words) {
  UNDERSTUDY_ASSERT(buckets.size() == counts.size() && std::ranges::is_sorted(buckets));
  TermStatistics out;
  out.buckets_ = std::move(buckets);
  out.counts_ = std::move(counts);
  out.documents_ = documents;
  out.mean_words_ = mean_words;
  return out;
}

double TermStatistics::rarity(std::uint32_t bucket) const {
  const auto found = std::ranges::lower_bound(buckets_, bucket);
  const double with = found != buckets_.end() && *found == bucket ? counts_[static_cast<std::size_t>(found - buckets_.begin())] : 1;
  return std::log1p(std::max(documents_ - with + 0.5, 0.0) / (with + 0.5));
}

TermStatistics stem_statistics(std::span<const std::string_view> documents) {
  std::map<std::uint32_t, std::uint32_t> with;
  double words = 0;
  for (const std::string_view document : documents) {
    auto stems = retrieval::stem_words(document.substr(0, retrieval::kReadBytes));
    words += static_cast<double>(stems.size());
    std::ranges::sort(stems);
    stems.erase(std::unique(stems.begin(), stems.end()), stems.end());
    for (const std::uint32_t stem : stems) ++with[stem];
  }
  std::vector<std::uint32_t> buckets, counts;
  for (const auto& [bucket, count] : with) {
    if (count < 2) continue;
    buckets.push_back(bucket);
    counts.push_back(count);
  }
  const double mean = documents.empty() ? 1 : std::max(words / static_cast<double>(documents.size()), 1.0);
  return TermStatistics::restore(std::move(buckets), std::move(counts), static_cast<std::uint32_t>(documents.size()), mean);
}

namespace {

/// The query's stems, each once, with their rarity.
std::vector<std::pair<std::uint32_t, double>> rare_stems(const TermStatistics& statistics, std::string_view query) {
  auto stems = retrieval::stem_words(query.substr(0, retrieval::kReadBytes));
  std::ranges::sort(stems);
  stems.erase(std::unique(stems.begin(), stems.end()), stems.end());
  std::vector<std::pair<std::uint32_t, double>> out;
  for (const std::uint32_t stem : stems) out.emplace_back(stem, statistics.rarity(stem));
  return out;
}

/// Place of a stem in such a list; its size where it is not there.
std::size_t place_of(const std::vector<std::pair<std::uint32_t, double>>& query, std::uint32_t stem) {
  const auto found = std::ranges::lower_bound(query, stem, {}, &std::pair<std::uint32_t, double>::first);
  return found != query.end() && found->first == stem ? static_cast<std::size_t>(found - query.begin()) : query.size();
}

/// What the stems say of a document.
struct StemMatch {
  double bm25 = 0;      ///< over the most that it could be
  double covered = 0;   ///< share of the query's rarity
  double best = 0;      ///< the same of the best sentence
  double pairs = 0;     ///< share of the query's neighbouring words that stand within kNear words here, in their order
  double first = 1;     ///< where the first hit stands, as a share of the text
  double density = 0;   ///< share of the words that are the query's
};

constexpr std::size_t kNear = 4;

class StemMatcher {
 public:
  StemMatcher(const TermStatistics& statistics, std::string_view query) : statistics_(statistics), query_(rare_stems(statistics, query)) {
    for (const std::uint32_t stem : retrieval::stem_words(query.substr(0, retrieval::kReadBytes))) order_.push_back(place_of(query_, stem));
    for (const auto& [stem, rarity] : query_) total_ += rarity;
  }

  StemMatch match(std::string_view document) const {
    StemMatch out;
    document = document.substr(0, retrieval::kReadBytes);
    std::vector<double> count(query_.size(), 0.0);
    std::vector<std::uint32_t> round(query_.size(), 0), last(query_.size(), 0);  // last: place of the stem, from 1
    std::vector<std::uint8_t> near(order_.size(), 0);
    std::uint32_t at = 0, sentence = 0, hits = 0, first = 0;
    for (const std::string_view text : sentences_of(document)) {
      ++sentence;
      double here = 0;
      for (const std::uint32_t stem : retrieval::stem_words(text)) {
        ++at;
        const std::size_t q = place_of(query_, stem);
        if (q == query_.size()) continue;
        ++hits;
        if (first == 0) first = at;
        ++count[q];
        if (round[q] != sentence) here += query_[q].second;
        round[q] = sentence;
        last[q] = at;
        for (std::size_t o = 1; o < order_.size(); ++o)
          if (order_[o] == q && last[order_[o - 1]] > 0 && at - last[order_[o - 1]] <= kNear) near[o] = 1;
      }
      out.best = std::max(out.best, here);
    }
    const double length = 1 - kLengthShare + kLengthShare * at / statistics_.mean_words();
    for (std::size_t q = 0; q < query_.size(); ++q) {
      if (count[q] == 0) continue;
      out.covered += query_[q].second;
      out.bm25 += query_[q].second * count[q] / (count[q] + kSaturation * length);
    }
    out.covered /= total_;
    out.best /= total_;
    out.bm25 /= total_;
    if (order_.size() > 1) out.pairs = static_cast<double>(std::ranges::count(near, 1)) / static_cast<double>(order_.size() - 1);
    if (first > 0) out.first = first / static_cast<double>(at);
    if (at > 0) out.density = hits / static_cast<double>(at);
    return out;
  }

 private:
  const TermStatistics& statistics_;
  std::vector<std::pair<std::uint32_t, double>> query_;
  std::vector<std::size_t> order_;  // places in query_, as the query has them
  double total_ = 1e-9;
};

/// To columns [from, from + count) also the distance to the list's best and to its mean, from column `to` on.
void add_relative(Eigen::MatrixXd& x, Eigen::Index from, Eigen::Index count, Eigen::Index to) {
  for (Eigen::Index c = 0; c < count && x.rows() > 0; ++c) {
    const auto column = x.col(from + c).array();
    x.col(to + 2 * c) = column - column.maxCoeff();
    x.col(to + 2 * c + 1) = column - column.mean();
  }
}

}  // namespace

Eigen::MatrixXd RerankFeatures::words(std::string_view query, std::span<const std::string_view> documents, bool places) {
  Eigen::MatrixXd x = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(documents.size()), kWordColumns);
  extractor_.extract(query, query_terms_);
  retrieval::sort_terms(query_terms_);
  std::vector<double> rarity;
  double word_rarity = 1e-9, piece_rarity = 1e-9, query_square = 1e-9, rarest = 1e-9;
  for (const auto& term : query_terms_) {
    const double r = terms_statistics_.rarity(term.bucket), weight = (1 + std::log(term.count)) * r;
    rarity.push_back(r);
    (is_word(term.bucket) ? word_rarity : piece_rarity) += r;
    if (is_word(term.bucket)) rarest = std::max(rarest, r);
    query_square += weight * weight;
  }
  const StemMatcher matcher(stems_, query);
  const std::size_t type = query_type(query);
  for (Eigen::Index d = 0; d < x.rows(); ++d) {
    const std::string_view document = documents[static_cast<std::size_t>(d)];
    extractor_.extract(document, terms_);
    retrieval::sort_terms(terms_);
    const auto words = static_cast<double>(words_of(terms_));
    const double length = 1 - kLengthShare + kLengthShare * words / terms_statistics_.mean_words();
    double bm25 = 0, covered_words = 0, covered_pieces = 0, product = 0, square = 1e-9, matches = 0, rarest_match = 0;
    std::size_t q = 0;
    for (const auto& term : terms_) {
      const double log_count = 1 + std::log(term.count);
      while (q < query_terms_.size() && query_terms_[q].bucket < term.bucket) ++q;
      const bool hit = q < query_terms_.size() && query_terms_[q].bucket == term.bucket;
      const double r = hit ? rarity[q] : terms_statistics_.rarity(term.bucket);
      square += log_count * r * log_count * r;
      if (!hit) continue;
      product += log_count * r * (1 + std::log(query_terms_[q].count)) * r;
      if (!is_word(term.bucket)) {
        covered_pieces += r;
        continue;
      }
      const double count = term.count;
      bm25 += r * count * (kSaturation + 1) / (count + kSaturation * length);
      covered_words += r;
      matches += 1;
      rarest_match = std::max(rarest_match, r);
    }
    const auto [digits, capitals] = digits_and_capitals(document);
    const StemMatch stems = matcher.match(document);
    Eigen::Index c = 0;
    for (const double value : {bm25, product / std::sqrt(square * query_square), covered_words / word_rarity, covered_pieces / piece_rarity, stems.bm25, stems.covered, stems.best,  // kRelative
                               rarest_match / rarest, matches, std::log1p(words), std::log1p(static_cast<double>(query_terms_.size())), digits, capitals,
                               std::log1p(static_cast<double>(documents.size())), stems.pairs, stems.first, stems.density})
      x(d, c++) = value;
    x(d, c + static_cast<Eigen::Index>(type)) = 1;
    if (!places) continue;
    x(d, kWordColumns - 2) = static_cast<double>(d) / std::max(static_cast<double>(x.rows() - 1), 1.0);
    x(d, kWordColumns - 1) = std::log1p(static_cast<double>(d));
  }
  add_relative(x, 0, kRelative, kWordColumns - kPlaceColumns - 2 * kRelative);
  return x;
}

Eigen::MatrixXd RerankFeatures::with_vectors(const Eigen::MatrixXd& words, std::span<const Likeness> likeness) {
  UNDERSTUDY_ASSERT(words.cols() == kWordColumns && static_cast<std::size_t>(words.rows()) == likeness.size());
  constexpr Eigen::Index kMain = (kColumns - kWordColumns) / 3;
  Eigen::MatrixXd x(words.rows(), kColumns);
  x.leftCols(kWordColumns) = words;
  for (Eigen::Index d = 0; d < x.rows(); ++d) {
    const Likeness& l = likeness[static_cast<std::size_t>(d)];
    Eigen::Index c = kWordColumns;
    for (const float value : {l.cosine, l.query, l.worst, l.document}) x(d, c++) = static_cast<double>(value);
  }
  add_relative(x, kWordColumns, kMain, kWordColumns + kMain);
  return x;
}

BestPassage::BestPassage(const TermStatistics& stems, std::string_view query) : query_(rare_stems(stems, query)) {}

std::string_view BestPassage::of(std::string_view document) const {
  if (document.size() <= kPassageWords) return document;  // no more words than bytes
  const std::string_view text = document.substr(0, retrieval::kReadBytes);
  const auto sentences = sentences_of(text);
  std::vector<std::vector<std::uint32_t>> words;
  std::size_t total = 0;
  for (const std::string_view sentence : sentences) {
    words.push_back(retrieval::stem_words(sentence));
    total += words.back().size();
  }
  if (total <= kPassageWords || sentences.empty()) return document;
  double best = -1;
  std::size_t best_begin = 0, best_end = 0;
  for (std::size_t begin = 0; begin < sentences.size(); ++begin) {
    std::vector<std::uint32_t> seen(query_.size(), 0);
    double covered = 0;
    std::size_t length = 0, end = begin;
    for (; end < sentences.size() && (end == begin || length + words[end].size() <= kPassageWords); ++end) {
      length += words[end].size();
      for (const std::uint32_t stem : words[end]) {
        const std::size_t q = place_of(query_, stem);
        if (q < query_.size()) covered += query_[q].second / (1 + 3 * seen[q]++);  // a word said again counts a little
      }
    }
    if (covered <= best) continue;
    best = covered;
    best_begin = begin;
    best_end = end;
  }
  const char* const from = sentences[best_begin].data();
  const char* const to = sentences[best_end - 1].data() + sentences[best_end - 1].size();
  return {from, static_cast<std::size_t>(to - from)};
}

}  // namespace understudy::specialists
