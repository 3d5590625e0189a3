#include <fmt/format.h>

#include <algorithm>
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

/// The token counts of a usage object as they stand there; -1 where one is missing or is no number.
struct Counts {
  std::int64_t prompt = -1;
  std::int64_t completion = -1;
  std::int64_t cached = -1;
  std::int64_t reasoning = -1;
};

/// A count that no call can have is none (-1): sums and prices of counts must not overflow.
simdjson::error_code read_count(Document& document, od::value value, std::int64_t& count) {
  constexpr double kMost = 1e12;
  std::int64_t whole = 0;
  double fractional = 0;
  if (value.get_int64().get(whole) == simdjson::SUCCESS) {
    count = whole <= static_cast<std::int64_t>(kMost) ? whole : -1;
  } else if (value.get_double().get(fractional) == simdjson::SUCCESS) {
    count = fractional >= 0 && fractional <= kMost ? static_cast<std::int64_t>(fractional) : -1;
  } else {
    Span ignored;
    return walk(document, value, ignored);
  }
  return simdjson::SUCCESS;
}

/// Reads one count out of an object of details; whatever else stands there is only checked.
simdjson::error_code read_detail(Document& document, od::value value, std::string_view wanted, std::int64_t& count) {
  od::object details;
  Span ignored;
  if (value.get_object().get(details) != simdjson::SUCCESS) return walk(document, value, ignored);
  for (auto member : details) {
    od::field field;
    CHAT_JSON_TRY(std::move(member).get(field));
    CHAT_JSON_TRY(field.key() == wanted ? read_count(document, field.value(), count) : walk(document, field.value(), ignored));
  }
  return simdjson::SUCCESS;
}

simdjson::error_code read_counts(Document& document, od::object usage, Counts& counts) {
  Span ignored;
  for (auto member : usage) {
    od::field field;
    CHAT_JSON_TRY(std::move(member).get(field));
    const auto key = field.key();
    if (key == "prompt_tokens") {
      CHAT_JSON_TRY(read_count(document, field.value(), counts.prompt));
    } else if (key == "completion_tokens") {
      CHAT_JSON_TRY(read_count(document, field.value(), counts.completion));
    } else if (key == "prompt_tokens_details") {
      CHAT_JSON_TRY(read_detail(document, field.value(), "cached_tokens", counts.cached));
    } else if (key == "completion_tokens_details") {
      CHAT_JSON_TRY(read_detail(document, field.value(), "reasoning_tokens", counts.reasoning));
    } else {
      CHAT_JSON_TRY(walk(document, field.value(), ignored));
    }
  }
  return simdjson::SUCCESS;
}

std::optional<Usage> usage_of(const Counts& counts) {
  if (counts.prompt < 0 || counts.completion < 0) return std::nullopt;  // half a count would price the other half at zero
  Usage usage;
  usage.input = std::max<std::int64_t>(0, counts.prompt);
  usage.output = std::max<std::int64_t>(0, counts.completion);
  usage.cached_input = std::min(usage.input, std::max<std::int64_t>(0, counts.cached));
  usage.reasoning = std::min(usage.output, std::max<std::int64_t>(0, counts.reasoning));
  return usage;
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
        CHAT_JSON_TRY(read_usage(field.value()));
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
    if (out_.usage.present() && answer_ != nullptr) answer_->usage_raw = out_.usage.in(json_);
    return simdjson::SUCCESS;
  }

  Code read_usage(od::value value) {
    out_.usage.begin = document_.start_of(value);
    od::object usage;
    if (value.get_object().get(usage) != simdjson::SUCCESS) return walk(document_, value, out_.usage);
    Counts counts;
    CHAT_JSON_TRY(read_counts(document_, usage, counts));
    out_.usage.end = document_.here();
    out_.tokens = usage_of(counts);
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
};

}  // namespace

Result<Completion> parse_completion(std::string_view json, LogprobSeries* series) { return CompletionParser(json, series, nullptr).run(); }

Result<Answer> parse_answer(std::string_view json) {
  Answer answer;
  auto completion = CompletionParser(json, nullptr, &answer).run();
  if (!completion) return fail(std::move(completion.error()));
  answer.finish_reason = std::move(completion->finish_reason);
  answer.usage = completion->tokens;
  return answer;
}

std::optional<Usage> parse_usage(std::string_view usage_json) {
  Document document;
  Counts counts;
  auto root = document.open(usage_json);
  if (!root || read_counts(document, *root, counts) != simdjson::SUCCESS) return std::nullopt;
  return usage_of(counts);
}

}  // namespace understudy::chat
