#include "chat/stream.h"

#include <fmt/format.h>

#include <cmath>

#include "chat/internal/json.h"
#include "chat/internal/logprobs.h"

namespace understudy::chat {

using internal::Document;
using internal::walk;
namespace od = simdjson::ondemand;

class ChunkParser {
 public:
  ChunkParser(std::string_view json, StreamAssembler& into, bool keep_logprobs) : json_(json), into_(into), keep_logprobs_(keep_logprobs) {}

  Result<Chunk> run() {
    auto root = document_.open(json_);
    if (!root) return fail(ErrorKind::kUpstreamProtocol, "The upstream's stream holds an event that is not JSON: " + root.error().message);
    if (const auto code = read_root(*root)) {
      return fail(ErrorKind::kUpstreamProtocol,
                  fmt::format("The upstream's stream holds a broken chunk: {} near byte {}.", simdjson::error_message(code), document_.here()));
    }
    if (!error_.empty()) return fail(ErrorKind::kUpstreamStatus, std::move(error_));
    const std::size_t brace = json_.rfind('}');
    chunk_.close_at = static_cast<std::uint32_t>(brace == std::string_view::npos ? json_.size() : brace);
    return chunk_;
  }

 private:
  using Code = simdjson::error_code;

  Code read_root(od::object root) {
    Answer& answer = into_.answer_;
    for (auto entry : root) {
      od::field field;
      CHAT_JSON_TRY(std::move(entry).get(field));
      const auto key = field.key();
      if (key == "choices") {
        CHAT_JSON_TRY(read_choices(field.value()));
      } else if (key == "model") {
        CHAT_JSON_TRY(text(field.value(), chunk_.model, answer.model.empty() ? &answer.model : nullptr));
      } else if (key == "id") {
        Span ignored;
        CHAT_JSON_TRY(text(field.value(), ignored, answer.id.empty() ? &answer.id : nullptr));
      } else if (key == "system_fingerprint") {
        Span ignored;
        CHAT_JSON_TRY(text(field.value(), ignored, answer.system_fingerprint.empty() ? &answer.system_fingerprint : nullptr));
      } else if (key == "created") {
        od::value value = field.value();
        double created = 0;
        if (value.get_double().get(created) == simdjson::SUCCESS) {
          if (std::abs(created) < 1e15) answer.created = static_cast<std::int64_t>(created);
        } else {
          Span ignored;
          CHAT_JSON_TRY(walk(document_, value, ignored));
        }
      } else if (key == "usage") {
        Span usage;
        CHAT_JSON_TRY(walk(document_, field.value(), usage));
        if (usage.in(json_).starts_with("{")) {
          chunk_.usage = usage;
          answer.usage_raw = usage.in(json_);
        }
      } else if (key == "error") {
        CHAT_JSON_TRY(read_error(field.value()));
      } else {
        Span ignored;
        CHAT_JSON_TRY(walk(document_, field.value(), ignored));
      }
    }
    return simdjson::SUCCESS;
  }

  Code read_error(od::value value) {
    Span place;
    CHAT_JSON_TRY(walk(document_, value, place));
    const std::string_view body = place.in(json_);
    if (!body.starts_with("null")) error_ = fmt::format("The upstream ended its stream with an error: {}", body.substr(0, 500));
    return simdjson::SUCCESS;
  }

  Code text(od::value value, Span& span, std::string* out) {
    span.begin = document_.start_of(value);
    std::string_view read;
    if (value.get_string().get(read) != simdjson::SUCCESS) return walk(document_, value, span);
    if (out != nullptr) *out = read;
    span.end = document_.here();
    return simdjson::SUCCESS;
  }

