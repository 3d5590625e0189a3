#pragma once
/// What the reranker's first rung reads of a query and its documents: words, word pairs and pieces of words, how rare they are, lengths, numbers and
/// names, the kind of question, and, where there is an encoder, a cosine. Each of the main ones also against the best and the mean of the
/// list: the same score means more where the others' is lower.

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "retrieval/hashed_text.h"

namespace understudy::specialists {

/// Kinds of query that are calibrated apart: by the first of these words that a query has. English; other languages are "other".
inline constexpr std::array<std::string_view, 8> kQueryTypes = {"other", "who", "what", "when", "where", "how", "which", "why"};
std::size_t query_type(std::string_view query);

/// How many documents of the training hold each term, and how long they are. Immutable once learnt.
class TermStatistics {
 public:
  static TermStatistics learn(std::span<const std::string_view> documents);
  /// From stored parts. @param buckets  ascending, below retrieval::kBuckets; @param counts  as many
  static TermStatistics restore(std::vector<std::uint32_t> buckets, std::vector<std::uint32_t> counts, std::uint32_t documents, double mean_words);

  /// log(1 + (n - df + 0.5) / (df + 0.5)); a term that was in one document or none counts as in one.
  double rarity(std::uint32_t bucket) const;
  double mean_words() const { return mean_words_; }
  std::uint32_t documents() const { return documents_; }
  std::span<const std::uint32_t> buckets() const { return buckets_; }  ///< of the terms in two documents or more
  std::span<const std::uint32_t> counts() const { return counts_; }

 private:
  std::vector<std::uint32_t> buckets_, counts_;
  std::uint32_t documents_ = 0;
  double mean_words_ = 1;
};

/// Not thread-safe: owns scratch memory.
class RerankFeatures {
 public:
  static constexpr Eigen::Index kColumns = 30;

  explicit RerankFeatures(const TermStatistics& statistics) : statistics_(statistics) {}
  /// Documents x kColumns, finite. @param cosines  of the query's vector and each document's; empty: there is no encoder, and their columns are 0
  Eigen::MatrixXd of(std::string_view query, std::span<const std::string_view> documents, std::span<const float> cosines);

 private:
  const TermStatistics& statistics_;
  retrieval::TermExtractor extractor_;
  retrieval::Terms query_terms_, terms_;
};

}  // namespace understudy::specialists
