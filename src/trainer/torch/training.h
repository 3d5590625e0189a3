#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace understudy::trainer {

struct TrainCall {
  std::filesystem::path job, out;
  std::function<void(const std::string& line)> tell;  ///< one JSON object: docs/formats/trainer-job.md has the events
  std::function<bool()> stop;                         ///< asked between two steps
};

/// Trains, or goes on from the checkpoint in OUT.training/, and moves a pair scorer's folder (with labels: an encoder's) to OUT when it is complete.
/// @return false: stopped; a checkpoint was written. kConflict: OUT is there, or the checkpoint is of another job; and what parse_job,
/// parse_pair_rows, StepPlan and open_model_folder say.
Result<bool> train(const TrainCall& call);

/// Scores of rows (`first`, `second`) by a folder's network, one {"score": z} a line: libtorch's word on what `neural` computes.
Result<std::string> score(const std::filesystem::path& folder, std::string_view rows);
/// Vectors of the rows' `first` by an encoder's network, one {"vector": [...]} of length 1 a line.
Result<std::string> embed(const std::filesystem::path& folder, std::string_view rows);

/// Fixes what results depend on beside their inputs. Once, before anything is computed.
void settle_threads(int threads);

Result<std::string> read_text(const std::filesystem::path& path);

}  // namespace understudy::trainer
