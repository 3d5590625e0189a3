#pragma once
/// `understudy train judge`, and what `predict` and `evaluate` do with a judge (docs/guide/judge.md).

#include <memory>
#include <optional>
#include <string>

#include "neural/encoder.h"
#include "neural/pair_scorer.h"
#include "specialists/judge_specialist.h"

namespace understudy::app {

int run_train_judge_command(int argc, char** argv);

/// A judge from its folder, with what it asks.
struct ReadyJudge {
  specialists::JudgeSpecialist specialist;
  std::unique_ptr<neural::TextEncoder> encoder;
  std::unique_ptr<neural::PairScorer> cross_encoder;
  std::string note;  ///< for people: what is not as it was trained; empty: nothing

  specialists::JudgeEngines engines() const { return {encoder.get(), cross_encoder.get()}; }
};
/// Calibrated anew from its kept rows where this machine computes other numbers, or lacks the encoder; `note` says so.
Result<ReadyJudge> open_judge(const std::string& folder);

/// The wrong share up to which `predict` answers yes or no by itself.
using specialists::kUsualBand;

/// @param data  empty: standard input. @return the exit status
int predict_judge(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const char* name);
int evaluate_judge(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const std::string& before, bool json, const char* name);

/// A file's rows, plain, gzip or zstd, with the hash of its text. @param split  nullopt: `usual` where the file has splits, else all rows
struct JudgeFile {
  specialists::JudgeRows rows;
  std::string hash;
};
Result<JudgeFile> read_judge_rows(const std::string& path, std::optional<std::string> split, const std::string& usual);

}  // namespace understudy::app
