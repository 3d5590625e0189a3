#include "lessons/internal/make_lesson.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>

#include "base/json_writer.h"
#include "chat/request.h"

namespace understudy::lessons::internal {
namespace {

namespace dom = simdjson::dom;

/// What decides how an answer is made, beside the messages.
constexpr std::array<std::string_view, 9> kParameters{"temperature", "top_p", "max_tokens", "max_completion_tokens", "stop",
                                                      "seed",        "presence_penalty", "frequency_penalty", "reasoning_effort"};

bool is_instruction(dom::element message) {
  std::string_view role;
  return message["role"].get_string().get(role) == simdjson::SUCCESS && (role == "system" || role == "developer");
}

/// The messages that are instructions, or those that are not.
std::string messages_where(dom::element root, bool instructions) {
  dom::array messages;
  if (root["messages"].get_array().get(messages)) return {};
  std::string out;
  for (const dom::element message : messages) {
    if (is_instruction(message) != instructions) continue;
    out += out.empty() ? "[" : ",";
    out += simdjson::minify(message);
  }
  if (!out.empty()) out += ']';
  return out;
}

}  // namespace

Result<Lesson> make_lesson(const LessonOffer& offer, const Redactor& redact) {
  const auto no = [](std::string_view why) { return fail(ErrorKind::kInvalidRequest, std::string(why)); };
  if (offer.answer.empty()) return no("the answer has no text");
  if (offer.answer.size() > kMostAnswerBytes) return no("the answer is too long");
  dom::parser parser;
  dom::element root;
  if (parser.parse(offer.body).get(root)) return no("the request is no JSON");
  std::string messages = messages_where(root, false);
  if (messages.empty()) return no("the request has no user message");
  if (messages.size() > kMostInputBytes) return no("the request is too long");
  Lesson lesson;
  lesson.text = redact.text(chat::last_user_text(offer.body));
  if (lesson.text.empty()) return no("the request has no user text");
  lesson.request_id = offer.request_id;
  lesson.scope = offer.scope;
  lesson.input_hash = offer.input_hash;
  lesson.provenance = offer.provenance;
  lesson.agreed_by_teacher = offer.agreed_by_teacher;
  lesson.messages = redact.json(messages);
  JsonWriter w(lesson.parameters);
  w.begin_object();
  dom::object fields;
  bool any = false;
  if (root.get_object().get(fields) == simdjson::SUCCESS) {
    for (const auto& [key, value] : fields) {
      if (std::find(kParameters.begin(), kParameters.end(), key) == kParameters.end() || value.is_null()) continue;
      const std::string json = simdjson::minify(value);
      w.key(key).raw(redact.json(json));
      any = true;
    }
  }
  w.end_object();
  if (!any) lesson.parameters.clear();
  lesson.answer = redact.text(offer.answer);
  lesson.teacher_model = offer.teacher_model;
  if (offer.student_answer.size() <= kMostAnswerBytes) lesson.student_answer = redact.text(offer.student_answer);
  lesson.student_confidence = offer.student_confidence;
  lesson.student_rung = offer.student_rung;
  lesson.student_agrees = offer.student_agrees;
  return lesson;
}

std::string instructions_of(std::string_view body) {
  dom::parser parser;
  dom::element root;
  if (parser.parse(body.data(), body.size()).get(root)) return {};
  return messages_where(root, true);
}

}  // namespace understudy::lessons::internal
