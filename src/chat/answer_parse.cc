#include <fmt/format.h>

#include <cmath>

#include "chat/answer.h"
#include "chat/internal/json.h"
#include "chat/internal/logprobs.h"

namespace understudy::chat {
namespace {

using internal::Document;
using internal::walk;
namespace od = simdjson::ondemand;

Unexpected not_a_completion(std::string_view why) {
  return fail(ErrorKind::kUpstreamProtocol, fmt::format("The upstream's answer is not a chat completion: {}.", why));
}

/// One walk serves both readers: `Visit` is told each choice-0 member it may want to keep.
class CompletionParser {
 public:
  CompletionParser(std::string_view json, LogprobSeries* series, Answer* answer) : json_(json), series_(series), answer_(answer) {
    if (series_ != nullptr) series_->clear();
  }

  Result<Completion> run() {
    auto root = document_.open(json_);
    if (!root) return not_a_completion(root.error().message);
    if (const auto code = read_root(*root)) return not_a_completion(fmt::format("{} near byte {}", simdjson::error_message(code), document_.here()));
    if (!document_.at_end()) return not_a_completion("something follows the JSON object");
    if (out_.choices == 0) return not_a_completion("it has no choices");
    if (!out_.message.present()) return not_a_completion("its first choice has no message");
    return std::move(out_);
  }

 private:
  using Code = simdjson::error_code;

  Code read_root(od::object root) {
    for (auto entry : root) {
      od::field field;
      CHAT_JSON_TRY(std::move(entry).get(field));
      const auto key = field.key();
      if (key == "choices") {
        CHAT_JSON_TRY(read_choices(field.value()));
      } else if (key == "usage") {
        CHAT_JSON_TRY(walk(document_, field.value(), out_.usage));
      } else if (key == "model") {
        CHAT_JSON_TRY(text_field(field.value(), out_.model, answer_ != nullptr ? &answer_->model : nullptr));
      } else if (answer_ != nullptr && key == "id") {
        Span ignored;
        CHAT_JSON_TRY(text_field(field.value(), ignored, &answer_->id));
      } else if (answer_ != nullptr && key == "system_fingerprint") {
        Span ignored;
        CHAT_JSON_TRY(text_field(field.value(), ignored, &answer_->system_fingerprint));
      } else if (answer_ != nullptr && key == "created") {
        std::int64_t created = 0;
        double fractional = 0;
        od::value value = field.value();
        if (value.get_int64().get(created) == simdjson::SUCCESS) {
          answer_->created = created;
        } else if (value.get_double().get(fractional) == simdjson::SUCCESS) {
          if (std::abs(fractional) < 1e15) answer_->created = static_cast<std::int64_t>(fractional);
        } else {
          Span ignored;
          CHAT_JSON_TRY(walk(document_, value, ignored));
        }
      } else {
        Span ignored;
        CHAT_JSON_TRY(walk(document_, field.value(), ignored));
      }
    }
    if (out_.usage.present()) {
      usage_text_ = out_.usage.in(json_);
      if (answer_ != nullptr) answer_->usage_raw = usage_text_;
    }
    return simdjson::SUCCESS;
  }

  /// A string (or null) whose span is kept and whose text goes to `out` where that is wanted.
  Code text_field(od::value value, Span& span, std::string* out) {
    span.begin = document_.start_of(value);
    std::string_view text;
    if (value.get_string().get(text) == simdjson::SUCCESS) {
      if (out != nullptr) *out = text;
      span.end = document_.here();
      return simdjson::SUCCESS;
    }
    return walk(document_, value, span);
  }

  Code optional_text(od::value value, std::optional<std::string>& out) {
    std::string_view text;
    if (value.get_string().get(text) == simdjson::SUCCESS) {
      out = std::string(text);
      return simdjson::SUCCESS;
    }
    Span ignored;
    return walk(document_, value, ignored);
  }

  Code read_choices(od::value value) {
    od::array choices;
    CHAT_JSON_TRY(value.get_array().get(choices));
    for (auto entry : choices) {
      od::value element;
      CHAT_JSON_TRY(std::move(entry).get(element));
      if (out_.choices++ > 0) {
        Span ignored;
        CHAT_JSON_TRY(walk(document_, element, ignored));
        continue;
      }
      od::object choice;
      CHAT_JSON_TRY(element.get_object().get(choice));
      for (auto member : choice) {
        od::field field;
        CHAT_JSON_TRY(std::move(member).get(field));
        const auto key = field.key();
        if (key == "message") {
          CHAT_JSON_TRY(read_message(field.value()));
        } else if (key == "logprobs") {
          CHAT_JSON_TRY(internal::read_logprobs(document_, field.value(), series_, out_.logprobs, content_));
          if (answer_ != nullptr && content_.present() && content_.in(json_).starts_with("[")) {
            answer_->has_logprobs = true;
            answer_->logprobs_content = internal::inside_brackets(content_.in(json_));
          }
        } else if (key == "finish_reason") {
          std::string_view reason;
          od::value finish = field.value();
          if (finish.get_string().get(reason) == simdjson::SUCCESS) {
            out_.finish_reason = reason;
          } else {
            Span ignored;
            CHAT_JSON_TRY(walk(document_, finish, ignored));
          }
        } else {
          Span ignored;
          CHAT_JSON_TRY(walk(document_, field.value(), ignored));
        }
      }
    }
    return simdjson::SUCCESS;
  }

