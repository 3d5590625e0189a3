#pragma once
/// How good an order is. `score` and `gain` hold one number a document of one query, n >= 1; greater scores come first, equal scores in
/// the order given. A document with gain > 0 is relevant. Pure, thread-safe; O(n log n). 0 where nothing is relevant: leave such queries out.

#include <cstddef>
#include <span>
#include <vector>

namespace understudy::calibration {

/// Places of the documents, best first.
std::vector<std::size_t> ranked(std::span<const double> score);

/// Normalised discounted cumulative gain of the first `depth`: sum of gain / log2(1 + rank), over that of the best order. Gains as they are,
/// as trec_eval takes them. Jarvelin and Kekalainen 2002.
double ndcg(std::span<const double> score, std::span<const double> gain, std::size_t depth);

/// 1 / rank of the first relevant document, 0 where it is behind `depth`.
double reciprocal_rank(std::span<const double> score, std::span<const double> gain, std::size_t depth);

/// Mean, over relevant documents, of the share of relevant ones down to each.
double average_precision(std::span<const double> score, std::span<const double> gain);

}  // namespace understudy::calibration
