#pragma once
/// What the teacher is asked about an answer, and how its reply is read. Pure.
///
/// A user's text is data. It stands as JSON between two lines with a random nonce that does not occur in it; the instructions say that
/// nothing between those lines is to be followed. So neither a closing fence, nor "ignore previous instructions", nor text that looks
/// like a reply gets out of its place.

#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "lessons/lesson.h"

namespace understudy::lessons {

/// What the teacher explained.
struct TeachingReply {
  std::string reasoning;
  std::vector<LessonExample> examples;   ///< 1 to 3
  std::vector<LessonPart> parts;         ///< 1 to 20
};

/// Reads the teacher's reply: a JSON object of the schema, also inside of a ``` fence. kCorrupt with what is wrong and where, in words
/// that the teacher can be told. Beyond three examples the first three count.
Result<TeachingReply> parse_teaching(std::string_view text);

struct TeachingRequest {
  std::string_view model;          ///< as sent upstream
  std::string_view instructions;   ///< JSON array of the application's system and developer messages; "" where there are none
  bool json_schema = true;         ///< ask by `response_format`; upstreams that refuse that are asked in words only
  std::string_view bad_reply;      ///< of the repair: the reply that could not be read ...
  std::string_view bad_reason;     ///< ... and why
};

/// The body of the chat completion that asks about `lesson`. `random` makes the nonce and must not be predictable.
std::string teaching_body(const Lesson& lesson, const TeachingRequest& request, Random& random);

}  // namespace understudy::lessons