  Code read_message(od::value value) {
    out_.message.begin = document_.start_of(value);
    od::object message;
    CHAT_JSON_TRY(value.get_object().get(message));
    for (auto member : message) {
      od::field field;
      CHAT_JSON_TRY(std::move(member).get(field));
      const auto key = field.key();
      if (key == "tool_calls") {
        CHAT_JSON_TRY(read_tool_calls(field.value()));
      } else if (answer_ != nullptr && key == "content") {
        CHAT_JSON_TRY(optional_text(field.value(), answer_->content));
      } else if (answer_ != nullptr && key == "refusal") {
        CHAT_JSON_TRY(optional_text(field.value(), answer_->refusal));
      } else if (answer_ != nullptr && key == "reasoning_content") {
        CHAT_JSON_TRY(optional_text(field.value(), answer_->reasoning_content));
      } else {
        Span ignored;
        CHAT_JSON_TRY(walk(document_, field.value(), ignored));
      }
    }
    out_.message.end = document_.here();
    return simdjson::SUCCESS;
  }

  Code read_tool_calls(od::value value) {
    od::array calls;
    if (value.get_array().get(calls) != simdjson::SUCCESS) {
      Span ignored;
      return walk(document_, value, ignored);
    }
    for (auto entry : calls) {
      out_.has_tool_calls = true;
      od::value element;
      CHAT_JSON_TRY(std::move(entry).get(element));
      if (answer_ == nullptr) {
        Span ignored;
        CHAT_JSON_TRY(walk(document_, element, ignored));
        continue;
      }
      od::object call;
      CHAT_JSON_TRY(element.get_object().get(call));
      CHAT_JSON_TRY(internal::read_tool_call(document_, call, answer_->tool_calls.emplace_back()));
    }
    return simdjson::SUCCESS;
  }

  std::string_view json_;
  LogprobSeries* series_;
  Answer* answer_;
  Document document_;
  Completion out_;
  Span content_;
  std::string_view usage_text_;
};

/// -1 where there is none, or one that no call can have: sums and prices of counts must not overflow.
std::int64_t count_of(od::object& object, std::string_view key) {
  constexpr std::int64_t kMost = 1'000'000'000'000;
  std::int64_t count = 0;
  double fractional = 0;
  auto value = object.find_field_unordered(key);
  if (value.get_int64().get(count) == simdjson::SUCCESS) return count <= kMost ? count : -1;
  value = object.find_field_unordered(key);
  if (value.get_double().get(fractional) == simdjson::SUCCESS && fractional >= 0 && fractional <= static_cast<double>(kMost)) {
    return static_cast<std::int64_t>(fractional);
  }
  return -1;
}

std::int64_t detail_of(od::object& usage, std::string_view details, std::string_view key) {
  od::object object;
  if (usage.find_field_unordered(details).get_object().get(object) != simdjson::SUCCESS) return 0;
  return std::max<std::int64_t>(0, count_of(object, key));
}

}  // namespace

Result<Completion> parse_completion(std::string_view json, LogprobSeries* series) {
  auto completion = CompletionParser(json, series, nullptr).run();
  if (completion && completion->usage.present()) completion->tokens = parse_usage(completion->usage.in(json));
  return completion;
}

Result<Answer> parse_answer(std::string_view json) {
  Answer answer;
  auto completion = CompletionParser(json, nullptr, &answer).run();
  if (!completion) return fail(std::move(completion.error()));
  answer.finish_reason = std::move(completion->finish_reason);
  if (!answer.usage_raw.empty()) answer.usage = parse_usage(answer.usage_raw);
  return answer;
}

std::optional<Usage> parse_usage(std::string_view usage_json) {
  Document document;
  auto root = document.open(usage_json);
  if (!root) return std::nullopt;
  const std::int64_t prompt = count_of(*root, "prompt_tokens");
  const std::int64_t completion = count_of(*root, "completion_tokens");
  if (prompt < 0 && completion < 0) return std::nullopt;
  Usage usage;
  usage.input = std::max<std::int64_t>(0, prompt);
  usage.output = std::max<std::int64_t>(0, completion);
  usage.cached_input = std::min(usage.input, detail_of(*root, "prompt_tokens_details", "cached_tokens"));
  usage.reasoning = std::min(usage.output, detail_of(*root, "completion_tokens_details", "reasoning_tokens"));
  return usage;
}

}  // namespace understudy::chat
