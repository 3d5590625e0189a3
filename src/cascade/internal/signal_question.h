#pragma once
/// The questions that two signals put to a student about its answer, and a judge is asked about two answers; how their replies are read.
///
/// The client's messages and the answer go into the question as data: each is JSON on a line of its own, and JSON has no line
/// break inside its strings, so no text of a user can end its line and speak for us. What it says can still sway the model that
/// reads it; how often that happens is part of what coin rows measure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "chat/answer.h"
#include "chat/request.h"

namespace understudy::cascade::internal {

enum class Question : std::uint8_t {
  kRight,    ///< "Is this answer right?": yes or no, one token, with logprobs
  kHowSure,  ///< "How sure are you?": 0 to 100
};

/// A chat request that asks `model` about `answer` to the client's request.
/// @param top_logprobs  for kRight; 0 asks for none
std::string question_body(Question question, const chat::ChatRequest& request, std::string_view body, const chat::Answer& answer, std::string_view model,
                          int top_logprobs);

/// The same that asks `model` whether two answers to the client's request say the same: yes or no; one token, or a word where it gives no logprobs.
std::string comparison_body(const chat::ChatRequest& request, std::string_view body, const chat::Answer& first, const chat::Answer& second, std::string_view model,
                            int top_logprobs);

/// P(yes) / (P(yes) + P(no)) from the first token's candidates. Where the reply came without logprobs, its text: 1 for "yes", 0
/// for "no". nullopt where neither of the two is there.
std::optional<double> read_yes(const chat::Answer& reply);

/// "85", "85 %", "85." as 0.85. nullopt for anything but one number from 0 to 100.
std::optional<double> read_stated(std::string_view text);

}  // namespace understudy::cascade::internal
