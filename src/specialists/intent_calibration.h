#pragma once
/// How far an intent specialist's logits can be trusted: measured on rows that its weights were not fitted on, and measured again when the
/// weights are rounded or another processor computes them.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace understudy::specialists {

/// Mean probability and accuracy of the rows whose probability lies in one fifteenth of [0, 1]; 0 where there are none.
struct ReliabilityBin {
  std::size_t rows = 0;
  double probability = 0, accuracy = 0;
};
using ReliabilityBins = std::array<ReliabilityBin, 15>;

struct IntentCalibration {
  std::string id;      ///< 16 hexadecimal digits over its numbers and the weights'
  std::string source;  ///< "cross_validation": rows held back in turn; "file": rows given for it
  std::size_t rows = 0;
  float words_sharpness = 1, both_sharpness = 1;  ///< probabilities are softmax(sharpness * logits), or the logistic function where several labels may hold
  /// Where the words alone are as sure as this, the vector is not asked for: over the calibration rows that costs at most one more error in two thousand, and it is .95 or more. 1: it always is.
  double words_enough = 1;
  double words_share = 0;                     ///< of the calibration rows that the words alone answer
  double accuracy = 0, ece15 = 0, brier = 0;  ///< as served: by the words where they are enough
  ReliabilityBins bins{};
  /// How familiar the rows looked, ascending, at most kMostFamiliar of them: by words their energy, by both see familiar_by_both.
  std::vector<float> words_familiar, both_familiar;
  float odds_scale = 1, cosine_scale = 1;  ///< one over the standard deviations of familiar_by_both's two terms
  static constexpr std::size_t kMostFamiliar = 1000;
};

/// What was not trained on: logits, rows x labels, and what was right.
struct UnseenRows {
  std::size_t labels = 0;
  bool several = false;
  std::vector<float> words, both;          ///< both: empty where the model reads no vectors
  std::vector<std::uint32_t> label;        ///< by row; empty where several may hold
  std::vector<float> targets;              ///< where several may hold: rows x labels, internal::kUnknown where not known
  std::vector<float> cosines;              ///< of a row's vector and the centroid of the label that `both` says; empty: not known
  std::vector<float> weights;
  std::size_t rows() const { return weights.size(); }
};

/// The sharpness with the least log loss, then all that is measured with it. Few rows: pulled towards what is usual. `source` and `id` are the caller's.
IntentCalibration calibrate(const UnseenRows& unseen);

/// Log loss with the best sharpness, by words (0) up to the vector's head alone (1): the least of them by `share`. For the mix of the two heads.
/// @param meaning  logits of the vector's head, as unseen.words
float best_share(const UnseenRows& unseen, std::span<const float> meaning);
/// Mean log loss of logits (rows x labels) with the best sharpness.
double calibrated_loss(const UnseenRows& unseen, std::span<const float> logits);

/// The log odds of the answer and its cosine to the label's centroid, each by its spread: strange texts are answered with less
/// certainty, and lie farther from all that was trained on. Of ten measures tried on BANKING77-OOS (dev) this sum told best.
float familiar_by_both(const IntentCalibration& c, double sure, float cosine);

/// log(sum of exp): low where no label fits.
float energy_of(std::span<const float> logits, bool several);

}  // namespace understudy::specialists
