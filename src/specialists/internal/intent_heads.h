#pragma once
/// Rows of a training, and fits of one head of an IntentModel on some of them.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "specialists/internal/softmax_trainer.h"

namespace understudy::specialists::internal {

/// `rows` labelled rows and behind them, for each label whose name says something, a row that is the name.
struct IntentMaterial {
  std::vector<std::string> texts;
  std::vector<std::uint32_t> label;  ///< empty where several may hold
  std::vector<float> targets;        ///< else rows x padded labels
  std::vector<float> weights;        ///< of names: 1
  std::vector<std::string> labels;
  std::size_t rows = 0;
  bool several = false;
  std::size_t names() const { return texts.size() - rows; }
};

/// "card_arrival", "CardArrival" and "card-arrival" as "card arrival"; "" where fewer than three letters are left.
std::string name_as_text(const std::string& label);

struct HeadChoice {
  float penalty = 0.1f;
  float names = 0;  ///< how much the name of a label counts as an example of it
  double loss = 0;  ///< on rows held back, calibrated
};

/// One head: its inputs of each row of the material.
class IntentHead {
 public:
  IntentHead(const IntentMaterial& material, std::size_t columns, bool dense, int epochs, std::uint64_t seed)
      : material_(material), columns_(columns), dense_(dense), epochs_(epochs), seed_(seed) {}
  SparseRows& inputs() { return inputs_; }

  /// On all rows but those of fold `without` of kFolds; on all where it is kFolds.
  SoftmaxWeights fit(std::size_t without, const HeadChoice& choice) const;
  /// Logits of the rows of a fold, by fits on the others: rows x labels, into their places.
  void predict(const SoftmaxWeights& weights, std::size_t fold, std::span<float> logits) const;

  static constexpr std::size_t kFolds = 5;

 private:
  const IntentMaterial& material_;
  SparseRows inputs_;
  std::size_t columns_;
  bool dense_;
  int epochs_;
  std::uint64_t seed_;
};

}  // namespace understudy::specialists::internal
