#pragma once
/// Bodies of the routes that ask about texts: POST /v1/embeddings, /v1/classify, /v1/score. Pure; thread-safe.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy::chat {

inline constexpr std::size_t kMostTexts = 2'048;               ///< of one request, and pairs of one
inline constexpr std::size_t kLongestInput = 256 * 1024;       ///< of one text, in bytes

struct ClassifyRequest {
  std::string model;                 ///< "" where none was named
  std::vector<std::string> texts;    ///< 1 to kMostTexts, none of them empty
  bool raw_scores = false;           ///< logits in place of probabilities
};

/// What a request for scores asks, told by its fields.
enum class ScoreForm : std::uint8_t {
  kPair,         ///< text_1, text_2: how well do they go together
  kResponse,     ///< prompt, response: how good is it
  kPreference,   ///< prompt, a, b: which one is better
};
std::string_view score_fields(ScoreForm form);   ///< "'prompt' and 'response'": for messages

struct ScoreRequest {
  std::string model;
  ScoreForm form = ScoreForm::kPair;
  std::vector<std::string> first;    ///< text_1 or prompt, none empty: as many as `second`, or one that goes with each of them
  std::vector<std::string> second;   ///< text_2, none empty; or response or a, empty ones too
  std::vector<std::string> third;    ///< b, as many as a, empty ones too; none in the other forms

  std::size_t pairs() const { return second.size(); }
  const std::string& first_of(std::size_t pair) const { return first[first.size() == 1 ? 0 : pair]; }
};

struct EmbeddingsRequest {
  std::string model;
  std::vector<std::string> texts;    ///< empty where `tokens`
  bool tokens = false;               ///< the input is tokens of the named model's own tokenizer
  bool base64 = false;               ///< encoding_format: vectors as base64 of little-endian floats
  std::optional<std::int64_t> dimensions;
};

/// kInvalidRequest with `param` set: not an object; a field missing, unknown, empty, of the wrong type, or more or longer texts than the
/// limits; kTooLarge is the server's, before.
Result<ClassifyRequest> parse_classify_request(std::string_view body);
Result<ScoreRequest> parse_score_request(std::string_view body);
/// Unknown fields are let through: they may mean something to an upstream.
Result<EmbeddingsRequest> parse_embeddings_request(std::string_view body);

/// The same object with another model name, for the upstream that knows it by that.
std::string with_model(std::string_view body, std::string_view model);

}  // namespace understudy::chat
