#pragma once
/// Who answers about pairs of texts and about answers: rerankers, judges, or the encoder's cosines. Runs where it may block.

#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "cascade/policy.h"
#include "chat/inference_request.h"
#include "chat/rerank_request.h"
#include "specialists/answer_judge.h"
#include "specialists/registry.h"
#include "specialists/rerank_specialist.h"
#include "specialists/score_pool.h"

namespace understudy::gateway::internal {

/// What a request's model means.
struct PairModel {
  specialists::SpecialistPtr specialist;   ///< null: the cosine of the encoder's vectors

  std::string served_by() const;           ///< "specialist:NAME" or "encoder"
  std::string_view name() const;
  /// Whether it answers from words alone, in microseconds a text.
  bool words_alone(const specialists::ScorePool& pool) const;
};

/// Of POST /v1/rerank: a reranker by its name; without a name, or, where unknown names are let through (`unknown_model = "auto"`), with that of another service's model,
/// the only reranker, and where there is none the encoder. kModelNotFound, kInvalidRequest, each with what there is; kUnsupported: it cannot answer on this machine.
Result<PairModel> find_reranker(const cascade::Policy& policy, std::string_view model, const neural::EncoderPool* encoder);

/// Of POST /v1/score: a reranker or judge by its name, or the only one that reads such fields; understudy/encoder. Errors as above; kInvalidRequest too where it
/// reads other fields than the request has.
Result<PairModel> find_scorer(const cascade::Policy& policy, const chat::ScoreRequest& request, const neural::EncoderPool* encoder);

/// One a document. kCancelled once `stop` is asked for; kInternal: a runtime failed.
Result<std::vector<specialists::RerankScore>> relevance(const PairModel& model, specialists::ScorePool& pool, const chat::RerankRequest& request, std::stop_token stop);

/// One a pair, of a request with pairs. Pairs with the same first text are judged by a reranker as one list of documents. Errors as above.
Result<std::vector<double>> pair_scores(const PairModel& model, specialists::ScorePool& pool, const chat::ScoreRequest& request, std::stop_token stop);

/// One a response, or a pair of them, by a judge of answers. Errors as above.
Result<std::vector<specialists::AnswerJudgement>> answer_judgements(const specialists::NamedSpecialist& named, specialists::ScorePool& pool, const chat::ScoreRequest& request, std::stop_token stop);

}  // namespace understudy::gateway::internal
