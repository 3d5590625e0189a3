#include "chat/example_turns.h"

#include "base/json_writer.h"
#include "chat/internal/json.h"
#include "chat/splice.h"

namespace understudy::chat {
namespace {

namespace od = simdjson::ondemand;

struct Message {
  std::uint32_t begin = 0;
  std::string role;
  std::optional<std::uint32_t> text_end;    ///< where a string content ends, before its quote
  std::optional<std::uint32_t> parts_end;   ///< where an array content that is not empty ends, before its bracket
};

/// Behind the last byte of the string that begins at `quote`, before its closing quote.
std::uint32_t end_of_string(std::string_view body, std::uint32_t quote) {
  std::size_t at = quote + 1;
  while (at < body.size() && body[at] != '"') at += body[at] == '\\' ? 2 : 1;
  return static_cast<std::uint32_t>(at);
}

std::optional<Message> read_message(internal::Document& document, std::string_view body, od::value value) {
  Message message;
  message.begin = document.start_of(value);
  od::object object;
  if (value.get_object().get(object)) return std::nullopt;
  bool role_seen = false, content_seen = false;
  for (auto member : object) {
    od::field field;
    if (std::move(member).get(field)) return std::nullopt;
    std::string_view key;
    if (field.unescaped_key().get(key)) return std::nullopt;
    if (key == "role") {
      std::string_view role;
      if (std::exchange(role_seen, true) || field.value().get_string().get(role)) return std::nullopt;
      message.role = role;
      continue;
    }
    const bool content = key == "content";
    if (content && std::exchange(content_seen, true)) return std::nullopt;
    od::value inner = field.value();
    Span span;
    span.begin = document.start_of(inner);
    const char first = body[span.begin];
    if (internal::walk(document, inner, span) != simdjson::SUCCESS) return std::nullopt;
    if (!content) continue;
    if (first == '"') message.text_end = end_of_string(body, span.begin);
    if (first == '[') {
      const std::size_t bracket = body.rfind(']', span.end - 1);
      const std::size_t before = body.find_last_not_of(" \t\r\n", bracket - 1);
      if (bracket != std::string_view::npos && body[before] != '[') message.parts_end = static_cast<std::uint32_t>(bracket);
    }
  }
  if (!role_seen) return std::nullopt;
  return message;
}

void append_message(std::string& out, std::string_view role, std::string_view content) {
  JsonWriter w(out);
  w.begin_object().field("role", role).field("content", content).end_object();
  out.push_back(',');
}

}  // namespace

std::optional<std::string> with_examples(std::string_view body, std::span<const ExampleTurn> examples, std::string_view notice) {
  internal::Document document;
  auto root = document.open(body);
  if (!root) return std::nullopt;
  od::array messages;
  if ((*root)["messages"].get_array().get(messages)) return std::nullopt;
  std::optional<Message> first, last;
  for (auto entry : messages) {
    od::value value;
    if (std::move(entry).get(value)) return std::nullopt;
    last = read_message(document, body, value);
    if (!last) return std::nullopt;
    if (!first) first = last;
  }
  if (!last || last->role != "user") return std::nullopt;

  std::string turns;
  for (const ExampleTurn& example : examples) {
    append_message(turns, "user", example.user);
    append_message(turns, "assistant", example.assistant);
  }
  std::string said;
  Splice splice(body);
  const bool system = first->role == "system" || first->role == "developer";
  if (system && first->text_end) {
    append_json_string(said, std::string("\n\n").append(notice));
    said = said.substr(1, said.size() - 2);
    splice.insert(*first->text_end, said);
  } else if (system && first->parts_end) {
    said = ",";
    JsonWriter w(said);
    w.begin_object().field("type", "text").field("text", notice).end_object();
    splice.insert(*first->parts_end, said);
  } else if (!system) {
    append_message(said, "system", notice);
    if (first->begin == last->begin) {
      turns.insert(0, said);   // two edits at one place would have no order
    } else {
      splice.insert(first->begin, said);
    }
  }
  splice.insert(last->begin, turns);
  std::string out;
  const auto pieces = splice.pieces();
  out.reserve(pieces.bytes);
  for (const std::string_view piece : pieces) out += piece;
  return out;
}

}  // namespace understudy::chat
