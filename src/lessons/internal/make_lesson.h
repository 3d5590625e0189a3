#pragma once
/// A lesson from what a request has shown.

#include <optional>
#include <string>
#include <string_view>

#include "base/redact.h"
#include "lessons/offer.h"

namespace understudy::lessons::internal {

/// Longer ones teach little and cost much.
inline constexpr std::size_t kMostInputBytes = 64 * 1024;
inline constexpr std::size_t kMostAnswerBytes = 64 * 1024;

/// An answer-only lesson with redacted texts, without an id: a candidate. kInvalidRequest where nothing can be learned from it: no answer
/// text, no user message, or more than the bytes above.
Result<Lesson> make_lesson(const LessonOffer& offer, const Redactor& redact);

/// The system and developer messages of a request as a JSON array; "" where there are none, or it is no request.
std::string instructions_of(std::string_view body);

}  // namespace understudy::lessons::internal
