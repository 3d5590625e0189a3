#pragma once
/// `eval stream --fine-tune`: an encoder that learns the labels as they come, by understudy-trainer (docs/guide/trainer.md).

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "evaluation/protocols.h"
#include "retrieval/dense_index.h"

namespace understudy::evaluation::internal {

/// A text whose label was told.
struct ToldLabel {
  std::size_t row = 0;  ///< of the prompts
  std::string label;
};

class FineTuning {
 public:
  /// @param prompts  of all rows; must outlive this
  /// kUnsupported: there is no trainer or no encoder; kUsage: --encoder off.
  static Result<FineTuning> create(std::vector<std::string_view> prompts, const EvalOptions& options);
  FineTuning(FineTuning&& other) noexcept;
  FineTuning& operator=(FineTuning&&) = delete;
  ~FineTuning();  ///< removes its folder

  /// Vectors of prompts by the encoder that it began with, fine-tuned anew on these labels alone. Deterministic for labels, seed and machine.
  /// @param wanted  of which prompts, by row; the others' vectors are empty
  /// Minutes: each label goes through the trainer four times, each wanted prompt through the encoder once. kInvalidRequest: one label only. Errors of run_trainer.
  Result<std::vector<retrieval::PackedVector>> vectors(std::span<const ToldLabel> told, const std::vector<bool>& wanted, std::uint64_t seed);
  std::size_t trainings() const { return trainings_; }

 private:
  FineTuning() = default;

  std::vector<std::string_view> prompts_;
  std::filesystem::path encoder_, work_;
  std::size_t max_tokens_ = 0, trainings_ = 0;
};

}  // namespace understudy::evaluation::internal
