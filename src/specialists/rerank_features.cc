#include "specialists/rerank_features.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/assert.h"

namespace understudy::specialists {
namespace {

constexpr double kSaturation = 1.2, kLengthShare = 0.75;  // BM25's k1 and b
constexpr Eigen::Index kRelative = 5;                     // of these columns also the distance to the list's best and to its mean

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

Eigen::MatrixXd RerankFeatures::of(std::string_view query, std::span<const std::string_view> documents, std::span<const float> cosines) {
  UNDERSTUDY_ASSERT(cosines.empty() || cosines.size() == documents.size());
  Eigen::MatrixXd x = Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(documents.size()), kColumns);
  extractor_.extract(query, query_terms_);
  retrieval::sort_terms(query_terms_);
  std::vector<double> rarity;
  double word_rarity = 1e-9, piece_rarity = 1e-9, query_square = 1e-9, rarest = 1e-9;
  for (const auto& term : query_terms_) {
    const double r = statistics_.rarity(term.bucket), weight = (1 + std::log(term.count)) * r;
    rarity.push_back(r);
    (is_word(term.bucket) ? word_rarity : piece_rarity) += r;
    if (is_word(term.bucket)) rarest = std::max(rarest, r);
    query_square += weight * weight;
  }
  const std::size_t type = query_type(query);
  for (Eigen::Index d = 0; d < x.rows(); ++d) {
    const std::string_view document = documents[static_cast<std::size_t>(d)];
    extractor_.extract(document, terms_);
    retrieval::sort_terms(terms_);
    const auto words = static_cast<double>(words_of(terms_));
    const double length = 1 - kLengthShare + kLengthShare * words / statistics_.mean_words();
    double bm25 = 0, covered_words = 0, covered_pieces = 0, product = 0, square = 1e-9, matches = 0, rarest_match = 0;
    std::size_t q = 0;
    for (const auto& term : terms_) {
      const double log_count = 1 + std::log(term.count);
      while (q < query_terms_.size() && query_terms_[q].bucket < term.bucket) ++q;
      const bool hit = q < query_terms_.size() && query_terms_[q].bucket == term.bucket;
      const double r = hit ? rarity[q] : statistics_.rarity(term.bucket);
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
    Eigen::Index c = 0;
    for (const double value : {bm25, product / std::sqrt(square * query_square), covered_words / word_rarity, covered_pieces / piece_rarity,
                               cosines.empty() ? 0.0 : static_cast<double>(cosines[static_cast<std::size_t>(d)]),  // the first kRelative of them
                               rarest_match / rarest, matches, std::log1p(words), std::log1p(static_cast<double>(query_terms_.size())), digits, capitals,
                               std::log1p(static_cast<double>(documents.size()))})
      x(d, c++) = value;
    x(d, c + static_cast<Eigen::Index>(type)) = 1;
  }
  const Eigen::Index relative = kColumns - 2 * kRelative;
  for (Eigen::Index c = 0; c < kRelative && x.rows() > 0; ++c) {
    x.col(relative + 2 * c) = x.col(c).array() - x.col(c).maxCoeff();
    x.col(relative + 2 * c + 1) = x.col(c).array() - x.col(c).mean();
  }
  return x;
}

}  // namespace understudy::specialists
