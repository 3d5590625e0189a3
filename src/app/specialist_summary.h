#pragma once
/// What is told of a specialist, whatever its kind. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "specialists/registry.h"
#include "specialists/rerank_order.h"

namespace understudy::app {

struct SpecialistSummary {
  std::optional<std::size_t> labels;     ///< of closed answers
  std::size_t rows = 0;                  ///< trained on
  std::string_view quality_name;         ///< "accuracy", "ndcg10", "balanced_accuracy" or "spearman"
  double quality = 0;
  std::vector<std::pair<std::string_view, double>> others;   ///< more figures of the same rows, by their keys in JSON
  double ece15 = 0, brier = 0;
  std::size_t calibration_rows = 0;      ///< on which all of these were measured
  std::string_view source;               ///< of those rows: "file", "held_back" or "cross_validation"
  std::uint64_t seed = 0;
  std::string_view command, data_file, data_hash;
  std::string_view rung;                 ///< of rerankers and judges: the first rung, "order" where none reads; "" of others
  bool cross_encoder = false;
  std::string_view trainer;              ///< what the trainer did, or why there is no cross-encoder; "" of others
};
SpecialistSummary summary_of(const specialists::NamedSpecialist& specialist);

/// "rerank, trees and a cross-encoder, nDCG@10 0.812 and ECE 0.021 on 2000 rows that were held back": for a log.
std::string one_line(const specialists::NamedSpecialist& specialist);

/// Whether documents are left in the order that they came in, and the figures that decided it.
std::string order_text(const specialists::RerankOrder& order);

/// "accuracy", "nDCG@10", "balanced accuracy", "Spearman": for people.
std::string_view quality_text(std::string_view quality_name);

}  // namespace understudy::app
