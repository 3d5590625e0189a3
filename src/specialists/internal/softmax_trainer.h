#pragma once
/// Softmax regression over sparse rows by stochastic gradient descent.

#include <cstdint>
#include <span>
#include <vector>

#include "retrieval/hashed_text.h"

namespace understudy::specialists::internal {

/// Rows one behind the other: row i is entries[start[i] .. start[i + 1]).
struct SparseRows {
  std::vector<retrieval::TermSpace::Entry> entries;
  std::vector<std::size_t> start{0};
  std::size_t size() const { return start.size() - 1; }
  std::span<const retrieval::TermSpace::Entry> operator[](std::size_t i) const { return std::span(entries).subspan(start[i], start[i + 1] - start[i]); }
  void add(std::span<const retrieval::TermSpace::Entry> row) {
    entries.insert(entries.end(), row.begin(), row.end());
    start.push_back(entries.size());
  }
};

struct TrainOptions {
  std::uint64_t seed = 1;
  int epochs = 6;
  float l2 = 0.1f;     ///< of: sum of losses + l2 / 2 * sum of squared weights
  float step = 4.0f;    ///< of the first row; falls linearly to 0
  /// Columns from here on are numbers of one dense vector, which every row has: they share one accumulator and take this step.
  std::size_t dense_from = ~std::size_t{0};
  float dense_step = 4.0f;
  /// Where several labels may hold, each has a logistic regression of its own: rows x stride, 1 where it holds, 0 where not, kUnknown where that
  /// is not known; `labels` is not read then.
  std::span<const float> targets{};
};
constexpr float kUnknown = -1;

/// weights: columns * stride floats, bias: stride floats (kNever beyond the classes).
struct SoftmaxWeights {
  std::size_t classes = 0, stride = 0;
  std::vector<float> weights, bias;

  static SoftmaxWeights zero(std::size_t columns, std::size_t classes);
  void logits(std::span<const retrieval::TermSpace::Entry> row, float* out) const;
};

/// Improves `w` on the rows named by `which` (indices into rows, labels and row_weights). Each column has an AdaGrad step of its own
/// (Duchi et al. 2011, one accumulator a column); a column pays its share of the penalty where it is touched. Deterministic for a
/// seed. O(epochs * entries * classes).
void train(const SparseRows& rows, std::span<const std::uint32_t> labels, std::span<const float> row_weights, std::span<const std::uint32_t> which,
           const TrainOptions& options, SoftmaxWeights& w);

}  // namespace understudy::specialists::internal
