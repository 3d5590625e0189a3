#pragma once
/// Rows of judges of answers, from JSON Lines: a response to a prompt with a teacher's score, or two responses and which one is better; and which
/// form of judge a file is for.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specialists/judge_rows.h"

namespace understudy::specialists {

/// What a judge is asked.
enum class JudgeForm : std::uint8_t {
  kFaithfulness,  ///< `claim, evidence, label`: does the evidence support the claim (judge_rows.h)
  kScore,         ///< `prompt, response, teacher_score`: how good is the response
  kPreference,    ///< `prompt, a, b, gold`: which response is better
};
std::string_view judge_form_name(JudgeForm form);  ///< "faithfulness", "score", "preference"
std::optional<JudgeForm> parse_judge_form(std::string_view name);

/// Of the chosen rows, by their fields. kInvalidRequest: rows of two forms, with both lines; of none; no rows.
Result<JudgeForm> judge_form_of(std::string_view text, const std::string& file, const RowChoice& choice);

/// A score's or a preference's row.
struct AnswerRow {
  JudgeForm form = JudgeForm::kScore;
  std::string id;      ///< the row's, else "line N"
  std::string prompt;
  std::string response, other;  ///< score: the response. Preference: a and b. Each may be empty: that is an answer too
  double outcome = 0;     ///< score: teacher_score, on any scale, below 1e6 in size. Preference: gold, 1 (a is better), 2 (b) or 0 (a tie)
  bool labelled = false;  ///< an outcome was given
  double weight = 1;      ///< how much the row counts, (0, 1e6]
  std::size_t line = 0;   ///< from 1
  std::size_t left_out_of = kJudgeFolds;  ///< the fold that has not seen it, of a row that a judge kept; kJudgeFolds: none has
};

struct AnswerRows {
  std::string file;
  JudgeForm form = JudgeForm::kScore;  ///< of all rows
  std::vector<AnswerRow> rows;
};

/// All lines; empty ones are passed over. kInvalidRequest, with file and line: not UTF-8 or no object; no prompt, or an empty one; no response; a text
/// over kLongestText; `teacher_score` no number or beyond 1e6, `gold` none of 1, 2 and 0; neither where `choice.labelled`; a weight out of range; an id twice;
/// rows of two forms; no row of the split, with the splits that there are; no row at all.
Result<AnswerRows> parse_answer_rows(std::string_view text, const std::string& file, const RowChoice& choice);

/// One line, as above, without place.
Result<AnswerRow> parse_answer_row(std::string_view line);

}  // namespace understudy::specialists
