#include "chat/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "chat/internal/json.h"

namespace understudy::chat {
namespace {

using internal::Document;
using internal::is_null;
using internal::json_error;
using internal::walk;
namespace od = simdjson::ondemand;

Unexpected wrong(std::string message, std::string_view param) {
  return fail(ErrorKind::kInvalidRequest, std::move(message), std::string(param));
}

/// Parts of a message's content that a text cascade cannot judge.
bool is_media_part(std::string_view type) {
  return type == "image_url" || type == "input_audio" || type == "file" || type == "input_image" || type == "input_file" ||
         type == "image" || type == "audio" || type == "video_url";
}

class RequestParser {
 public:
  RequestParser(std::string_view body, const RequestLimits& limits) : body_(body), limits_(limits) {}

  Result<ChatRequest> run() {
    auto root = document_.open(body_);
    if (!root) return fail(std::move(root.error()));
    request_.fields.reserve(16);
    request_.insert_at = static_cast<std::uint32_t>(body_.find('{') + 1);
    for (auto entry : *root) {
      od::field field;
      if (const auto code = std::move(entry).get(field)) return json_error(code, "the request", document_.here());
      // The key as bytes of `body_`, not of the parser's copy.
      const std::string_view key = key_at(document_.offset_of(field.key().raw()));
      if (is_read(key) && std::any_of(request_.fields.begin(), request_.fields.end(), [&](const auto& f) { return f.key == key; })) {
        return wrong(fmt::format("Field '{}' stands twice in the request.", key), key);
      }
      Span span;
      if (auto done = read_field(key, field.value(), span); !done) return fail(std::move(done.error()));
      request_.fields.push_back({key, span});
    }
    if (!document_.at_end()) return wrong("There is something behind the request's JSON object.", "");
    request_.empty_object = request_.fields.empty();
    if (request_.model.empty()) return wrong("You must name a model: field 'model' is missing or empty.", "model");
    if (!request_.messages_span.present()) return wrong("Field 'messages' is missing: it must be a list of messages.", "messages");
    for (const ChatRequest::Field& field : request_.fields) {
      if (field.key == "tools" || field.key == "response_format") request_.prompt_hash = hash64(field.value.in(body_), request_.prompt_hash + 1);
    }
    return std::move(request_);
  }

 private:
  std::string_view key_at(std::uint32_t begin) const {
    std::size_t end = begin;
    while (end < body_.size() && body_[end] != '"') end += body_[end] == '\\' ? 2 : 1;
    return body_.substr(begin, end - begin);
  }

  /// Fields that we act on must not be given twice: which one counts would be a guess.
  static bool is_read(std::string_view key) {
    static constexpr std::array<std::string_view, 12> kRead{"model", "messages", "stream", "stream_options", "logprobs", "top_logprobs",
                                                            "n", "tools", "metadata", "modalities", "audio", "previous_response_id"};
    return std::find(kRead.begin(), kRead.end(), key) != kRead.end();
  }

  Result<void> walk_checked(od::value value, Span& span, std::string_view key) {
    const auto code = walk(document_, value, span);
    return code == simdjson::SUCCESS ? Result<void>() : walk_failed(code, key);
  }

  Result<void> walk_failed(simdjson::error_code code, std::string_view key) {
    if (code == simdjson::DEPTH_ERROR) return wrong(fmt::format("Field '{}' is nested more than {} deep.", key, internal::kMaxJsonDepth), key);
    return json_error(code, fmt::format("field '{}'", key), document_.here());
  }

  template <typename Read>
  Result<void> scalar(std::string_view key, std::string_view expected, od::value value, Span& span, Read read) {
    span.begin = document_.start_of(value);
    if (!is_null(value)) {
      if (read(value) != simdjson::SUCCESS) return wrong(fmt::format("Field '{}' must be {}.", key, expected), key);
    }
    span.end = document_.here();
    return {};
  }

  Result<void> boolean(std::string_view key, od::value value, Span& span, bool& out) {
    return scalar(key, "true or false", value, span, [&](od::value& v) { return v.get_bool().get(out); });
  }
  Result<void> integer(std::string_view key, od::value value, Span& span, std::int64_t& out) {
    return scalar(key, "an integer", value, span, [&](od::value& v) { return v.get_int64().get(out); });
  }