  Code read_choices(od::value value) {
    od::array choices;
    CHAT_JSON_TRY(value.get_array().get(choices));
    for (auto entry : choices) {
      od::value element;
      CHAT_JSON_TRY(std::move(entry).get(element));
      if (chunk_.choices++ > 0) {
        Span ignored;
        CHAT_JSON_TRY(walk(document_, element, ignored));
        continue;
      }
      od::object choice;
      CHAT_JSON_TRY(element.get_object().get(choice));
      bool other_choice = false;
      for (auto member : choice) {
        od::field field;
        CHAT_JSON_TRY(std::move(member).get(field));
        const auto key = field.key();
        if (key == "index") {
          // With n > 1 each chunk carries one of the choices; only the first is kept. Servers send the index first.
          double index = 0;
          CHAT_JSON_TRY(field.value().get_double().get(index));
          other_choice = index != 0;
        } else if (other_choice) {
          Span ignored;
          CHAT_JSON_TRY(walk(document_, field.value(), ignored));
        } else if (key == "delta") {
          CHAT_JSON_TRY(read_delta(field.value()));
        } else if (key == "finish_reason") {
          std::string_view reason;
          od::value finish = field.value();
          if (finish.get_string().get(reason) == simdjson::SUCCESS) {
            into_.answer_.finish_reason = reason;
            chunk_.has_finish = true;
          } else {
            Span ignored;
            CHAT_JSON_TRY(walk(document_, finish, ignored));
          }
        } else if (key == "logprobs") {
          Span content;
          CHAT_JSON_TRY(internal::read_logprobs(document_, field.value(), into_.keep_series_ ? &into_.series_ : nullptr, chunk_.logprobs, content));
          if (content.present() && keep_logprobs_) {
            Answer& answer = into_.answer_;
            answer.has_logprobs = true;
            const std::string_view elements = internal::inside_brackets(content.in(json_));
            if (!elements.empty()) {
              if (!into_.logprobs_json_.empty()) into_.logprobs_json_.append(",");
              into_.logprobs_json_.append(elements);
              into_.bytes_ += elements.size();
            }
          }
        } else {
          Span ignored;
          CHAT_JSON_TRY(walk(document_, field.value(), ignored));
        }
      }
    }
    return simdjson::SUCCESS;
  }

  Code append(od::value value, std::optional<std::string>& out) {
    std::string_view piece;
    if (value.get_string().get(piece) == simdjson::SUCCESS) {
      if (!out) out.emplace();
      *out += piece;
      into_.bytes_ += piece.size();
      return simdjson::SUCCESS;
    }
    Span ignored;
    return walk(document_, value, ignored);
  }

  Code read_delta(od::value value) {
    od::object delta;
    if (value.get_object().get(delta) != simdjson::SUCCESS) {
      Span ignored;
      return walk(document_, value, ignored);
    }
    Answer& answer = into_.answer_;
    for (auto member : delta) {
      od::field field;
      CHAT_JSON_TRY(std::move(member).get(field));
      const auto key = field.key();
      if (key == "content") {
        CHAT_JSON_TRY(append(field.value(), answer.content));
      } else if (key == "refusal") {
        CHAT_JSON_TRY(append(field.value(), answer.refusal));
      } else if (key == "reasoning_content") {
        CHAT_JSON_TRY(append(field.value(), answer.reasoning_content));
      } else if (key == "tool_calls") {
        CHAT_JSON_TRY(read_tool_deltas(field.value()));
      } else {
        Span ignored;
        CHAT_JSON_TRY(walk(document_, field.value(), ignored));
      }
    }
    return simdjson::SUCCESS;
  }

  /// Deltas name their call by `index`; where it is missing, position in the list stands for it.
  Code read_tool_deltas(od::value value) {
    od::array deltas;
    if (value.get_array().get(deltas) != simdjson::SUCCESS) {
      Span ignored;
      return walk(document_, value, ignored);
    }
    std::int64_t position = 0;
    for (auto entry : deltas) {
      od::object object;
      od::value element;
      CHAT_JSON_TRY(std::move(entry).get(element));
      std::int64_t index = position++;
      CHAT_JSON_TRY(element.get_object().get(object));
      std::int64_t given = 0;
      if (object.find_field_unordered("index").get_int64().get(given) == simdjson::SUCCESS) index = given;
      if (index < 0 || index >= 128) return simdjson::INDEX_OUT_OF_BOUNDS;
      auto& calls = into_.answer_.tool_calls;
      if (calls.size() <= static_cast<std::size_t>(index)) calls.resize(static_cast<std::size_t>(index) + 1);
      const std::size_t before = calls[static_cast<std::size_t>(index)].arguments.size();
      CHAT_JSON_TRY(object.reset().error());
      CHAT_JSON_TRY(internal::read_tool_call(document_, object, calls[static_cast<std::size_t>(index)]));
      into_.bytes_ += calls[static_cast<std::size_t>(index)].arguments.size() - before;
    }
    return simdjson::SUCCESS;
  }

  std::string_view json_;
  StreamAssembler& into_;
  bool keep_logprobs_;
  Document document_;
  Chunk chunk_;
  std::string error_;
};

Answer StreamAssembler::take() {
  answer_.logprobs_content = logprobs_json_.take();
  return std::move(answer_);
}

Result<Chunk> StreamAssembler::add(std::string_view json, bool keep_logprobs) {
  auto chunk = ChunkParser(json, *this, keep_logprobs).run();
  if (chunk && chunk->usage.present()) answer_.usage = parse_usage(answer_.usage_raw);
  return chunk;
}

}  // namespace understudy::chat
