#pragma once
/// Guesses what a template is for, from its fixed text and the form of its answers.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "templates/sketch.h"

namespace understudy::templates {

/// What was seen of the answers to one template.
struct AnswerStats {
  std::array<std::uint64_t, kAnswerShapes> shapes{};
  std::uint64_t words = 0;                      ///< total, over answers with text
  std::uint64_t with_text = 0;
  std::unordered_set<std::uint64_t> distinct;   ///< hashes of answers, at most 256 kept
  double share(AnswerShape shape) const {
    return with_text == 0 ? 0 : static_cast<double>(shapes[static_cast<std::size_t>(shape)]) / static_cast<double>(with_text);
  }
};

struct StepGuess {
  std::string step;                                     ///< canonical step, or "" where nothing speaks for any
  std::vector<std::pair<std::string, double>> scores;   ///< descending
  std::string reason;                                   ///< the words and shapes that decided
};

struct TemplateView {
  const std::vector<std::string>& fixed;
  const std::vector<std::string>& fixed_user;
  bool has_quoted = false;
  double slot_share = 0;
  double mean_turns = 0;
  const AnswerStats& answers;
};

/// The nine canonical steps: rewrite, route, rerank, generate, faithfulness, extract, summarise, embed, eval. Words of
/// English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Swedish, Russian, Turkish, Chinese, Japanese, Korean.
StepGuess guess_step(const TemplateView& view);

}  // namespace understudy::templates