  Result<void> read_field(std::string_view key, od::value value, Span& span) {
    if (key == "messages") return read_messages(value, span);
    if (key == "model") {
      std::string_view model;
      auto done = scalar(key, "a string", value, span, [&](od::value& v) { return v.get_string().get(model); });
      request_.model = model;
      request_.model_span = span;
      return done;
    }
    if (key == "stream") return keep(boolean(key, value, span, request_.stream), request_.stream_span, span);
    if (key == "logprobs") return keep(boolean(key, value, span, request_.logprobs), request_.logprobs_span, span);
    if (key == "top_logprobs") {
      auto done = keep(integer(key, value, span, request_.top_logprobs), request_.top_logprobs_span, span);
      if (done && (request_.top_logprobs < 0 || request_.top_logprobs > 20)) return wrong("Field 'top_logprobs' must be between 0 and 20.", key);
      return done;
    }
    if (key == "n") {
      auto done = integer(key, value, span, request_.n);
      if (done && (request_.n < 1 || request_.n > 128)) return wrong("Field 'n' must be between 1 and 128.", key);
      if (request_.n > 1) bypass(Bypass::kManyChoices);
      return done;
    }
    if (key == "stream_options") return read_stream_options(value, span);
    if (key == "metadata") return read_metadata(value, span);
    if (key == "tools") return read_tools(value, span);
    auto done = walk_checked(value, span, key);
    if (!done) return done;
    const std::string_view text = span.in(body_);
    const bool given = !text.starts_with("null");
    if (key == "previous_response_id" && given) bypass(Bypass::kPreviousResponse);
    if (key == "web_search_options" && given) bypass(Bypass::kServerTools);
    if ((key == "audio" && given) || (key == "modalities" && text.find("audio") != std::string_view::npos)) bypass(Bypass::kMedia);
    return done;
  }

  static Result<void> keep(Result<void> done, Span& place, const Span& span) {
    place = span;
    return done;
  }

  void bypass(Bypass why) {
    if (request_.bypass == Bypass::kNone) request_.bypass = why;
  }

  Result<void> read_messages(od::value value, Span& span) {
    span.begin = document_.start_of(value);
    od::array array;
    if (value.get_array().get(array)) return wrong("Field 'messages' must be a list of messages.", "messages");
    for (auto entry : array) {
      od::value element;
      if (const auto code = std::move(entry).get(element)) return json_error(code, "field 'messages'", document_.here());
      if (++request_.messages > limits_.max_messages) {
        return wrong(fmt::format("The request has more than {} messages.", limits_.max_messages), "messages");
      }
      if (auto done = read_message(element); !done) return done;
    }
    if (request_.messages == 0) return wrong("Field 'messages' is empty: there must be at least one message.", "messages");
    span.end = document_.here();
    request_.messages_span = span;
    return {};
  }

  /// "messages[3].content": made only where an error needs it.
  std::string in_message(std::string_view member = {}) const { return fmt::format("messages[{}]{}", request_.messages - 1, member); }

  Unexpected wrong_message(std::string_view member, std::string_view what) const {
    const std::string param = in_message(member);
    return wrong(fmt::format("'{}' {}", param, what), param);
  }

  Result<void> read_message(od::value value) {
    od::object message;
    if (value.get_object().get(message)) return wrong_message("", "must be an object with a role and content.");
    bool has_role = false, in_common = false;
    Span content;
    for (auto entry : message) {
      od::field field;
      if (const auto code = std::move(entry).get(field)) return json_error(code, "a message", document_.here());
      if (field.key() == "role") {
        std::string_view role;
        if (field.value().get_string().get(role)) return wrong_message(".role", "must be a string.");
        has_role = true;
        in_common = role == "system" || role == "developer";
      } else if (field.key() == "content") {
        od::value value_of_content = field.value();
        content.begin = document_.start_of(value_of_content);
        if (auto done = read_content(value_of_content); !done) return done;
        content.end = document_.here();
      } else {
        Span inner;
        if (auto done = walk_member(field.value(), inner, ""); !done) return done;
      }
    }
    if (!has_role) {
      const std::string param = in_message();
      return wrong(fmt::format("'{}' has no role.", param), param + ".role");
    }
    if (in_common) request_.prompt_hash = hash64(content.in(body_), request_.prompt_hash + 1);
    return {};
  }

  Result<void> walk_member(od::value value, Span& span, std::string_view member) {
    const auto code = walk(document_, value, span);
    return code == simdjson::SUCCESS ? Result<void>() : walk_failed(code, in_message(member));
  }

