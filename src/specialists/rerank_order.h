#pragma once
/// The order in which documents come against the one that a ladder gives them. A first stage may order better than what was trained on a few of its lists; then its order
/// is kept: a document's score falls with its place, and nothing is read.

#include <cstddef>
#include <optional>
#include <span>

#include "base/error.h"

namespace understudy {
class JsonWriter;
}

namespace understudy::specialists {

/// How both order queries that the ladder had not seen.
struct RerankOrder {
  static constexpr double kConfidence = 0.95;  ///< one-sided
  static constexpr std::size_t kFewest = 10;   ///< queries: fewer show nothing

  /// raw = intercept - slope * log(1 + place), places from 1.
  struct Line {
    static constexpr double kFlattest = 0.05, kSteepest = 100;  ///< bounds of `slope`
    double intercept = 0, slope = 1;
    double raw(std::size_t place) const;
  };

  std::size_t queries = 0;                         ///< whose documents are not all alike
  double came_ndcg10 = 0, reranked_ndcg10 = 0;     ///< means over these
  double at_least = -1;                            ///< that the mean of reranked - came is, with that confidence
  std::optional<Line> line;                        ///< where the order is kept

  double difference() const { return reranked_ndcg10 - came_ndcg10; }
  bool kept() const { return line.has_value(); }
  bool shown() const { return queries >= kFewest && at_least > 0; }  ///< the ladder orders better
};

/// @param came, reranked  nDCG@10 by query, as many, each query in both. `line` is left to the caller. At most one query: at_least is -1.
/// A paired test over queries: Student's lower bound of the mean difference.
RerankOrder compare_orders(std::span<const double> came, std::span<const double> reranked);

/// Least log loss, the slope within its bounds: falling whatever the rows say. @param place  from 1 @param relevant 0 or 1 @param weight  each as many, at least one
/// kInvalidRequest: all are relevant, or none is.
Result<RerankOrder::Line> fit_place_line(std::span<const double> place, std::span<const double> relevant, std::span<const double> weight);

/// The key "order" of specialist.json and of what is told.
void append_order(JsonWriter& w, const RerankOrder& order);

}  // namespace understudy::specialists
