#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace understudy::gateway::internal {

/// The body of POST /v1/feedback.
struct Feedback {
  std::string request_id;
  std::string source;             ///< "" where the client named none
  std::optional<double> score;    ///< -1..1; true and false are 1 and -1
  std::string label, correction, comment;

  /// The right answer, where it was told.
  const std::string& truth() const { return correction.empty() ? label : correction; }
};

/// kInvalidRequest with `param` set where a field is missing, unknown or of the wrong type, or where nothing is said.
Result<Feedback> parse_feedback(std::string_view body);

}  // namespace understudy::gateway::internal
