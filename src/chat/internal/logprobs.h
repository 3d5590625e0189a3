#pragma once
#include "chat/answer.h"
#include "chat/internal/json.h"

namespace understudy::chat::internal {

/// Reads a `logprobs` value ({"content":[{"logprob":x,"top_logprobs":[{"logprob":y}..]}..]}, or null). Appends to
/// `series` where it is not null. `place` covers the whole value, `content` the content array (empty where absent).
simdjson::error_code read_logprobs(Document& document, od::value value, LogprobSeries* series, Span& place, Span& content);

/// Reads one element of message.tool_calls, or of a delta's: what is given is appended to arguments, else replaced.
simdjson::error_code read_tool_call(Document& document, od::object object, ToolCall& call);

/// "[a,b]" -> "a,b" (outer white space dropped).
std::string_view inside_brackets(std::string_view array);

}  // namespace understudy::chat::internal
