#pragma once
/// What an intent specialist computes of a text: logits of its labels from the text's words, and better ones from its vector of meaning.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "retrieval/hashed_text.h"
#include "specialists/packed_rows.h"

namespace understudy::specialists {

/// Memory of a thread that asks; grows once.
struct IntentScratch {
  retrieval::TermExtractor extractor;
  retrieval::Terms terms;
  std::vector<retrieval::TermSpace::Entry> row;
  std::vector<float> words, both;  ///< logits: labels, then padding
};

/// Two heads over the same labels. Their logits are not calibrated; IntentSpecialist does that. Immutable, thread-safe.
struct IntentModel {
  static constexpr std::size_t kMostLabels = std::size_t{1} << 14;
  static constexpr std::size_t kLongestLabel = std::size_t{1} << 16;  ///< bytes

  std::vector<std::string> labels;
  bool several = false;  ///< any number of labels may hold: a logit says of its label alone
  std::shared_ptr<const retrieval::TermSpace> space;
  PackedRows words;              ///< by column of `space`
  std::vector<float> words_bias; ///< padded
  std::vector<float> mean;       ///< of the training vectors; empty: the model reads none
  PackedRows meaning;            ///< by number of a vector less its mean, times kVectorLength
  std::vector<float> meaning_bias;
  std::vector<float> centroids;  ///< labels x mean.size(): direction of each label's training vectors; empty where several may hold
  float share = 0;               ///< of `meaning` in the sum; that of `words` is 1 - share

  /// A vector of length 1 is read at this length, where the trainer's steps suit it.
  static constexpr float kVectorLength = 2;

  bool reads_vectors() const { return !mean.empty(); }
  /// scratch.words: logits by the words alone. About 10 us for 60 bytes and 77 labels.
  void read_words(std::string_view text, IntentScratch& scratch) const;
  /// After read_words. scratch.both: logits by words and vector, mean.size() numbers long.
  void read_vector(std::span<const float> vector, IntentScratch& scratch) const;
  /// Of a vector and a label's centroid.
  float cosine(std::span<const float> vector, std::size_t label) const;
  IntentModel repacked(WeightPrecision precision) const;
  WeightPrecision precision() const { return words.precision(); }

  /// model.safetensors, less what is in specialist.json: labels, several, share and the TermSpace's two numbers.
  std::string weights() const;
  /// @param model  has what specialist.json says; receives the rest. kCorrupt.
  static Result<void> read_weights(const neural::Safetensors& file, float words_share, float unseen_rarity, WeightPrecision precision, IntentModel& model);
};

/// Entries of a vector for a head that reads it: number i, less its mean, times kVectorLength.
void place_vector(std::span<const float> vector, std::span<const float> mean, std::vector<retrieval::TermSpace::Entry>& out);

}  // namespace understudy::specialists
