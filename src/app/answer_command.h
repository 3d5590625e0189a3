#pragma once
/// Judges of answers, which score responses or compare two: what `train judge`, `predict` and `evaluate` do with them (docs/guide/judge.md).

#include <optional>
#include <string>

#include "app/pair_command.h"
#include "specialists/answer_judge.h"

namespace understudy::app {

using ReadyAnswerJudge = ReadyPair<specialists::AnswerJudge>;

/// What the commands know of them (pair_command.h).
struct AnswerInput {
  using Specialist = specialists::AnswerJudge;
  using Rows = specialists::AnswerRows;
  using Row = specialists::AnswerRow;
  static constexpr const char* kName = "judge";
  static constexpr auto parse_rows = specialists::parse_answer_rows;
  static constexpr auto parse_row = specialists::parse_answer_row;
};

/// @param text  of --data. @return what to print
Result<std::string> train_answer_judge(const PairArguments& arguments, const std::string& text, const std::string& command);
/// @param data  empty: standard input. @return the exit status
int predict_answers(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const char* name);
int evaluate_answers(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const std::string& before, bool json, const char* name);

}  // namespace understudy::app
