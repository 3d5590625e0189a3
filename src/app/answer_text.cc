#include "app/answer_text.h"

#include <fmt/format.h>

#include "chat/answer.h"
#include "chat/request.h"

namespace understudy::app {
namespace {

constexpr const char* kNotStored = "(not stored)";

std::string with_cut(std::string text, const store::Body& body) {
  if (body.truncated()) text += fmt::format(" (cut: {} of {} bytes are stored)", body.text.size(), body.full_bytes);
  return text;
}

}  // namespace

std::string message_text(std::string_view message_json) {
  const auto answer = chat::parse_answer(fmt::format(R"({{"choices":[{{"index":0,"message":{}}}]}})", message_json));
  if (!answer) return std::string(message_json);
  std::string text(chat::answer_text(*answer));
  for (const chat::ToolCall& call : answer->tool_calls) {
    if (!text.empty()) text += ' ';
    text += fmt::format("{}({})", call.name, call.arguments);
  }
  return text;
}

std::string stored_answer_text(const store::Body& answer) {
  return answer.stored ? with_cut(message_text(answer.text), answer) : kNotStored;
}

std::string stored_request_text(const store::Body& request) {
  if (!request.stored) return kNotStored;
  const std::string user = chat::last_user_text(request.text);
  return with_cut(user.empty() ? request.text : user, request);
}

}  // namespace understudy::app
