#pragma once
/// Replies of the routes that ask about texts. Pure.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/inference_request.h"
#include "chat/rerank_request.h"
#include "specialists/registry.h"

namespace understudy::specialists {
struct AnswerJudgement;
struct IntentPrediction;
struct RerankScore;
}

namespace understudy::gateway::internal {

/// The specialist of closed answers that a request for `route` means: by its name, or the only one where none is named. kModelNotFound with what
/// there is; kInvalidRequest where several could be meant, or it is of another kind.
Result<specialists::SpecialistPtr> find_specialist(const specialists::Registry& registry, std::string_view model, std::string_view route);

/// The reply of POST /v1/classify: all labels of each text. `predictions` are parallel to the request's texts; so are `vectors`, empty where the
/// words were enough, or there are none at all.
std::string classify_json(const specialists::NamedSpecialist& specialist, const chat::ClassifyRequest& request, std::span<const specialists::IntentPrediction> predictions,
                          std::span<const std::vector<float>> vectors);

/// The reply of POST /v1/embeddings by our own encoder: `vectors` row by row, as numbers or as base64 of little-endian floats.
std::string embeddings_json(std::string_view model, std::span<const float> vectors, std::size_t dimension, bool base64, std::int64_t tokens);

/// The reply of POST /v1/score. @param specialist  null: cosines, which are no probabilities, and `calibration` is null
/// @param tokens  nullopt: by rule of thumb
std::string scores_json(const specialists::NamedSpecialist* specialist, const chat::ScoreRequest& request, std::span<const double> scores, std::optional<std::int64_t> tokens);

/// The same of a judge of answers: of responses the keys of `understudy predict`, with the scale that they are on; of preferences choice and probability.
std::string judgements_json(const specialists::NamedSpecialist& specialist, const chat::ScoreRequest& request, std::span<const specialists::AnswerJudgement> said);

/// The reply of POST /v1/rerank, in the form of the request: Cohere's and Jina's in one, or TEI's bare list. The most relevant first, those alike in their
/// order. @param specialist  null: `scores` are cosines, which `meta.warnings` says
std::string rerank_json(const specialists::NamedSpecialist* specialist, const chat::RerankRequest& request, std::span<const specialists::RerankScore> scores, std::string_view request_id);

/// Whether errors of a path go out as Cohere's do.
bool is_cohere_path(std::string_view path);
/// {"message": ...}
std::string cohere_error_body(const Error& error);
/// {"error": ..., "error_type": ...}, with the status that TEI gives.
std::pair<int, std::string> tei_error(const Error& error);

}  // namespace understudy::gateway::internal
