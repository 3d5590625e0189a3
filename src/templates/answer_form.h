#pragma once
/// Writes a specialist's scores in the form in which the teacher answers.
///
/// In `render` stand the places, in `item` how each of {ranking} or {scores} is written:
///
///     {ranking}  documents, best first      item: {n} as the prompt numbers it, {index} from 0 on in the prompt's order, {id}, {score}
///     {scores}   documents in their order   item: the same
///     {verdict}  the word for yes or for no
///     {score}    a number

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy::templates {

struct AnswerForm {
  std::string render = "{ranking}";
  std::string item = "[{n}]";
  std::string separator = " > ";                     ///< between items
  std::size_t top = 0;                               ///< {ranking} names so many, fewer where there are fewer; 0: all
  std::array<std::string, 2> verdicts{"no", "yes"};
  int digits = 2;                                    ///< of {score} behind the point, 0..6
  double lowest = 0, highest = 1;                    ///< {score} of a probability of 0 and of 1

  bool has(std::string_view place) const { return render.find(place) != std::string::npos; }
  /// Names all of it that decides how an answer is written.
  std::string text() const;
};

/// kConfig with `param` the key that is wrong: no place or several kinds of them, an unknown one, an item without its document, a separator that says nothing, ...
Result<void> check(const AnswerForm& form);

/// What a prompt's documents were found to be.
struct ScoredDocuments {
  std::span<const double> probability;     ///< one a document
  std::span<const std::string> ids;        ///< as many: Slots::ids
};

/// Documents' places, best first; equal ones in the prompt's order.
std::vector<std::size_t> best_first(std::span<const double> probability);

/// Fills in {ranking} or {scores}. nullopt where the answer could not be read again: no document, an id that holds a line break, a brace
/// or, outside JSON, the separator or a closing bracket.
/// @param json  ids are written as they stand inside a JSON string
std::optional<std::string> write_documents(const AnswerForm& form, const ScoredDocuments& documents, bool json);

/// Fills in {verdict} and {score}.
/// @param json  the word is written as it stands inside a JSON string
std::string write_verdict(const AnswerForm& form, bool yes, double probability, bool json);

}  // namespace understudy::templates
