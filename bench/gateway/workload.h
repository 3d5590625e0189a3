#pragma once
/// The conversation that the load generator and the mock upstream share, so that the one can check every byte of text
/// that the other wrote. A request carries a tag (12 digits, its number); the answer repeats the tag and the name of the
/// upstream that wrote it. A proxy that mixes up two answers, loses a token or serves a rejected draft is caught.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace understudy::bench {

inline constexpr std::string_view kTagPlaceholder = "000000000000";

/// Text with places for a tag. Building one request or answer from it is a copy and a few 12-byte patches.
class TaggedText {
 public:
  TaggedText() = default;
  explicit TaggedText(std::string text);
  void append_to(std::string& out, std::uint64_t tag) const;
  std::string with(std::uint64_t tag) const;
  std::size_t size() const { return text_.size(); }

 private:
  std::string text_;
  std::vector<std::size_t> places_;
};

/// The tag that follows "tag " in a request's body; 0 where there is none (a probe).
std::uint64_t find_tag(std::string_view body);

/// Tags from here on are hard: a share of them makes the student unsure. Below, it is always sure.
inline constexpr std::uint64_t kFirstHardTag = 500'000'000'000;

/// Whether the student is unsure about request `tag` when `share` (0..1) of the hard ones are to be escalated. Both
/// sides know, so the load generator can tell who must have answered.
bool is_unsure(std::uint64_t tag, double share);

/// Finds `"name": true` in JSON text, whatever the white space. Escaped quotes inside strings cannot match.
bool has_true(std::string_view json, std::string_view quoted_name);

struct RequestShape {
  std::string model = "support";
  std::size_t body_bytes = 2048;  ///< of the JSON
  bool logprobs = false;          ///< the client asks for them
  bool stream = false;
};
/// Head and body, ready to send, with places for the tag.
TaggedText chat_request(const RequestShape& shape, std::uint16_t port);

struct AnswerShape {
  std::string name = "student";     ///< who answers; part of the text
  std::size_t plain_bytes = 2048;   ///< JSON of an answer without logprobs
  int tokens = 7;                   ///< of an answer with logprobs; 7 and top 2 make about 2 KiB
  int top = 2;                      ///< alternatives per token
};

/// The assistant's text without logprobs (long) and with them (few tokens).
std::string plain_content(const AnswerShape& shape);
std::vector<std::string> answer_tokens(const AnswerShape& shape);
std::string join(const std::vector<std::string>& parts);

/// Whole HTTP responses with places for the tag. `sure`: every token's probability is above 0.97; else one is 0.3.
TaggedText plain_answer(const AnswerShape& shape);
TaggedText logprob_answer(const AnswerShape& shape, bool sure);

/// Text of token `i` of a stream of any length; token 1 holds the tag's place, token 4 the name.
std::string stream_token(const AnswerShape& shape, int i);

/// The events of one stream, each already framed as one HTTP chunk.
struct StreamText {
  TaggedText head;                  ///< response head and the role chunk
  std::vector<TaggedText> tokens;   ///< one chunk a token
  TaggedText finish;                ///< finish_reason
  TaggedText usage;                 ///< usage chunk (include_usage)
  TaggedText done;                  ///< data: [DONE] and the end of the body
};
StreamText stream_text(const AnswerShape& shape, int tokens, bool logprobs, bool sure);

}  // namespace understudy::bench
