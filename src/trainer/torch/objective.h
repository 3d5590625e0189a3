#pragma once
/// What a training learns from, the loss of a step, and how good a network is on rows held back.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/job.h"
#include "trainer/torch/trained_network.h"

namespace understudy::trainer {

/// The labels that rows have, sorted: the outputs of a head of labels, in their order.
std::vector<std::string> labels_of(const std::vector<PairRow>& rows);

/// Rows with their tokens; what is over max_tokens is counted, not read.
struct TrainingRows {
  std::vector<PairRow> rows;
  std::vector<neural::Tokens> tokens;
  std::vector<std::int64_t> label;  ///< of each row, its place among the labels; empty: rows of pairs
  std::string hash;                 ///< of the file's bytes
  std::size_t cut = 0;

  /// Errors of parse_pair_rows; kNotFound.
  static Result<TrainingRows> read(const std::string& path);
  /// Fills `tokens`, `label` and `cut`. kInvalidRequest, with the row: a label that is not among `labels`, which are empty for pairs.
  Result<void> tokenise(const TrainedNetwork& network, const std::vector<std::string>& labels, const std::string& path);
};

/// Of all tokens, outputs of the first, of the second, ...; no gradient is kept.
std::vector<double> scores_without_gradient(const TrainedNetwork& network, std::span<const neural::Tokens> tokens);

/// @param scores  of the rows of all groups, one group after the other
at::Tensor loss_of(Loss loss, const at::Tensor& scores, const TrainingRows& rows, const std::vector<std::vector<std::uint32_t>>& groups);

/// How good a network is on rows held back: greater is better.
class Judgement {
 public:
  explicit Judgement(const TrainingRows& rows);
  std::string_view metric() const { return groups_.empty() ? "log_loss" : "ndcg10"; }
  /// As it is told: a log loss is smaller where it is better.
  double told(double value) const { return groups_.empty() ? -value : value; }
  double measure(const TrainedNetwork& network) const;

 private:
  const TrainingRows& rows_;
  std::vector<std::vector<std::uint32_t>> groups_;  // in which targets differ
};

}  // namespace understudy::trainer
