#pragma once
/// How well queries that a ladder had not seen are ordered by it, and as they came: what decides whether that order is kept (rerank_order.h).
///
/// Two kinds of rows can say it. Training queries, in the cross-validation that chooses between line and trees: the rungs of words and vectors had not seen them, and no gate
/// was chosen by them. Held-back queries: no rung was fitted to them, but the ladder is chosen on them, so each is ordered by one that was chosen and calibrated on the
/// other folds. Both are used, since few of either show little. A cross-encoder has read all training queries: where the ladder has one, only those held back count.
/// Folds share most of their training rows, so the values are not quite independent, and the bound is a little too sure; rungs fitted to four fifths are a little worse than
/// the ones that serve, which works the other way.

#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "specialists/internal/rerank_ladder.h"

namespace understudy::specialists::internal {

/// nDCG@10 by query.
struct OrderEvidence {
  std::vector<double> came, reranked;
};

/// Of training queries.
struct UnseenOrders {
  OrderEvidence words, vectors;
};

/// Of the queries whose documents are not all alike; those whose text stands under several qids are left out, since a fold that is fitted may have the same.
/// @param says  by way of scoring (a line, trees): what a fit without the row's fold says of each row. The way for a query is the one that orders the other folds best
/// @param fold  of each query
OrderEvidence evidence_of_training(const RerankRows& rows, std::span<const std::vector<double>> says, const std::vector<std::size_t>& fold);

/// Of the queries held back. A fold without which no ladder can be fitted says nothing.
OrderEvidence evidence_of_held(const HeldRows& held, double tolerance);

}  // namespace understudy::specialists::internal
