#pragma once
/// A teacher that labels texts, for the tests of whoever asks one.

#include <simdjson.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/json_writer.h"
#include "providers/scripted.h"

namespace understudy::labelling::testing {

inline std::string completion(std::string_view text, bool usage = true) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("id", "1").field("object", "chat.completion").field("created", 1).field("model", "m").key("choices").begin_array();
  w.begin_object().field("index", 0).key("message").begin_object().field("role", "assistant").field("content", text).end_object().field("finish_reason", "stop").end_object().end_array();
  if (usage) w.key("usage").begin_object().field("prompt_tokens", 100).field("completion_tokens", 10).end_object();
  w.end_object();
  return out;
}

/// Number and text of each item of a call.
inline std::map<std::int64_t, std::string> items_of(const std::string& body) {
  simdjson::dom::parser parser;
  const std::string message(parser.parse(body)["messages"].at(1)["content"].get_string().value());
  std::map<std::int64_t, std::string> out;
  for (std::size_t at = 0; at < message.size();) {
    const std::size_t end = message.find('\n', at);
    const auto item = parser.parse(message.substr(at, end - at));
    out[item["n"].get_int64().value()] = std::string(item["text"].get_string().value());
    at = end + 1;
  }
  return out;
}

/// What a teacher answers that is sure of the label that `of` says for each text.
inline std::string labels_for(const std::string& body, const std::function<std::string(const std::string&)>& of) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().key("answers").begin_array();
  for (const auto& [n, text] : items_of(body)) w.begin_object().field("n", n).field("label", of(text)).field("confidence", 90).end_object();
  w.end_array().end_object();
  return out;
}

inline providers::ScriptedAnswer labelling(const std::string& body, const std::function<std::string(const std::string&)>& of) {
  providers::ScriptedAnswer answer;
  answer.body = completion(labels_for(body, of));
  return answer;
}

}  // namespace understudy::labelling::testing
