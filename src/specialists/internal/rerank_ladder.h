#pragma once
/// Which rungs a reranker has, and which documents go on to each.

#include "base/error.h"
#include "specialists/internal/held_rows.h"

namespace understudy::specialists::internal {

struct RerankLadder {
  Gate to_vectors, to_cross;
  bool with_rung = true;  ///< the cross-encoder's score is weighed with the rung before
  double words_ndcg10 = 0, vectors_ndcg10 = 0, cross_ndcg10 = 0;  ///< of each rung for all documents of the sample; 0: not there
};

/// The cheapest that orders the sample's queries at most `tolerance` of nDCG@10 worse than the best rung for every document. A rung of another domain can harm; then it is
/// left out.
Result<RerankLadder> choose_ladder(const HeldRows& held, const Sample& sample, double tolerance);

/// Where each row ends on it.
RerankPath path_on(const HeldRows& held, const RerankLadder& ladder);

}  // namespace understudy::specialists::internal
