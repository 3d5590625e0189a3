#include "workload.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

namespace understudy::bench {
namespace {

constexpr std::array<std::string_view, 24> kWords{
    " your", " replacement", " card", " was", " posted", " on", " Monday", " and", " should", " arrive", " within", " five",
    " working", " days", " please", " check", " the", " app", " for", " its", " current", " delivery", " status", " today"};

void write_digits(char* at, std::uint64_t tag) {
  for (int i = 11; i >= 0; --i, tag /= 10) at[i] = static_cast<char>('0' + tag % 10);
}

std::string filler(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i) text += kWords[i % kWords.size()];
  text.resize(bytes);
  return text;
}

/// One entry of `top_logprobs`, or the head of a token's own (without the closing brace).
std::string token_entry(std::string_view token, double logprob) {
  std::string bytes;
  for (const char c : token) bytes += fmt::format("{}{}", bytes.empty() ? "" : ",", static_cast<unsigned char>(c));
  // The tag is patched in later, and its bytes with it could not be: null is allowed.
  if (token.find(kTagPlaceholder) != std::string_view::npos) {
    return fmt::format(R"({{"token":"{}","logprob":{},"bytes":null)", token, logprob);
  }
  return fmt::format(R"({{"token":"{}","logprob":{},"bytes":[{}])", token, logprob, bytes);
}

std::string token_logprobs(const std::string& token, int position, int top, bool sure) {
  const double logprob = sure || position % 16 != 4 ? -0.0004 - 0.0009 * (position % 23) : -1.2040;
  std::string entry = token_entry(token, logprob) + R"(,"top_logprobs":[)";
  for (int k = 0; k < top; ++k) {
    const std::string other{kWords[static_cast<std::size_t>(position * 5 + k * 7) % kWords.size()]};
    entry += fmt::format("{}{}}}", k > 0 ? "," : "", k == 0 ? token_entry(token, logprob) : token_entry(other, -6.8125 - k));
  }
  return entry + "]}";
}

std::string usage(int output) {
  return fmt::format(R"({{"prompt_tokens":412,"completion_tokens":{0},"total_tokens":{1},"prompt_tokens_details":{{"cached_tokens":0}}}})",
                     output, 412 + output);
}

TaggedText response(const std::string& body) {
  return TaggedText(fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nx-request-id: up-{}\r\n\r\n{}", body.size(),
      kTagPlaceholder, body));
}

std::string answer_json(const AnswerShape& shape, const std::string& content, const std::string& logprobs, int tokens) {
  return fmt::format(
      R"({{"id":"chatcmpl-{}","object":"chat.completion","created":1767225600,"model":"bench-{}","choices":[{{"index":0,)"
      R"("message":{{"role":"assistant","content":"{}","refusal":null}},"logprobs":{},"finish_reason":"stop"}}],)"
      R"("usage":{},"system_fingerprint":"fp_bench"}})",
      kTagPlaceholder, shape.name, content, logprobs, usage(tokens));
}

std::string http_chunk(const std::string& data) { return fmt::format("{:x}\r\n{}\r\n", data.size(), data); }

std::string event(const AnswerShape& shape, const std::string& choices, const std::string& tail) {
  return fmt::format(
      "data: {{\"id\":\"chatcmpl-{}\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"bench-{}\","
      "\"system_fingerprint\":\"fp_bench\",\"choices\":[{}]{}}}\n\n",
      kTagPlaceholder, shape.name, choices, tail);
}

}  // namespace

TaggedText::TaggedText(std::string text) : text_(std::move(text)) {
  for (std::size_t at = text_.find(kTagPlaceholder); at != std::string::npos; at = text_.find(kTagPlaceholder, at + 12)) {
    places_.push_back(at);
  }
}

void TaggedText::append_to(std::string& out, std::uint64_t tag) const {
  const std::size_t start = out.size();
  out += text_;
  for (const std::size_t place : places_) write_digits(out.data() + start + place, tag);
}

std::string TaggedText::with(std::uint64_t tag) const {
  std::string out;
  append_to(out, tag);
  return out;
}

