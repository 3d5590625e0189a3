#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "trainer/torch/trained_network.h"

namespace understudy::trainer {

/// Everything that the rest of a training depends on beside its job, rows and base model: with it, an interrupted training ends with the
/// same bits as one that was not interrupted (on the same processor, with the same number of threads).
struct TrainingState {
  std::vector<at::Tensor> first_moments, second_moments;  ///< AdamW's, one for each trained parameter
  std::vector<at::Tensor> best;                           ///< weights of the best step so far; empty: none was kept apart
  std::uint64_t step = 0;                                 ///< steps done
  std::uint64_t best_step = 0, worse = 0;                 ///< worse: evaluations since the best one
  double before = 0, best_metric = 0;
  bool stopped_early = false;
};

/// One file, replaced whole: a process or machine that ends while it is written leaves the one before. @param job  what it belongs to
Result<void> write_checkpoint(const std::filesystem::path& path, std::string_view job, std::span<const Parameter> weights, const TrainingState& state);

/// False: there is no such file. kConflict: it is of another job; kCorrupt.
Result<bool> read_checkpoint(const std::filesystem::path& path, std::string_view job, std::span<Parameter> weights, TrainingState& state);

}  // namespace understudy::trainer
