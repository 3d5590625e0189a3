#pragma once
#include <string_view>

#include "cascade/bound_specialist.h"
#include "chat/request.h"

namespace understudy::cascade {

/// Whether a bound specialist may answer a request at all: a plain one for one closed answer, in a form that its answers have.
bool may_answer(const BoundSpecialist& bound, const chat::ChatRequest& request, std::string_view body);

}  // namespace understudy::cascade