  Result<void> read_content(od::value value) {
    od::json_type type;
    if (const auto code = value.type().get(type)) return json_error(code, "a message's content", document_.here());
    Span inner;
    if (type == od::json_type::string || type == od::json_type::null) return walk_member(value, inner, ".content");
    od::array parts;
    if (value.get_array().get(parts)) return wrong_message(".content", "must be a string or a list of parts.");
    for (auto entry : parts) {
      od::value part_value;
      if (const auto code = std::move(entry).get(part_value)) return json_error(code, "a content part", document_.here());
      od::object part;
      if (part_value.get_object().get(part)) return wrong_message(".content", "holds a part that is not an object.");
      for (auto member : part) {
        od::field field;
        if (const auto code = std::move(member).get(field)) return json_error(code, "a content part", document_.here());
        const bool is_type = field.key() == "type";
        Span span;
        if (auto done = walk_member(field.value(), span, ".content"); !done) return done;
        if (is_type && is_media_part(unquoted(span))) bypass(Bypass::kMedia);
      }
    }
    return {};
  }

  /// A plain string value without its quotes (names that we compare with hold no escapes).
  std::string_view unquoted(const Span& span) const {
    std::string_view text = span.in(body_);
    if (text.empty() || text.front() != '"') return {};
    const std::size_t end = text.find('"', 1);
    return end == std::string_view::npos ? std::string_view{} : text.substr(1, end - 1);
  }

  Result<void> read_stream_options(od::value value, Span& span) {
    span.begin = document_.start_of(value);
    if (is_null(value)) {
      span.end = document_.here();
      request_.stream_options_span = span;
      return {};
    }
    od::object options;
    if (value.get_object().get(options)) return wrong("Field 'stream_options' must be an object.", "stream_options");
    request_.stream_options_insert_at = span.begin + 1;
    request_.stream_options_empty = true;
    for (auto entry : options) {
      od::field field;
      if (const auto code = std::move(entry).get(field)) return json_error(code, "stream_options", document_.here());
      request_.stream_options_empty = false;
      if (field.key() == "include_usage") {
        if (auto done = boolean("stream_options.include_usage", field.value(), request_.include_usage_span, request_.include_usage); !done) return done;
      } else {
        Span inner;
        if (auto done = walk_checked(field.value(), inner, "stream_options"); !done) return done;
      }
    }
    span.end = document_.here();
    request_.stream_options_span = span;
    return {};
  }

  Result<void> read_metadata(od::value value, Span& span) {
    span.begin = document_.start_of(value);
    od::json_type type;
    if (value.type().get(type) || type != od::json_type::object) return walk_checked(value, span, "metadata");
    od::object object;
    if (const auto code = value.get_object().get(object)) return json_error(code, "metadata", document_.here());
    bool from_task = false;
    for (auto entry : object) {
      od::field field;
      if (const auto code = std::move(entry).get(field)) return json_error(code, "metadata", document_.here());
      const bool is_task = field.key() == "task";
      const bool is_step = field.key() == "step";
      std::string_view text;
      if ((is_task || is_step) && field.value().get_string().get(text) == simdjson::SUCCESS) {
        if (is_task || !from_task) request_.task = text;
        from_task = from_task || is_task;
        continue;
      }
      Span inner;
      if (auto done = walk_checked(field.value(), inner, "metadata"); !done) return done;
    }
    span.end = document_.here();
    return {};
  }

  Result<void> read_tools(od::value value, Span& span) {
    span.begin = document_.start_of(value);
    if (is_null(value)) {
      span.end = document_.here();
      return {};
    }
    od::array tools;
    if (value.get_array().get(tools)) return wrong("Field 'tools' must be a list.", "tools");
    for (auto entry : tools) {
      od::value element;
      if (const auto code = std::move(entry).get(element)) return json_error(code, "field 'tools'", document_.here());
      od::object tool;
      if (element.get_object().get(tool)) return wrong("Field 'tools' holds something that is not an object.", "tools");
      request_.has_tools = true;
      for (auto member : tool) {
        od::field field;
        if (const auto code = std::move(member).get(field)) return json_error(code, "a tool", document_.here());
        const bool is_type = field.key() == "type";
        Span inner;
        if (auto done = walk_checked(field.value(), inner, "tools"); !done) return done;
        // Anything but a plain function runs on the provider's side, where only that provider can answer.
        if (is_type && unquoted(inner) != "function" && unquoted(inner) != "custom") bypass(Bypass::kServerTools);
      }
    }
    span.end = document_.here();
    return {};
  }

