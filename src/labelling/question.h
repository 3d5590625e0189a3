#pragma once
/// What a teacher is asked about rows without labels, several of them in one call, and how its reply is read. Pure.
///
/// The rows' texts are data from strangers: they stand as JSON strings in a message of their own, and the instructions say that nothing in them
/// is to be followed. A reply that names the rows by other numbers than those asked about, or labels that were not offered, is not taken.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy::labelling {

enum class Task : std::uint8_t {
  kIntent,        ///< text: which label?
  kRelevance,     ///< query, doc: how relevant is the document?
  kFaithfulness,  ///< claim, evidence: does the evidence support the claim?
  kScore,         ///< prompt, response: how good is the response, 1 to 10?
  kPreference,    ///< prompt, a, b: which response is better?
};
std::string_view task_name(Task task);                       ///< "intent", "relevance", "faithfulness", "score", "preference"
std::span<const std::string_view> text_fields(Task task);    ///< names of a row's texts, in their order

/// A row without a label.
struct Row {
  std::string id;                  ///< for people
  std::vector<std::string> texts;  ///< as text_fields
};

struct Question {
  Task task = Task::kIntent;
  std::vector<std::string> labels;  ///< kIntent: that there are; at least two
};

/// What the teacher said of one row.
struct Verdict {
  std::string label;      ///< kIntent: one of the labels, "" where none fits; kPreference: "a", "b" or "tie"
  double score = 0;       ///< kRelevance: 0 to 1; kFaithfulness: that it is supported, 0 to 1; kScore: 1 to 10
  double confidence = 1;  ///< as the teacher states it, 0 to 1; 1 where it states none
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

/// What of the request the upstream has not refused yet.
struct Dialect {
  bool json_object = true;         ///< `response_format`
  bool temperature = true;         ///< `temperature`: 0
  bool completion_tokens = false;  ///< `max_completion_tokens`, with room for hidden thoughts, in place of `max_tokens`
  friend bool operator==(const Dialect&, const Dialect&) = default;
};

/// Longer texts are shown up to here: as far as a specialist reads them.
inline constexpr std::size_t kMostShown = 64 * 1024;

/// The instructions. They say all that an answer depends on but the rows and the model.
std::string instructions(const Question& question);
/// The request's body. A text that all rows share stands once. @param rows  at least one
std::string question_body(const Question& question, std::span<const Row* const> rows, std::string_view model, const Dialect& dialect);
/// Tokens that a reply about so many rows may have at most, as the body says it, and what one usually has.
std::int64_t most_output_tokens(const Question& question, std::size_t rows, const Dialect& dialect);
std::int64_t usual_output_tokens(const Question& question, std::size_t rows);

/// Content in 32 hexadecimal digits: model, instructions and texts, but not the id. Equal keys are asked about once.
std::string key_of(const Question& question, std::string_view model, const Row& row);

/// What a reply says of each row asked about, in their order; nullopt: nothing that can be used.
struct Reply {
  std::vector<std::optional<Verdict>> verdicts;
  std::string why;  ///< the first thing that is wrong; empty: all rows have a verdict
};
/// Reads a JSON object with "answers", or the array alone, also inside a ``` fence or between other words. kCorrupt, in words, where there is no such thing.
Result<Reply> parse_reply(const Question& question, std::size_t rows, std::string_view text);

}  // namespace understudy::labelling
