#pragma once
/// `understudy train judge`, and what `predict` and `evaluate` do with a judge (docs/guide/judge.md).

#include <optional>
#include <string>

#include "app/pair_command.h"
#include "specialists/judge_specialist.h"

namespace understudy::app {

int run_train_judge_command(int argc, char** argv);

using ReadyJudge = ReadyPair<specialists::JudgeSpecialist>;

/// What the commands know of judges (pair_command.h).
struct JudgeInput {
  using Specialist = specialists::JudgeSpecialist;
  using Rows = specialists::JudgeRows;
  using Row = specialists::JudgeRow;
  static constexpr const char* kName = "judge";
  static constexpr auto parse_rows = specialists::parse_judge_rows;
  static constexpr auto parse_row = specialists::parse_judge_row;
};

/// The wrong share up to which `predict` answers yes or no by itself.
using specialists::kUsualBand;

/// @param data  empty: standard input. @return the exit status
int predict_judge(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const char* name);
int evaluate_judge(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const std::string& before, bool json, const char* name);

}  // namespace understudy::app
