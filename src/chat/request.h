#pragma once
/// What the gateway must know about a chat completion request, found in one pass over the client's bytes. The bytes
/// themselves are kept and forwarded with only changed fields spliced (chat/splice.h).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "chat/span.h"

namespace understudy::chat {

struct RequestLimits {
  std::uint32_t max_messages = 2048;
};

/// Why a request may not be cascaded and goes straight to the teacher; the header value of x-understudy-reason.
enum class Bypass : std::uint8_t { kNone, kMedia, kManyChoices, kServerTools, kPreviousResponse };
std::string_view bypass_reason(Bypass bypass);

struct ChatRequest {
  std::string model;               ///< as the client asked
  bool stream = false;
  bool include_usage = false;      ///< stream_options.include_usage
  bool logprobs = false;
  std::int64_t top_logprobs = 0;
  std::int64_t n = 1;
  std::uint32_t messages = 0;
  bool has_tools = false;
  Bypass bypass = Bypass::kNone;
  std::string task;                ///< metadata.task, else metadata.step; "" where neither
  /// Of what the requests of one task have in common: system and developer messages, tools, response_format, as their bytes
  /// stand in the body. 0 where there is none of them.
  std::uint64_t prompt_hash = 0;

  // Places in the body. Absent fields have empty spans; `insert_at` is just behind the opening brace.
  std::uint32_t insert_at = 0;
  bool empty_object = false;
  Span model_span, stream_span, stream_options_span, logprobs_span, top_logprobs_span, messages_span;
  Span include_usage_span;         ///< the value inside stream_options
  std::uint32_t stream_options_insert_at = 0;
  bool stream_options_empty = false;

  struct Field {
    std::string_view key;  ///< raw key bytes in the body
    Span value;
  };
  std::vector<Field> fields;       ///< all top-level fields in their order
};

/// Parses and checks the body of POST /v1/chat/completions. Views and spans refer to `body`, which must outlive them.
/// kInvalidRequest with `param` set where a field has the wrong type, is missing or stands twice.
/// About 1 us for 2 KiB. Thread-safe.
Result<ChatRequest> parse_chat_request(std::string_view body, const RequestLimits& limits = {});

/// The request without what cannot change the answer's content (stream, stream_options, user, metadata, store,
/// service_tier, safety and cache identifiers): fields sorted by name, white space removed where the outermost fields show that
/// the writer puts any (a writer that puts it only further inside has canonical texts of its own). Two requests with equal
/// canonical text may share an answer. Appends to `out`.
void append_canonical(const ChatRequest& request, std::string_view body, std::string& out);

/// Text of the last message with role "user" (text parts joined by new lines); "" where there is none.
/// Off the hot path (a second parse).
std::string last_user_text(std::string_view body);

/// Texts of all messages with role "user", joined by line breaks; "" where there is none. As `last_user_text`.
std::string user_texts(std::string_view body);

}  // namespace understudy::chat
