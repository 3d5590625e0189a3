#pragma once
/// Answers: what an upstream said, plain or streamed, and the forms in which we say it again.
///
/// The plain path never builds an Answer: it reads a Completion (places and figures) and forwards the bytes. Streams,
/// the cache and comparisons use Answer, which holds the same content whichever way it came; a property test holds that
/// assembling a stream gives the Answer of the plain reply.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "chat/span.h"
#include "chat/usage.h"

namespace understudy::chat {

/// Log-probabilities of an answer's tokens, with the returned alternatives of each. Reused between requests.
struct LogprobSeries {
  std::vector<float> chosen;              ///< natural log, one a token, <= 0
  std::vector<float> alternatives;        ///< top_logprobs of all tokens one after the other, as returned (most servers include the chosen token)
  std::vector<std::uint16_t> per_token;   ///< how many of `alternatives` belong to each token
  bool present = false;                   ///< the upstream sent a logprobs object with content

  void clear() {
    chosen.clear();
    alternatives.clear();
    per_token.clear();
    present = false;
  }
};

/// Places and figures of a plain reply (`chat.completion`). Spans refer to the parsed bytes.
struct Completion {
  Span model;                 ///< value of `model`
  Span usage;                 ///< value of `usage`
  Span logprobs;              ///< value of choices[0].logprobs
  Span message;               ///< value of choices[0].message
  std::uint32_t choices = 0;
  bool has_tool_calls = false;
  std::string finish_reason;
  std::optional<Usage> tokens;
};

/// Reads a plain reply. kUpstreamProtocol where it is not a completion (no choices, not an object, broken JSON).
/// `series` (may be null) is cleared and filled. O(bytes). With it, of each token inside `logprobs` only the figures are
/// checked, the rest must just be balanced: a full check took 164 us where this takes 65 (100 tokens, 5 alternatives each).
/// parse_answer checks everything.
Result<Completion> parse_completion(std::string_view json, LogprobSeries* series);

/// Reads a usage object of any OpenAI-type server. nullopt where it lacks one of the two token counts.
std::optional<Usage> parse_usage(std::string_view usage_json);

struct ToolCall {
  std::string id;
  std::string type = "function";
  std::string name;
  std::string arguments;
  friend bool operator==(const ToolCall&, const ToolCall&) = default;
};

struct Answer {
  std::string id;
  std::int64_t created = 0;
  std::string model;
  std::string system_fingerprint;
  std::optional<std::string> content;
  std::optional<std::string> refusal;
  std::optional<std::string> reasoning_content;
  std::vector<ToolCall> tool_calls;
  std::string finish_reason;
  std::string logprobs_content;      ///< elements of logprobs.content as JSON, without the brackets
  bool has_logprobs = false;
  std::optional<Usage> usage;
  std::string usage_raw;             ///< the usage object as it came
};

/// Reads a plain reply into an Answer (first choice). Errors as parse_completion.
Result<Answer> parse_answer(std::string_view json);

/// The assistant message as JSON: {"role":"assistant","content":...,...}.
std::string message_json(const Answer& answer);

/// The text that comparators look at: content, else refusal, else "".
std::string_view answer_text(const Answer& answer);

struct RenderOptions {
  std::string_view model;            ///< name the client asked for
  bool logprobs = false;             ///< the client asked for them
  std::string_view understudy_usage; ///< value of usage.understudy as JSON; "" leaves it out
  std::string_view understudy;       ///< value of an `understudy` object beside choices (streams: on the finish chunk); "" leaves it out
  bool include_usage = false;        ///< streams: one extra chunk with usage
};

/// The plain reply.
std::string render_completion(const Answer& answer, const RenderOptions& options);

/// The same answer as SSE events ("data: {...}\n\n" each), from the role chunk to "data: [DONE]\n\n".
std::string render_stream(const Answer& answer, const RenderOptions& options);

/// `{"prompt_tokens":..}` with `,"understudy":X` spliced in before its closing brace; `usage_raw` may be "" (then it is
/// built from `usage`, with `"estimated":true` where the tokens were counted by us).
std::string usage_with_understudy(std::string_view usage_raw, const std::optional<Usage>& usage, std::string_view understudy);

/// Tokens of a text by a rule of thumb (one per started six letters of a word, one per digit, mark and non-ASCII
/// character): for estimates that are marked as such. Within about 20 % of common BPE tokenizers on English prose.
std::int64_t estimate_tokens(std::string_view text);

}  // namespace understudy::chat