  std::string_view body_;
  const RequestLimits& limits_;
  Document document_;
  ChatRequest request_;
};

/// Fields that do not change what a good answer is.
bool is_outside_canonical(std::string_view key) {
  static constexpr std::array<std::string_view, 11> kOutside{"stream", "stream_options", "user", "metadata", "store", "service_tier",
                                                             "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "logprobs", "top_logprobs"};
  return std::find(kOutside.begin(), kOutside.end(), key) != kOutside.end();
}

void append_minified(std::string_view json, std::string& out) {
  const std::size_t old = out.size();
  out.resize(old + json.size() + simdjson::SIMDJSON_PADDING);
  std::size_t length = 0;
  if (simdjson::minify(json.data(), json.size(), out.data() + old, length) != simdjson::SUCCESS) {
    out.resize(old);
    out.append(json);
    return;
  }
  out.resize(old + length);
}

/// Whether whoever wrote the JSON puts white space between names, values and commas, by the outermost fields.
bool is_spaced(const ChatRequest& request, std::string_view body) {
  const char* behind = body.data() + request.insert_at;   // the brace, then each value's last byte and a comma
  for (const auto& [key, value] : request.fields) {
    const char* const begin = body.data() + value.begin;
    if (key.data() != behind + 1 || begin != key.data() + key.size() + 2) return true;
    behind = body.data() + value.end + 1;
  }
  return false;
}

}  // namespace

std::string_view bypass_reason(Bypass bypass) {
  switch (bypass) {
    case Bypass::kNone: return "";
    case Bypass::kMedia: return "media";
    case Bypass::kManyChoices: return "many_choices";
    case Bypass::kServerTools: return "server_tools";
    case Bypass::kPreviousResponse: return "previous_response";
  }
  return "";
}

Result<ChatRequest> parse_chat_request(std::string_view body, const RequestLimits& limits) { return RequestParser(body, limits).run(); }

void append_canonical(const ChatRequest& request, std::string_view body, std::string& out) {
  out.reserve(out.size() + body.size() + 2 * simdjson::SIMDJSON_PADDING);
  std::array<const ChatRequest::Field*, 64> few;
  std::vector<const ChatRequest::Field*> many;
  const std::size_t n = request.fields.size();
  const ChatRequest::Field** order = few.data();
  if (n > few.size()) {
    many.resize(n);
    order = many.data();
  }
  std::size_t count = 0;
  for (const auto& field : request.fields) {
    if (!is_outside_canonical(field.key)) order[count++] = &field;
  }
  const bool spaced = is_spaced(request, body);
  std::sort(order, order + count, [](const auto* a, const auto* b) { return a->key < b->key; });
  for (std::size_t i = 0; i < count; ++i) {
    out.push_back(i == 0 ? '{' : ',');
    out.push_back('"');
    out.append(order[i]->key);
    out.append("\":");
    if (spaced) {
      append_minified(order[i]->value.in(body), out);
    } else {
      out.append(order[i]->value.in(body));
    }
  }
  // Whether logprobs come with the answer is part of what was asked; the defaults leave no trace.
  if (request.logprobs) out.append(fmt::format(",logprobs:{}", request.top_logprobs));
  out.push_back('}');
}

namespace {

/// Calls `each` with the text of every message with role "user", in order, until one cannot be read.
template <typename Each>
void for_user_texts(std::string_view body, Each each) {
  Document document;
  auto root = document.open(body);
  if (!root) return;
  od::array messages;
  if ((*root)["messages"].get_array().get(messages)) return;
  for (auto entry : messages) {
    od::object message;
    if (std::move(entry).get_object().get(message)) return;
    std::string text;
    bool is_user = false;
    for (auto member : message) {
      od::field field;
      if (std::move(member).get(field)) return;
      if (field.key() == "role") {
        std::string_view role;
        is_user = field.value().get_string().get(role) == simdjson::SUCCESS && role == "user";
      } else if (field.key() == "content") {
        od::value content = field.value();
        std::string_view plain;
        od::array parts;
        if (content.get_string().get(plain) == simdjson::SUCCESS) {
          text = plain;
        } else if (content.get_array().get(parts) == simdjson::SUCCESS) {
          for (auto part : parts) {
            std::string_view piece;
            if (part["text"].get_string().get(piece) == simdjson::SUCCESS) {
              if (!text.empty()) text += '\n';
              text += piece;
            }
          }
        }
      }
    }
    if (is_user) each(std::move(text));
  }
}

}  // namespace

std::string last_user_text(std::string_view body) {
  std::string last;
  for_user_texts(body, [&](std::string text) { last = std::move(text); });
  return last;
}

std::string user_texts(std::string_view body) {
  std::string all;
  for_user_texts(body, [&](std::string text) {
    if (!all.empty()) all += '\n';
    all += text;
  });
  return all;
}

}  // namespace understudy::chat
