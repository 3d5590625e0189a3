#pragma once
/// A specialist for a task with closed answers (`understudy train intent`): trained once, then a folder that is loaded and asked.
/// docs/formats/specialist.md has the folder.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "neural/encoder.h"
#include "specialists/intent_calibration.h"
#include "specialists/intent_model.h"
#include "specialists/intent_rows.h"
#include "specialists/linear_model.h"

namespace understudy::specialists {

inline constexpr std::size_t kFewestTrainingRows = 10;

/// What is told of a training, beside the calibration.
struct IntentFacts {
  std::uint64_t seed = 1;
  std::size_t rows = 0;
  double words_penalty = 0, meaning_penalty = 0, names = 0;
  double cv_accuracy = 0, cv_log_loss = 0;
  std::string command, data_file, data_hash, calibration_file, calibration_hash;
  std::string parent;  ///< id of the calibration of the version that was quantised; empty: none was
};

struct IntentPrediction {
  std::string_view label;  ///< the likeliest; lives as long as the specialist
  float probability = 0;   ///< that it is right, calibrated
  float in_scope = 0;      ///< share of texts of the task, not trained on, that looked as strange as this one or stranger
  float sure = 0;          ///< that all of the answer is right: equals probability unless several labels may hold, which count as independent
  bool by_vector = false;
  Guess top;
  std::vector<float> each;           ///< where several labels may hold: that each of labels() does, calibrated
  std::vector<std::uint32_t> holds;  ///< those of them that are at least as likely as not
};

/// Rows that were not trained on: a rounded version, or the same on another processor, is calibrated from them.
struct KeptRows {
  std::vector<IntentRow> rows;
  /// Logits of fits that had not seen a row less those of the model itself, rows x labels; empty: the model has not seen the rows.
  std::vector<float> words_shift, both_shift;
  std::vector<float> cosine_shift;  ///< the same of UnseenRows::cosines

  std::string jsonl() const;                     ///< calibration.jsonl
  std::string shifts(std::size_t labels) const;  ///< calibration.safetensors
  /// @param shifts  "" where there are none. kCorrupt.
  static Result<KeptRows> parse(std::string_view jsonl, std::string_view shifts, std::size_t labels, bool vectors);
};

/// Immutable, thread-safe. By words about 10 us a short text; by vector as much more, beside the encoder's work.
class IntentSpecialist {
 public:
  /// kNotFound: no such folder or no specialist in it; kInvalidRequest: of another kind; kCorrupt, kUnsupported, kIo.
  static Result<IntentSpecialist> load(const std::filesystem::path& folder);
  /// The same from the texts of specialist.json and model.safetensors.
  static Result<IntentSpecialist> parse(std::string_view json, std::string_view weights);
  /// Writes the folder whole or not at all. kConflict where it exists and is not empty; kIo.
  Result<void> save(const std::filesystem::path& folder) const;

  /// By the words alone: what there is without an encoder, and enough for most texts with one.
  IntentPrediction predict(std::string_view text) const;
  /// Whether the words were not enough, and the text's vector should be asked for.
  bool wants_vector(const IntentPrediction& by_words) const { return model_.reads_vectors() && by_words.sure < calibration_.words_enough; }
  /// @param vector  of the encoder that this specialist is fit for: see fit_for
  IntentPrediction predict(std::string_view text, std::span<const float> vector) const;
  /// A text each: by words where they are enough, by vector elsewhere. @param encoder  null: all by words
  Result<std::vector<IntentPrediction>> predict_all(std::span<const std::string_view> texts, const neural::TextEncoder* encoder) const;

  /// The encoder whose vectors it was calibrated with; nullopt: it reads none.
  const std::optional<neural::EncoderIdentity>& encoder() const { return encoder_; }
  /// A copy whose probabilities hold for vectors of `encoder`: itself where that is encoder(), else calibrated anew from the kept rows
  /// (a second or two). kConflict: it is another model, or the rows were not kept. Others of the same weights may differ in precision,
  /// processor and runtime.
  Result<IntentSpecialist> fit_for(const neural::TextEncoder& encoder) const;
  /// Weights rounded, and calibrated anew. @param encoder  of the new version's vectors; needed where it reads any
  /// @param rows  labelled rows that were not trained on; null: the kept ones. kInvalidRequest: there are none.
  /// @param facts  those of this version, but for the command and the calibration rows; `parent` is set here
  Result<IntentSpecialist> quantised(WeightPrecision precision, const neural::TextEncoder* encoder, const IntentRows* rows, IntentFacts facts) const;

  const IntentCalibration& calibration() const { return calibration_; }
  const IntentFacts& facts() const { return facts_; }
  const IntentModel& model() const { return model_; }
  std::span<const std::string> labels() const { return model_.labels; }
  bool several() const { return model_.several; }
  std::string json() const;  ///< specialist.json

 private:
  friend struct IntentTrainer;
  Result<void> calibrate_from_kept(const neural::TextEncoder* encoder);
  Result<void> read_kept(const std::filesystem::path& folder);
  void name_calibration();
  IntentPrediction told(std::span<float> logits, std::span<const float> vector) const;

  IntentModel model_;
  IntentCalibration calibration_;
  IntentFacts facts_;
  std::optional<neural::EncoderIdentity> encoder_;
  KeptRows kept_;
};

struct IntentTraining {
  std::uint64_t seed = 1;
  bool similar_labels = false;          ///< labels that differ by case or outer spaces only are meant so
  bool several = false;                 ///< learn `labels`, though rows have a `label` too
  const neural::TextEncoder* encoder = nullptr;
  std::filesystem::path cache_folder;   ///< of vectors; empty: none
  std::size_t most_kept = 1000;         ///< rows for recalibration, in the folder
  std::function<void(std::string_view what, std::size_t done, std::size_t total)> progress;
  std::stop_token stop;
};

/// Fits both heads, chooses penalties and calibrates by five-fold cross-validation inside `rows`; `oos` rows are left out. `calibration`, where
/// given, holds rows that were not trained on. Deterministic for rows, order, seed and encoder.
/// kInvalidRequest, with what is needed: fewer than kFewestTrainingRows rows or two labels, too many labels, labels that differ by case
/// only, rows with a `label` beside rows with `labels`, calibration rows without a label that is known. kCancelled: `stop` was asked for.
Result<IntentSpecialist> train_intent(const IntentRows& rows, const IntentRows* calibration, const IntentTraining& training, IntentFacts facts);

}  // namespace understudy::specialists
