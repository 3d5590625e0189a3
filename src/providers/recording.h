#pragma once
/// Recorded answers (`understudy.recording/1`, docs/formats/recording.md): what a model once really said, with token
/// logprobs, usage and latency. A request is matched by the text of its last user message.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "chat/answer.h"

namespace understudy::providers {

struct RecordedToken {
  std::string text;
  double logprob = 0;
  std::vector<std::pair<std::string, double>> alternatives;  ///< other candidates, best first
};

struct RecordedAnswer {
  std::string answer;
  std::vector<RecordedToken> tokens;   ///< empty: recorded without logprobs
  std::string finish_reason = "stop";
  std::optional<Usage> usage;
  std::int64_t latency_ms = 0;
};

class Recording {
 public:
  /// kIo where the file cannot be read; kCorrupt with file and line where a line is not as the format says, an answer
  /// is not the sum of its tokens, or two lines match the same text differently.
  static Result<std::shared_ptr<const Recording>> load(const std::vector<std::string>& files);
  static Result<std::shared_ptr<const Recording>> parse(std::string_view text, std::string_view name);

  /// nullptr where nothing was recorded for this text.
  const RecordedAnswer* find(std::string_view last_user_text) const;
  const std::string& model() const { return model_; }
  std::size_t size() const { return answers_.size(); }

 private:
  Result<void> add_lines(std::string_view text, std::string_view name);

  struct StringHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  std::string model_;
  std::unordered_map<std::string, RecordedAnswer, StringHash, std::equal_to<>> answers_;
};

/// The plain reply that the recorded model's server would give, with logprobs where asked and recorded.
std::string render_recorded(const RecordedAnswer& recorded, std::string_view model, std::int64_t created, bool logprobs, std::int64_t top_logprobs);

/// The same streamed, one SSE event ("data: ...\n\n") a token, from the role chunk to [DONE].
std::vector<std::string> render_recorded_stream(const RecordedAnswer& recorded, std::string_view model, std::int64_t created, bool logprobs,
                                                std::int64_t top_logprobs, bool include_usage);

}  // namespace understudy::providers
