#pragma once
/// Replies of the routes that ask about texts. Pure.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/inference_request.h"
#include "specialists/registry.h"

namespace understudy::gateway::internal {

/// The specialist that a request for `route` means: by its name, or the only one where none is named. kModelNotFound with what there is;
/// kInvalidRequest where several could be meant.
Result<specialists::SpecialistPtr> find_specialist(const specialists::Registry& registry, std::string_view model, std::string_view route);

/// The reply of POST /v1/classify. `predictions` are parallel to the request's texts.
std::string classify_json(const specialists::NamedSpecialist& specialist, const chat::ClassifyRequest& request, std::span<const specialists::IntentPrediction> predictions);

}  // namespace understudy::gateway::internal
