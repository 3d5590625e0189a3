#pragma once
/// Replies of the routes that ask about texts. Pure.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/inference_request.h"
#include "specialists/registry.h"

namespace understudy::specialists {
struct IntentPrediction;
}

namespace understudy::gateway::internal {

/// The specialist that a request for `route` means: by its name, or the only one where none is named. kModelNotFound with what there is;
/// kInvalidRequest where several could be meant.
Result<specialists::SpecialistPtr> find_specialist(const specialists::Registry& registry, std::string_view model, std::string_view route);

/// The reply of POST /v1/classify: all labels of each text. `predictions` are parallel to the request's texts; so are `vectors`, empty where the
/// words were enough, or there are none at all.
std::string classify_json(const specialists::NamedSpecialist& specialist, const chat::ClassifyRequest& request, std::span<const specialists::IntentPrediction> predictions,
                          std::span<const std::vector<float>> vectors);

/// The reply of POST /v1/embeddings by our own encoder: `vectors` row by row, as numbers or as base64 of little-endian floats.
std::string embeddings_json(std::string_view model, std::span<const float> vectors, std::size_t dimension, bool base64, std::int64_t tokens);

/// The reply of POST /v1/score for cosines, which are no probabilities: `calibration` is null.
std::string cosines_json(std::string_view model, std::span<const double> cosines, std::int64_t tokens);

}  // namespace understudy::gateway::internal
