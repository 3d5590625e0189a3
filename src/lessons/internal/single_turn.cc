#include "lessons/internal/single_turn.h"

#include <simdjson.h>

namespace understudy::lessons::internal {

bool is_single_turn(const UsableLesson& lesson) {
  if (lesson.messages.empty()) return true;
  simdjson::dom::parser parser;
  simdjson::dom::array messages;
  if (parser.parse(lesson.messages).get_array().get(messages)) return false;
  std::string_view role;
  return messages.size() == 1 && messages.at(0)["role"].get_string().get(role) == simdjson::SUCCESS && role == "user";
}

}  // namespace understudy::lessons::internal
