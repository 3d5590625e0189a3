#pragma once
/// What the reranker's rungs read of a query and its documents. Words: whole, by their stems, in pairs and in pieces, how rare they are, in the best sentence, lengths,
/// numbers and names, the kind of question, the place in the list. Vectors: cosines of the texts and of their tokens. Each of the main ones also against the
/// best and the mean of the list: the same score means more where the others' is lower.

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "retrieval/hashed_text.h"
#include "specialists/late_interaction.h"

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

/// The same of words by their stems, for a `stems` below.
TermStatistics stem_statistics(std::span<const std::string_view> documents);

/// Not thread-safe: owns scratch memory.
class RerankFeatures {
 public:
  static constexpr Eigen::Index kWordColumns = 41, kColumns = kWordColumns + 12;
  static constexpr Eigen::Index kPlaceColumns = 2;  ///< the last of the words': the document's place in the list

  RerankFeatures(const TermStatistics& terms, const TermStatistics& stems) : terms_statistics_(terms), stems_(stems) {}
  /// Documents x kWordColumns, finite. Of each document the first retrieval::kReadBytes are read.
  /// @param places  false: the place columns are 0, and the order of the documents does not matter
  Eigen::MatrixXd words(std::string_view query, std::span<const std::string_view> documents, bool places);
  /// Rows x kColumns: `words` of some documents of one query, with how like the query they are.
  static Eigen::MatrixXd with_vectors(const Eigen::MatrixXd& words, std::span<const Likeness> likeness);

 private:
  const TermStatistics& terms_statistics_;
  const TermStatistics& stems_;
  retrieval::TermExtractor extractor_;
  retrieval::Terms query_terms_, terms_;
};

/// Of a document of more than kPassageWords words the run of sentences, up to so many words, that has most of the query's rare words: what the cross-encoder reads. Others
/// as they are. Part of `document`. Thread-safe.
class BestPassage {
 public:
  static constexpr std::size_t kPassageWords = 80;
  BestPassage(const TermStatistics& stems, std::string_view query);
  std::string_view of(std::string_view document) const;

 private:
  std::vector<std::pair<std::uint32_t, double>> query_;  ///< stems with their rarity, sorted
};

}  // namespace understudy::specialists
