#include "chat/internal/logprobs.h"

namespace understudy::chat::internal {
namespace {

using Code = simdjson::error_code;

/// A logprob as servers write it: a number, or null for minus infinity (some do). Kept within what features can use.
Code read_number(Document& document, od::value value, float& out) {
  double number = 0;
  if (value.get_double().get(number) == simdjson::SUCCESS) {
    out = static_cast<float>(number);
    return simdjson::SUCCESS;
  }
  out = -100.0F;
  Span ignored;
  return walk(document, value, ignored);
}

Code read_alternatives(Document& document, od::value value, LogprobSeries& series, std::uint16_t& count) {
  od::array alternatives;
  if (value.get_array().get(alternatives) != simdjson::SUCCESS) {
    Span ignored;
    return walk(document, value, ignored);
  }
  for (auto entry : alternatives) {
    od::object object;
    CHAT_JSON_TRY(std::move(entry).get_object().get(object));
    for (auto member : object) {
      od::field field;
      CHAT_JSON_TRY(std::move(member).get(field));
      if (field.key() == "logprob") {
        float logprob = 0;
        CHAT_JSON_TRY(read_number(document, field.value(), logprob));
        series.alternatives.push_back(logprob);
        ++count;
      }
    }
  }
  return simdjson::SUCCESS;
}

Code read_token(Document& document, od::value value, LogprobSeries& series) {
  od::object token;
  CHAT_JSON_TRY(value.get_object().get(token));
  bool seen = false;
  float chosen = 0;
  std::uint16_t count = 0;
  for (auto member : token) {
    od::field field;
    CHAT_JSON_TRY(std::move(member).get(field));
    if (field.key() == "logprob") {
      CHAT_JSON_TRY(read_number(document, field.value(), chosen));
      seen = true;
    } else if (field.key() == "top_logprobs") {
      CHAT_JSON_TRY(read_alternatives(document, field.value(), series, count));
    }
  }
  if (!seen) return simdjson::NO_SUCH_FIELD;
  series.chosen.push_back(chosen);
  series.per_token.push_back(count);
  return simdjson::SUCCESS;
}

Code read_content(Document& document, od::value value, LogprobSeries& series, Span& content) {
  content.begin = document.start_of(value);
  od::array tokens;
  if (value.get_array().get(tokens) != simdjson::SUCCESS) {
    content = {};
    Span ignored;
    return walk(document, value, ignored);
  }
  series.present = true;
  for (auto entry : tokens) {
    od::value element;
    CHAT_JSON_TRY(std::move(entry).get(element));
    CHAT_JSON_TRY(read_token(document, element, series));
  }
  content.end = document.here();
  return simdjson::SUCCESS;
}

/// The place of an array whose numbers nobody wants: brackets are balanced, what stands between them is not looked at.
Code step_over(Document& document, od::value value, Span& content) {
  content.begin = document.start_of(value);
  od::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return walk(document, value, content);
  std::string_view raw;
  CHAT_JSON_TRY(array.raw_json().get(raw));
  content.end = document.here();
  return simdjson::SUCCESS;
}

Code text_member(Document& document, od::value value, std::string& out, bool append) {
  std::string_view text;
  if (value.get_string().get(text) == simdjson::SUCCESS) {
    if (!append) out.clear();
    out += text;
    return simdjson::SUCCESS;
  }
  Span ignored;
  return walk(document, value, ignored);
}

}  // namespace

Code read_logprobs(Document& document, od::value value, LogprobSeries* series, Span& place, Span& content) {
  place.begin = document.start_of(value);
  od::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return walk(document, value, place);
  for (auto member : object) {
    od::field field;
    CHAT_JSON_TRY(std::move(member).get(field));
    if (field.key() == "content" && series != nullptr) {
      CHAT_JSON_TRY(read_content(document, field.value(), *series, content));
    } else if (field.key() == "content") {
      CHAT_JSON_TRY(step_over(document, field.value(), content));
    } else {
      Span ignored;
      CHAT_JSON_TRY(walk(document, field.value(), ignored));
    }
  }
  place.end = document.here();
  return simdjson::SUCCESS;
}

Code read_tool_call(Document& document, od::object object, ToolCall& call) {
  for (auto member : object) {
    od::field field;
    CHAT_JSON_TRY(std::move(member).get(field));
    if (field.key() == "id") {
      CHAT_JSON_TRY(text_member(document, field.value(), call.id, false));
    } else if (field.key() == "type") {
      CHAT_JSON_TRY(text_member(document, field.value(), call.type, false));
    } else if (field.key() == "function") {
      od::object function;
      CHAT_JSON_TRY(field.value().get_object().get(function));
      for (auto part : function) {
        od::field inner;
        CHAT_JSON_TRY(std::move(part).get(inner));
        if (inner.key() == "name") {
          CHAT_JSON_TRY(text_member(document, inner.value(), call.name, false));
        } else if (inner.key() == "arguments") {
          CHAT_JSON_TRY(text_member(document, inner.value(), call.arguments, true));
        } else {
          Span ignored;
          CHAT_JSON_TRY(walk(document, inner.value(), ignored));
        }
      }
    } else {
      Span ignored;
      CHAT_JSON_TRY(walk(document, field.value(), ignored));
    }
  }
  return simdjson::SUCCESS;
}

std::string_view inside_brackets(std::string_view array) {
  const std::size_t first = array.find('[');
  const std::size_t last = array.rfind(']');
  if (first == std::string_view::npos || last == std::string_view::npos || last <= first) return {};
  return array.substr(first + 1, last - first - 1);
}

}  // namespace understudy::chat::internal
