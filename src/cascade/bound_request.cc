#include "cascade/bound_request.h"

#include "cascade/internal/learned.h"

namespace understudy::cascade {
namespace {

/// Whether the client asked for JSON: other answers are then none.
bool wants_json(const chat::ChatRequest& request, std::string_view body) {
  for (const auto& field : request.fields) {
    if (field.key == "response_format") return field.value.in(body).find("\"json_") != std::string_view::npos;
  }
  return false;
}

}  // namespace

bool may_answer(const BoundSpecialist& bound, const chat::ChatRequest& request, std::string_view body) {
  return internal::may_answer_closed(request) && (bound.json || !wants_json(request, body));
}

}  // namespace understudy::cascade
