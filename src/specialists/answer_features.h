#pragma once
/// What a judge of answers reads of a prompt and a response: how long it is, how much it repeats of itself and of the prompt, whether it declines,
/// how it is laid out, numbers, and, where there is an encoder, how near it is to the prompt.
///
/// None of it knows what is true: it tells thin, evasive, repeating and broken answers from full ones, which is much of what teachers' scores say.

#include <Eigen/Core>
#include <string_view>

#include "base/error.h"
#include "neural/encoder.h"

namespace understudy::specialists {

inline constexpr Eigen::Index kAnswerColumns = 48;
inline constexpr Eigen::Index kAnswerWordsColumn = 0;  ///< log(1 + words of the response): what a model of the length alone reads

struct AnswerReading {
  Eigen::VectorXd x;  ///< kAnswerColumns, finite
  Eigen::VectorXd response, prompt;  ///< their vectors; empty without an encoder
};

/// Thread-safe. @param encoder  null: there is none, and the cosine is 0
/// The first 64 KB of each text are read. Empty texts are fine. kInternal: the encoder failed.
Result<AnswerReading> read_answer(std::string_view prompt, std::string_view response, const neural::TextEncoder* encoder);

}  // namespace understudy::specialists
