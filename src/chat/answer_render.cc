#include <fmt/format.h>

#include "base/json_writer.h"
#include "chat/answer.h"

namespace understudy::chat {
namespace {

void write_tool_calls(JsonWriter& w, const std::vector<ToolCall>& calls, bool with_index) {
  w.begin_array();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    w.begin_object();
    if (with_index) w.field("index", i);
    w.field("id", calls[i].id).field("type", calls[i].type).key("function").begin_object();
    w.field("name", calls[i].name).field("arguments", calls[i].arguments).end_object().end_object();
  }
  w.end_array();
}

void write_message(JsonWriter& w, const Answer& answer) {
  w.begin_object().field("role", "assistant").key("content");
  if (answer.content) {
    w.string(*answer.content);
  } else {
    w.null();
  }
  if (answer.reasoning_content) w.field("reasoning_content", *answer.reasoning_content);
  w.key("refusal");
  if (answer.refusal) {
    w.string(*answer.refusal);
  } else {
    w.null();
  }
  if (!answer.tool_calls.empty()) {
    w.key("tool_calls");
    write_tool_calls(w, answer.tool_calls, false);
  }
  w.end_object();
}

void write_logprobs(JsonWriter& w, const Answer& answer, bool wanted) {
  w.key("logprobs");
  if (wanted && answer.has_logprobs) {
    w.begin_object().key("content").raw(fmt::format("[{}]", answer.logprobs_content)).key("refusal").null().end_object();
  } else {
    w.null();
  }
}

void write_usage(JsonWriter& w, const Answer& answer, std::string_view understudy) {
  const std::string usage = usage_with_understudy(answer.usage_raw, answer.usage, understudy);
  if (!usage.empty()) w.key("usage").raw(usage);
}

}  // namespace

std::string message_json(const Answer& answer) {
  std::string out;
  JsonWriter w(out);
  write_message(w, answer);
  return out;
}

std::string_view answer_text(const Answer& answer) {
  if (answer.content) return *answer.content;
  if (answer.refusal) return *answer.refusal;
  return {};
}

std::string usage_with_understudy(std::string_view usage_raw, const std::optional<Usage>& usage, std::string_view understudy) {
  std::string out;
  const std::size_t brace = usage_raw.rfind('}');
  if (brace != std::string_view::npos && usage_raw.starts_with('{')) {
    out.reserve(brace + understudy.size() + 20);
    out.assign(usage_raw.substr(0, brace));
    if (!understudy.empty()) {
      while (!out.empty() && (out.back() == ' ' || out.back() == '\n' || out.back() == '\r' || out.back() == '\t')) out.pop_back();
      if (out.size() > 1) out += ',';
      out += "\"understudy\":";
      out += understudy;
    }
    out += '}';
    return out;
  }
  if (!usage && understudy.empty()) return out;
  JsonWriter w(out);
  w.begin_object();
  if (usage) {
    w.field("prompt_tokens", usage->input).field("completion_tokens", usage->output).field("total_tokens", usage->input + usage->output);
    if (usage->cached_input > 0) w.key("prompt_tokens_details").begin_object().field("cached_tokens", usage->cached_input).end_object();
    if (usage->estimated) w.field("estimated", true);
    if (usage->reasoning > 0) w.key("completion_tokens_details").begin_object().field("reasoning_tokens", usage->reasoning).end_object();
  }
  if (!understudy.empty()) w.key("understudy").raw(understudy);
  w.end_object();
  return out;
}

std::string render_completion(const Answer& answer, const RenderOptions& options) {
  std::string out;
  out.reserve(answer_text(answer).size() + answer.logprobs_content.size() + 512);
  JsonWriter w(out);
  w.begin_object().field("id", answer.id).field("object", "chat.completion").field("created", answer.created).field("model", options.model);
  w.key("choices").begin_array().begin_object().field("index", 0).key("message");
  write_message(w, answer);
  write_logprobs(w, answer, options.logprobs);
  w.field("finish_reason", answer.finish_reason).end_object().end_array();
  write_usage(w, answer, options.understudy_usage);
  if (!answer.system_fingerprint.empty()) w.field("system_fingerprint", answer.system_fingerprint);
  if (!options.understudy.empty()) w.key("understudy").raw(options.understudy);
  w.end_object();
  return out;
}

std::string render_stream(const Answer& answer, const RenderOptions& options) {
  std::string out;
  const auto begin_chunk = [&](JsonWriter& w) {
    w.begin_object().field("id", answer.id).field("object", "chat.completion.chunk").field("created", answer.created).field("model", options.model);
    if (!answer.system_fingerprint.empty()) w.field("system_fingerprint", answer.system_fingerprint);
  };
  const auto event = [&](auto write_delta, bool with_logprobs, bool finish) {
    out += "data: ";
    JsonWriter w(out);
    begin_chunk(w);
    w.key("choices").begin_array().begin_object().field("index", 0).key("delta").begin_object();
    write_delta(w);
    w.end_object();
    write_logprobs(w, answer, with_logprobs);
    w.key("finish_reason");
    if (finish) {
      w.string(answer.finish_reason);
    } else {
      w.null();
    }
    w.end_object().end_array();
    if (finish && !options.understudy.empty()) w.key("understudy").raw(options.understudy);
    if (options.include_usage) w.key("usage").null();
    w.end_object();
    out += "\n\n";
  };

  event([](JsonWriter& w) { w.field("role", "assistant").field("content", ""); }, false, false);
  if (answer.reasoning_content && !answer.reasoning_content->empty()) {
    event([&](JsonWriter& w) { w.field("reasoning_content", *answer.reasoning_content); }, false, false);
  }
  const bool has_text = answer.content && !answer.content->empty();
  if (has_text) event([&](JsonWriter& w) { w.field("content", *answer.content); }, options.logprobs, false);
  if (answer.refusal && !answer.refusal->empty()) event([&](JsonWriter& w) { w.field("refusal", *answer.refusal); }, options.logprobs && !has_text, false);
  for (std::size_t i = 0; i < answer.tool_calls.size(); ++i) {
    event(
        [&](JsonWriter& w) {
          const ToolCall& call = answer.tool_calls[i];
          w.key("tool_calls").begin_array().begin_object().field("index", i).field("id", call.id).field("type", call.type);
          w.key("function").begin_object().field("name", call.name).field("arguments", call.arguments).end_object().end_object().end_array();
        },
        false, false);
  }
  event([](JsonWriter&) {}, false, true);
  if (options.include_usage) {
    out += "data: ";
    JsonWriter w(out);
    begin_chunk(w);
    w.key("choices").begin_array().end_array();
    write_usage(w, answer, options.understudy_usage);
    w.end_object();
    out += "\n\n";
  }
  out += "data: [DONE]\n\n";
  return out;
}

std::int64_t estimate_tokens(std::string_view text) {
  std::int64_t tokens = 0;
  std::size_t letters = 0;
  const auto flush = [&] {
    if (letters > 0) tokens += static_cast<std::int64_t>((letters + 5) / 6);
    letters = 0;
  };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z')) {
      ++letters;
    } else {
      flush();
      if (byte == ' ' || (byte & 0xc0) == 0x80) continue;  // spaces join the next word; continuation bytes their character
      ++tokens;
    }
  }
  flush();
  return tokens;
}

}  // namespace understudy::chat
