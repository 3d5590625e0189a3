#pragma once
/// Fine-tunes a cross-encoder for a specialist: writes the job, runs understudy-trainer, opens what it made (docs/guide/trainer.md).

#include <cstdint>
#include <filesystem>
#include <span>
#include <stop_token>
#include <string>

#include "neural/precision.h"
#include "specialists/cross_encoder.h"
#include "trainer/job.h"

namespace understudy::app {

struct CrossEncoderMaker {
  std::filesystem::path work;  ///< beside --out, so that the same command goes on after an interruption
  trainer::Job job;            ///< encoder, loss, seed, epochs, max_tokens (0: usual_tokens); the rows come with the call
  neural::Precision precision = neural::Precision::kInt8;
  std::stop_token stop;
  const char* unit = "rows";  ///< what a group of the job is called
  std::filesystem::path made_before{};  ///< a model's folder that a training left: it is taken, and nothing is trained; empty: none

  Result<specialists::CrossEncoder> operator()(std::span<const trainer::PairRow> train, std::span<const trainer::PairRow> held) const;
};

/// The pair scorer's folder that `named` means: itself, or that of the specialist there. kNotFound, kInvalidRequest: it has none.
Result<std::filesystem::path> pair_scorer_folder(const std::string& named);
/// The cross-encoder of another specialist, as it is. Also what open_pair_scorer says.
Result<specialists::CrossEncoder> read_cross_encoder(const std::string& named, neural::Precision precision);

/// The folder for that work.
std::filesystem::path work_folder(const std::string& out);

/// Whether a cross-encoder can be made: nullopt, or why not. `wanted` is "auto", "on" or "off". kUnsupported: "on", and there is no trainer.
Result<std::optional<std::string>> why_no_cross_encoder(const std::string& wanted, bool has_encoder);

}  // namespace understudy::app
