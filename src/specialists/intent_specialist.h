#pragma once
/// A specialist for a task with closed answers (`understudy train intent`): trained once, then a folder that is loaded and asked.
/// docs/formats/specialist.md has the folder.

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specialists/intent_rows.h"
#include "specialists/linear_model.h"

namespace understudy::specialists {

inline constexpr std::size_t kFewestTrainingRows = 10;

/// Of probabilities that a calibration found on rows that the weights were not fitted on.
struct ReliabilityBin {
  std::size_t rows = 0;
  double probability = 0, accuracy = 0;  ///< means; 0 where there are no rows
};
using ReliabilityBins = std::array<ReliabilityBin, 15>;  ///< of equal width

struct IntentCalibration {
  std::string id;     ///< 16 hexadecimal digits over its numbers
  std::string source; ///< "held_back": one training row in five, of a fit on the rest; "file": rows given for it
  std::size_t rows = 0;
  float sharpness = 1;  ///< the probabilities are softmax(sharpness * logits)
  double accuracy = 0, ece15 = 0, brier = 0;
  ReliabilityBins bins{};
};

/// What is told of a training, beside the calibration.
struct IntentFacts {
  std::uint64_t seed = 1;
  std::size_t rows = 0, labels = 0;
  double penalty = 0, cv_accuracy = 0, cv_log_loss = 0;
  std::string command, data_file, data_hash, calibration_file, calibration_hash;
};

struct IntentPrediction {
  std::string_view label;  ///< lives as long as the specialist
  float probability = 0;   ///< that the label is right, calibrated
  float in_scope = 0;      ///< share of texts of the task, not trained on, that looked as strange as this one or stranger (energy of the logits)
  Guess top;
};

/// Immutable, thread-safe. About 10 us a short text.
class IntentSpecialist {
 public:
  /// kNotFound: no such folder or no specialist in it; kInvalidRequest: of another kind; kCorrupt, kUnsupported, kIo.
  static Result<IntentSpecialist> load(const std::filesystem::path& folder);
  /// The same from the texts of specialist.json and linear.bin.
  static Result<IntentSpecialist> parse(std::string_view json, std::string_view weights);
  /// Writes the folder whole or not at all. kConflict where it exists and is not empty; kIo.
  Result<void> save(const std::filesystem::path& folder) const;

  IntentPrediction predict(std::string_view text) const;
  const IntentCalibration& calibration() const { return calibration_; }
  const IntentFacts& facts() const { return facts_; }
  std::span<const std::string> labels() const { return model_.labels(); }
  std::string json() const;  ///< specialist.json

 private:
  friend struct IntentTrainer;
  LinearModel model_;
  IntentCalibration calibration_;
  IntentFacts facts_;
  std::vector<float> energies_;  // of held-back rows, ascending
};

struct IntentTraining {
  std::uint64_t seed = 1;
  bool similar_labels = false;  ///< labels that differ by case or outer spaces only are meant so
};

/// Fits with penalty and calibration by five-fold cross-validation inside `rows`; `oos` rows are left out. `calibration`, where given, holds rows
/// that were not trained on. Deterministic for rows, order and seed.
/// kInvalidRequest, with what is needed: fewer than kFewestTrainingRows rows or two labels, too many labels, labels that differ by case
/// only, rows with `labels` and no `label`, calibration rows without a label that is known.
Result<IntentSpecialist> train_intent(const IntentRows& rows, const IntentRows* calibration, const IntentTraining& training, IntentFacts facts);

}  // namespace understudy::specialists
