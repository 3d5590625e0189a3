#include "chat/internal/json.h"

#include <fmt/format.h>

#include <cstring>
#include <memory>

namespace understudy::chat::internal {
namespace {

/// Parser and padded copy, kept per thread and given back when a giant text made them large.
struct Scratch {
  static constexpr std::size_t kKeepBytes = std::size_t{1} << 20;
  std::unique_ptr<od::parser> parser = std::make_unique<od::parser>();
  std::unique_ptr<char[]> buffer;
  std::size_t capacity = 0;

  char* reserve(std::size_t bytes) {
    if (capacity > kKeepBytes && bytes <= kKeepBytes) {
      parser = std::make_unique<od::parser>();
      capacity = 0;
    }
    if (capacity < bytes) {
      capacity = std::max<std::size_t>(bytes, 16384);
      buffer = std::make_unique_for_overwrite<char[]>(capacity);
    }
    return buffer.get();
  }
};
thread_local Scratch scratch;

}  // namespace

Result<od::object> Document::open(std::string_view text) {
  if (text.empty()) return json_error(simdjson::EMPTY, "body", 0);  // its data may be a null pointer
  char* buffer = scratch.reserve(text.size() + simdjson::SIMDJSON_PADDING);
  std::memcpy(buffer, text.data(), text.size());
  std::memset(buffer + text.size(), 0, simdjson::SIMDJSON_PADDING);
  base_ = buffer;
  const simdjson::padded_string_view padded(buffer, text.size(), text.size() + simdjson::SIMDJSON_PADDING);
  if (const auto code = scratch.parser->iterate(padded).get(doc_)) return json_error(code, "the body", 0);
  od::object root;
  if (const auto code = doc_.get_object().get(root)) {
    if (code == simdjson::INCORRECT_TYPE) return fail(ErrorKind::kInvalidRequest, "The body is not a JSON object: it must begin with '{'.");
    return json_error(code, "the body", 0);
  }
  return root;
}

std::uint32_t Document::here() {
  const char* p = nullptr;
  if (doc_.current_location().get(p) != simdjson::SUCCESS || p == nullptr) return 0;
  return offset_of(p);
}

simdjson::error_code walk(Document& document, od::value value, Span& span, int depth) {
  if (depth > kMaxJsonDepth) return simdjson::DEPTH_ERROR;
  span.begin = document.start_of(value);
  od::json_type type;
  CHAT_JSON_TRY(value.type().get(type));
  switch (type) {
    case od::json_type::object: {
      od::object object;
      CHAT_JSON_TRY(value.get_object().get(object));
      for (auto entry : object) {
        od::field field;
        CHAT_JSON_TRY(std::move(entry).get(field));
        Span inner;
        CHAT_JSON_TRY(walk(document, field.value(), inner, depth + 1));
      }
      break;
    }
    case od::json_type::array: {
      od::array array;
      CHAT_JSON_TRY(value.get_array().get(array));
      for (auto entry : array) {
        od::value element;
        CHAT_JSON_TRY(std::move(entry).get(element));
        Span inner;
        CHAT_JSON_TRY(walk(document, element, inner, depth + 1));
      }
      break;
    }
    case od::json_type::string: {
      od::raw_json_string raw;
      CHAT_JSON_TRY(value.get_raw_json_string().get(raw));
      break;
    }
    case od::json_type::number: {
      // get_double, not get_number: the latter does not advance in simdjson 3.0.
      double ignored = 0;
      CHAT_JSON_TRY(value.get_double().get(ignored));
      break;
    }
    case od::json_type::boolean: {
      bool ignored = false;
      CHAT_JSON_TRY(value.get_bool().get(ignored));
      break;
    }
    case od::json_type::null: {
      if (!is_null(value)) return simdjson::N_ATOM_ERROR;
      break;
    }
  }
  const std::uint32_t end = document.here();
  if (end <= span.begin) return simdjson::TAPE_ERROR;
  span.end = end;
  return simdjson::SUCCESS;
}

Unexpected json_error(simdjson::error_code code, std::string_view what, std::uint32_t offset) {
  return fail(ErrorKind::kInvalidRequest,
              fmt::format("We could not parse {} as JSON near byte {}: {}", what, offset, simdjson::error_message(code)));
}

}  // namespace understudy::chat::internal
