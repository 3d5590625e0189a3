#pragma once
/// What "agrees with the teacher" means: one comparator per task, or the default for the answer's shape.
///
/// Every comparator is symmetric, and an answer agrees with itself. Where an answer does not have the shape that a
/// comparator wants (no number, no JSON), the two agree only if their normalised texts are equal: unreadable is not equal.
///
/// Normalised text (`text`, and the fallback): ASCII letters in lower case, runs of white space become one space, outer
/// white space, quotes, markdown marks (* _ `) and closing punctuation (. , ; : !) are dropped. Words, articles and inner
/// punctuation are kept: "a refund" and "refund" differ.
///
/// | comparator | the two agree when |
/// | --- | --- |
/// | exact   | the bytes are equal |
/// | text    | the normalised texts are equal |
/// | choice  | the normalised labels are equal: a leading "answer:" / "the answer is" / "label:" is dropped, "(B)", "B." and "B) Paris" become "b"; with `labels` set, an answer that names exactly one of them as whole words is that label |
/// | number  | |a - b| <= max(tolerance, relative_tolerance * max(|a|, |b|)); percentages only agree with percentages. The number is the whole answer if it is one (currency sign, thousands separators and % allowed), else the one after the last "####", else that in the last \boxed{}, else the last number in the text |
/// | json    | same structure: object keys in any order, arrays in order, numbers by value, strings byte for byte; a fence of ``` around it is dropped. `fields` gives a tolerance per path ("items.price": array positions are not named); an infinite tolerance ignores the field, also when one side lacks it. Duplicate keys are not JSON here |
/// | tools   | the same calls in the same order: names equal and arguments equal as `json`; call ids are ignored |
/// | ranking | share of the longer one's first `top_k` that both have in their first `top_k` >= level; or, with `top_k` = 0, the same items and Kendall's tau >= level. Items: "[3] > [1] > [2]", also amid words; a JSON array of ids, or of {index, score} objects, which are ordered by score, perhaps the only one in an object; or ids between commas, > or line breaks |
/// | score   | within tolerance; with `side_of` set, both on the same side of it (equal counts as above). "0.8", {"score": 0.8}, "Score: 4/5" (4), yes (1) and no (0), also true and false; JSON arrays of numbers agree where each pair does |
/// | embedding | cosine of the two texts' vectors >= level (`similarity` gives it); equal normalised texts agree without it |
/// | judge   | a model's verdict >= level (`similarity` gives it), asked in both orders, the lower counts; equal normalised texts agree without it. A distilled judge's verdict is a label only with error correction from rows that the judge judged too (promise/judge_check.h) |
///
/// Where either answer has tool calls the calls must agree under every comparator: a different call is a different act.
/// Pure, thread-safe (`similarity` must be too); microseconds for short answers.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy::calibration {

enum class Comparator : std::uint8_t { kExact, kText, kChoice, kNumber, kJson, kTools, kRanking, kScore, kEmbedding, kJudge };

std::string_view comparator_name(Comparator comparator);

/// How alike two texts are, in [-1, 1] for a cosine and [0, 1] for a verdict; nullopt where the model failed. Comes from above:
/// this module knows no models.
using Similarity = std::function<std::optional<double>(std::string_view a, std::string_view b)>;

/// What a task's comparator is and at which level; the defaults are what a bare name means.
struct ComparatorSpec {
  Comparator comparator = Comparator::kText;
  double tolerance = 1e-9;             ///< number, score, json numbers: absolute
  double relative_tolerance = 1e-9;    ///< number, json numbers
  std::map<std::string, double, std::less<>> fields;  ///< json: absolute tolerance by path
  std::vector<std::string> labels;     ///< choice: the closed answer set; empty where it is not known
  int top_k = 3;                       ///< ranking: 0 means Kendall's tau over the whole list
  double level = 1.0;                  ///< ranking: least overlap (0..1) or tau (-1..1); embedding: least cosine; judge: least verdict
  std::optional<double> side_of;       ///< score
  Similarity similarity;               ///< embedding, judge: must be set
};

/// The models that a program has for the comparators that need one; empty where it has none.
struct ComparatorModels {
  Similarity embedding, judge;
};

/// Reads "exact", "choice", "number:0.01" (tolerance), "score:0.1", "score:side=0.5", "ranking:top=3,level=0.66",
/// "ranking:tau=0.8", "choice:yes|no", "embedding:0.9" (cosine), "judge:0.5" (verdict). kConfig with the list of names
/// otherwise; kUnsupported for embedding and judge without their model.
Result<ComparatorSpec> parse_comparator(std::string_view text, const ComparatorModels& models = {});

/// An answer: the message's text, and its tool calls as a JSON array in OpenAI's form ("" where there are none).
struct AnswerView {
  std::string_view text;
  std::string_view tool_calls = {};
};

bool agrees(const ComparatorSpec& spec, const AnswerView& a, const AnswerView& b);
inline bool agrees(const ComparatorSpec& spec, std::string_view a, std::string_view b) {
  return agrees(spec, AnswerView{a}, AnswerView{b});
}

/// Default for a task without a configured comparator, from one (teacher's) answer: tools where it calls tools, json for
/// an object or array, ranking for ids joined by ">", number for a bare number, choice for a short label (one line, at
/// most four words and 40 bytes), else text.
Comparator default_comparator(const AnswerView& teacher_answer);

std::string normalise_text(std::string_view text);
std::string normalise_label(std::string_view text, const std::vector<std::string>& labels = {});

/// A number as the `number` comparator reads it.
struct ReadNumber {
  double value = 0;
  bool percent = false;
};
std::optional<ReadNumber> read_number(std::string_view text);

/// Share of the answers that agree with the first, the first included (1 for a single answer), and the entropy in nats
/// over groups of agreeing answers, an answer joining the first group whose first member it agrees with (semantic
/// entropy by classes; Kuhn et al. 2023). nullopt where there are no answers.
struct Votes {
  double share = 0;
  double semantic_entropy = 0;
};
std::optional<Votes> count_votes(const ComparatorSpec& spec, const std::vector<std::string>& answers);

}  // namespace understudy::calibration
