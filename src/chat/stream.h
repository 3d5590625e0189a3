#pragma once
/// Reading a streamed reply chunk by chunk.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "chat/answer.h"
#include "chat/packed_text.h"
#include "chat/span.h"

namespace understudy::chat {

/// Places in one chunk's JSON (`chat.completion.chunk`) that a forwarder may rewrite.
struct Chunk {
  Span model;               ///< value of `model`
  Span usage;               ///< value of `usage` where it is an object
  Span logprobs;            ///< value of choices[0].logprobs
  std::uint32_t close_at = 0;   ///< offset of the closing brace: `,"understudy":{}` goes before it
  std::uint32_t choices = 0;
  bool has_finish = false;  ///< choices[0].finish_reason is a string
};

/// Collects the first choice of a stream into an Answer. Feed each event's data; "[DONE]" is not JSON and is the
/// caller's to see. Bounded by what the caller feeds.
class StreamAssembler {
 public:
  /// `keep_series`: collect the numbers of `logprobs()`; a stream whose confidence nobody asks for holds none.
  explicit StreamAssembler(bool keep_series = true) : keep_series_(keep_series) {}

  /// kUpstreamProtocol where the data is not a chunk; kUpstreamStatus where it is an in-band error object (its message
  /// is kept). `keep_logprobs`: also keep the raw logprobs JSON for a client that asked.
  Result<Chunk> add(std::string_view json, bool keep_logprobs);

  /// What has come so far, but for the logprobs' JSON: that is there when the answer is taken.
  const Answer& answer() const { return answer_; }
  Answer take();
  const LogprobSeries& logprobs() const { return series_; }
  bool finished() const { return !answer_.finish_reason.empty(); }
  std::size_t bytes() const { return bytes_; }  ///< of text held, for the caller's bound

 private:
  friend class ChunkParser;
  Answer answer_;
  PackedText logprobs_json_;
  LogprobSeries series_;
  bool keep_series_;
  std::size_t bytes_ = 0;
};

}  // namespace understudy::chat
