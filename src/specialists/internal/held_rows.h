#pragma once
/// Rows that nothing was trained on, read once by every rung: what any ladder says of them is then arithmetic. And parts of them: the same done on some queries and
/// tried on others.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "specialists/internal/rerank_parts.h"
#include "specialists/rerank_specialist.h"

namespace understudy::specialists::internal {

/// nullopt: there is no such rung.
using Gate = std::optional<RerankGate>;

/// What reads them.
struct RerankReader {
  const TermStatistics& terms;
  const TermStatistics& stems;
  const RerankRung& words;
  const RerankRung* vectors;  ///< null: there is none
  bool places;                ///< as RerankFeatures::words takes them
};

/// Some queries, and the rows of those.
struct Sample {
  std::vector<std::vector<std::uint32_t>> queries;
  std::vector<std::uint32_t> rows;
};
struct Fold {
  Sample rest, test;
};

/// How far up a ladder each row comes: the rung it ends at, and the log-odds of its line or trees there (of the rung before where that is the cross-encoder).
struct RerankPath {
  std::vector<RerankStep> step;
  std::vector<std::uint8_t> at_vectors;
  std::vector<double> log_odds;
};

/// Not copied: it points into the rows and the rungs, which outlive it. Constant once read.
class HeldRows {
 public:
  HeldRows(const RerankRows& rows, const RerankReader& reader) : rows_(rows), reader_(reader), n_(rows.rows.size()) {}
  HeldRows(const HeldRows&) = delete;
  HeldRows& operator=(const HeldRows&) = delete;
  /// Once, first. kInvalidRequest: all rows are relevant, or none is; what an engine says that fails.
  Result<void> read(const RerankEngines& engines);

  std::size_t size() const { return n_; }
  bool has_vectors() const { return has_vectors_; }
  bool has_cross() const { return has_cross_; }
  const std::vector<double>& words() const { return words_; }      ///< log-odds by row
  const std::vector<double>& vectors() const { return vectors_; }  ///< the same, each row read by both rungs
  const std::vector<double>& cross() const { return cross_; }      ///< the cross-encoder's scores; 0 where there is none
  const std::vector<double>& gain() const { return gain_; }        ///< 0 where not relevant
  const std::vector<std::uint8_t>& relevant() const { return relevant_; }
  const std::vector<std::size_t>& type() const { return type_; }  ///< kind of its query
  const std::vector<double>& place() const { return place_; }     ///< in its query's list, from 1
  double weight(std::size_t row) const { return rows_.rows[row].weight; }

  Sample all() const;
  std::vector<Fold> folds() const;  ///< five, over queries, the same each time

  /// From the words to the vectors.
  RerankPath climb(const Gate& to_vectors) const;
  /// And on to the cross-encoder.
  void climb_on(const Gate& to_cross, RerankPath& path) const;

 private:
  Result<void> read_query(const std::vector<std::uint32_t>& places, const RerankEngines& engines, RerankFeatures& features);

  const RerankRows& rows_;
  const RerankReader reader_;
  const std::size_t n_;
  bool has_vectors_ = false, has_cross_ = false;
  std::vector<Eigen::MatrixXd> x_;  ///< features of words, by query
  std::vector<Likeness> likeness_;
  std::vector<double> words_, vectors_, cross_, gain_, place_;
  std::vector<std::uint8_t> relevant_;
  std::vector<std::size_t> type_;
};

}  // namespace understudy::specialists::internal
