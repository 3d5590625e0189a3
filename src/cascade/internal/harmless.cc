#include "cascade/internal/harmless.h"

#include <simdjson.h>

namespace understudy::cascade::internal {
namespace {

/// The text of a stored assistant message; nullopt where it was not kept, or only in part.
std::optional<std::string> text_of(const store::Body& message) {
  if (!message.stored || message.truncated()) return std::nullopt;
  simdjson::dom::parser parser;
  std::string_view content;
  if (parser.parse(message.text)["content"].get_string().get(content)) return std::nullopt;
  return std::string(content);
}

}  // namespace

std::vector<bool> harmless_rungs(const store::RequestDetail& detail, const std::vector<Rung>& ladder, std::string_view truth,
                                 const std::optional<calibration::ComparatorSpec>& compare) {
  calibration::ComparatorSpec spec;
  if (compare) {
    spec = *compare;
  } else {
    spec.comparator = calibration::default_comparator({truth});
  }
  std::optional<bool> teacher_right;
  std::vector<std::optional<bool>> right(ladder.size());
  for (const store::AttemptRecord& attempt : detail.attempts) {
    const auto text = text_of(attempt.answer);
    if (!text) continue;
    const bool is_right = calibration::agrees(spec, *text, truth);
    if (attempt.stage == Stage::kTeacher && !teacher_right) teacher_right = is_right;
    for (std::size_t i = 0; i < ladder.size(); ++i) {
      if (ladder[i].name == attempt.rung && !ladder[i].signal) right[i] = is_right;
    }
  }
  std::vector<bool> harmless(ladder.size());
  for (std::size_t i = 0; i < ladder.size(); ++i) {
    const std::optional<bool>& own = right[ladder[i].of];
    harmless[i] = (own && *own) || (teacher_right && !*teacher_right);
  }
  return harmless;
}

}  // namespace understudy::cascade::internal