std::uint64_t find_tag(std::string_view body) {
  const std::size_t at = body.find("tag ");
  if (at == std::string_view::npos || body.size() < at + 16) return 0;
  std::uint64_t tag = 0;
  for (const char c : body.substr(at + 4, 12)) {
    if (c < '0' || c > '9') return 0;
    tag = tag * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return tag;
}

bool is_unsure(std::uint64_t tag, double share) {
  // Multiplicative hashing: neighbours differ, every share is met closely within a few hundred tags.
  return tag >= kFirstHardTag && static_cast<double>((tag * 0x9E3779B97F4A7C15ULL) >> 11) * 0x1.0p-53 < share;
}

bool has_true(std::string_view json, std::string_view quoted_name) {
  const void* found = memmem(json.data(), json.size(), quoted_name.data(), quoted_name.size());
  while (found != nullptr) {
    std::string_view rest = json.substr(static_cast<std::size_t>(static_cast<const char*>(found) - json.data()) + quoted_name.size());
    const auto skip_space = [&rest] {
      while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\n' || rest.front() == '\r' || rest.front() == '\t')) {
        rest.remove_prefix(1);
      }
    };
    skip_space();
    if (rest.starts_with(':')) {
      rest.remove_prefix(1);
      skip_space();
      if (rest.starts_with("true")) return true;
    }
    found = memmem(rest.data(), rest.size(), quoted_name.data(), quoted_name.size());
  }
  return false;
}

TaggedText chat_request(const RequestShape& shape, std::uint16_t port) {
  const std::string front = fmt::format(
      R"({{"model":"{}","messages":[{{"role":"system","content":"You are the support desk of a bank. Answer in one line.)", shape.model);
  const std::string middle = fmt::format(R"("}},{{"role":"user","content":"tag {} : where is my new card?"}}],"temperature":0,"max_tokens":256{}{}}})",
                                         kTagPlaceholder, shape.logprobs ? R"(,"logprobs":true,"top_logprobs":2)" : "",
                                         shape.stream ? R"(,"stream":true,"stream_options":{"include_usage":true})" : "");
  const std::size_t fixed = front.size() + middle.size();
  const std::string body = front + filler(shape.body_bytes > fixed ? shape.body_bytes - fixed : 0) + middle;
  return TaggedText(fmt::format(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUser-Agent: understudy-bench/1\r\nAccept: {}\r\n"
      "Authorization: Bearer sk-bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
      port, shape.stream ? "text/event-stream" : "application/json", body.size(), body));
}

std::string plain_content(const AnswerShape& shape) {
  const std::string front = fmt::format("Reference {} handled by {}:", kTagPlaceholder, shape.name);
  const std::size_t fixed = answer_json(shape, front, "null", 120).size();
  return front + filler(shape.plain_bytes > fixed ? shape.plain_bytes - fixed : 1);
}

std::string stream_token(const AnswerShape& shape, int i) {
  if (i == 0) return "Reference";
  if (i == 1) return " " + std::string(kTagPlaceholder);
  if (i == 2) return " handled";
  if (i == 3) return " by";
  if (i == 4) return " " + shape.name;
  return std::string(kWords[static_cast<std::size_t>(i) % kWords.size()]);
}

std::vector<std::string> answer_tokens(const AnswerShape& shape) {
  std::vector<std::string> tokens;
  for (int i = 0; i < shape.tokens; ++i) tokens.push_back(stream_token(shape, i));
  return tokens;
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += part;
  return text;
}

TaggedText plain_answer(const AnswerShape& shape) { return response(answer_json(shape, plain_content(shape), "null", 120)); }

TaggedText logprob_answer(const AnswerShape& shape, bool sure) {
  const std::vector<std::string> tokens = answer_tokens(shape);
  std::string logprobs = R"({"content":[)";
  for (int i = 0; i < shape.tokens; ++i) {
    logprobs += (i > 0 ? "," : "") + token_logprobs(tokens[static_cast<std::size_t>(i)], i, shape.top, sure);
  }
  return response(answer_json(shape, join(tokens), logprobs + R"(],"refusal":null})", shape.tokens));
}

StreamText stream_text(const AnswerShape& shape, int tokens, bool logprobs, bool sure) {
  StreamText text;
  const std::string head = fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n"
      "x-request-id: up-{}\r\n\r\n",
      kTagPlaceholder);
  const std::string role = event(
      shape, R"({"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null})", R"(,"usage":null)");
  text.head = TaggedText(head + http_chunk(role));
  for (int i = 0; i < tokens; ++i) {
    const std::string token = stream_token(shape, i);
    const std::string probs = logprobs ? R"({"content":[)" + token_logprobs(token, i, shape.top, sure) + R"(],"refusal":null})" : "null";
    const std::string choice = fmt::format(R"({{"index":0,"delta":{{"content":"{}"}},"logprobs":{},"finish_reason":null}})", token, probs);
    text.tokens.emplace_back(http_chunk(event(shape, choice, R"(,"usage":null)")));
  }
  text.finish = TaggedText(
      http_chunk(event(shape, R"({"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"})", R"(,"usage":null)")));
  text.usage = TaggedText(http_chunk(event(shape, "", R"(,"usage":)" + usage(tokens))));
  text.done = TaggedText(http_chunk("data: [DONE]\n\n") + "0\r\n\r\n");
  return text;
}

}  // namespace understudy::bench
