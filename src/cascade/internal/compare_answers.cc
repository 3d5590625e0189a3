#include "cascade/internal/compare_answers.h"

#include "base/json_writer.h"
#include "calibration/compare.h"

namespace understudy::cascade::internal {
namespace {

/// Tool calls in the API's form for the comparator; "" where there are none.
std::string tool_calls_json(const chat::Answer& answer) {
  std::string out;
  if (answer.tool_calls.empty()) return out;
  JsonWriter w(out);
  w.begin_array();
  for (const chat::ToolCall& call : answer.tool_calls) {
    w.begin_object().field("id", call.id).field("type", call.type).key("function").begin_object();
    w.field("name", call.name).field("arguments", call.arguments).end_object().end_object();
  }
  w.end_array();
  return out;
}

}  // namespace

Agreement compare_answers(const TaskConfig* task, const chat::Answer& cheap, const chat::Answer& teacher, const Verdicts* verdicts) {
  const std::string cheap_tools = tool_calls_json(cheap);
  const std::string teacher_tools = tool_calls_json(teacher);
  const calibration::AnswerView a{chat::answer_text(cheap), cheap_tools};
  const calibration::AnswerView b{chat::answer_text(teacher), teacher_tools};
  calibration::ComparatorSpec own;
  const calibration::ComparatorSpec* spec = &own;
  if (task != nullptr && task->compare) {
    spec = &*task->compare;
  } else {
    own.comparator = calibration::default_comparator(b);
  }
  Agreement agreement{std::nullopt, calibration::comparator_name(spec->comparator), std::nullopt};
  if (spec->comparator != calibration::Comparator::kJudge) {
    agreement.agrees = calibration::agrees(*spec, a, b);
    return agreement;
  }
  bool needed = false;
  std::optional<double> said;
  own = *spec;
  own.similarity = [&](std::string_view, std::string_view) {
    needed = true;
    if (const auto found = verdicts != nullptr ? verdicts->find(a.text) : Verdicts::const_iterator(); verdicts != nullptr && found != verdicts->end()) {
      said = found->second.counts();
      agreement.distilled = found->second.distilled;
    }
    return said;
  };
  const bool agrees = calibration::agrees(own, a, b);
  if (!needed || said) agreement.agrees = agrees;
  return agreement;
}

}  // namespace understudy::cascade::internal
