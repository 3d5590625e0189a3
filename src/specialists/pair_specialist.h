#pragma once
/// What the kinds of specialists that read two texts have in common: what computes for them, what a training writes down, what a folder keeps.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "neural/encoder.h"
#include "neural/pair_scorer.h"
#include "specialists/late_interaction.h"
#include "specialists/rerank_features.h"

namespace understudy::specialists {

/// What computes vectors and pairs; null: not there.
struct PairEngines {
  const neural::TextEncoder* encoder = nullptr;
  const neural::PairScorer* cross_encoder = nullptr;  ///< also one that keeps scores
  TextMemory* memory = nullptr;                       ///< of texts that the encoder read token by token; null: each is read anew
};

/// Of a training, for the record.
struct PairFacts {
  std::uint64_t seed = 1;
  std::size_t rows = 0;
  std::string command, data_file, data_hash, calibration_file, calibration_hash, trainer;  ///< trainer: what it did, or why there is no cross-encoder
};

/// The part of a specialist that is the same in each kind. A kind derives from it.
class PairSpecialist {
 public:
  const std::optional<neural::EncoderIdentity>& encoder() const { return encoder_; }              ///< nullopt: it reads no vectors
  const std::optional<neural::EncoderIdentity>& cross_encoder() const { return cross_encoder_; }  ///< nullopt: there is none
  const std::filesystem::path& cross_encoder_folder() const { return cross_folder_; }

 protected:
  /// Whether the calibration holds for these engines; false: it is to be made anew from the kept rows. kConflict: another model, or no rows were kept.
  Result<bool> holds_for(const PairEngines& engines) const;
  /// Names these engines instead, those that it asks.
  void take_engines(const PairEngines& engines);

  using Files = std::vector<std::pair<std::string, std::string>>;  ///< name, bytes
  /// Writes them, the kept rows and a copy of the cross-encoder, whole or not at all. kConflict where the folder exists and is not empty; kIo.
  Result<void> write(const std::filesystem::path& folder, Files files) const;
  /// A specialist that a folder's files made, with what lies beside them; errors get the folder's name.
  template <typename Kind>
  static Result<Kind> at_home(Result<Kind> parsed, const std::filesystem::path& folder, std::string kept) {
    if (!parsed) return fail(parsed.error().kind, folder.string() + ": " + parsed.error().message);
    if (parsed->cross_encoder_) parsed->cross_folder_ = folder / "cross_encoder";
    parsed->kept_ = std::move(kept);
    return parsed;
  }

  TermStatistics statistics_;
  std::optional<neural::EncoderIdentity> encoder_, cross_encoder_;
  std::filesystem::path cross_folder_;
  std::string kept_;  ///< calibration.jsonl: rows to calibrate with again
};

}  // namespace understudy::specialists
