#include "specialists/internal/softmax_trainer.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "specialists/internal/kernels.h"

namespace understudy::specialists::internal {

SoftmaxWeights SoftmaxWeights::zero(std::size_t columns, std::size_t classes) {
  SoftmaxWeights w;
  w.classes = classes;
  w.stride = padded(classes);
  w.weights.assign(columns * w.stride, 0);
  w.bias.assign(w.stride, kNever);
  std::fill_n(w.bias.begin(), classes, 0.0f);
  return w;
}

void SoftmaxWeights::logits(std::span<const retrieval::TermSpace::Entry> row, float* out) const {
  std::copy(bias.begin(), bias.end(), out);
  add_rows(row, weights.data(), stride, out);
}

void train(const SparseRows& rows, std::span<const std::uint32_t> labels, std::span<const float> row_weights, std::span<const std::uint32_t> which,
           const TrainOptions& options, SoftmaxWeights& w) {
  const std::size_t columns = w.weights.size() / w.stride;
  std::vector<float> share(columns, 0), squares(columns, 0);
  for (const std::uint32_t i : which) {
    for (const auto& e : rows[i]) share[e.column] += 1;
  }
  for (float& s : share) s = s > 0 ? options.l2 / s : 0;
  std::vector<std::uint32_t> order(which.begin(), which.end());
  std::vector<float> z(w.stride), keep, step;
  SeededRandom random(options.seed);
  float bias_squares = 0, dense_squares = 0;
  const double steps = static_cast<double>(order.size()) * options.epochs;
  double done = 0;
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(random.below(i))]);
    for (const std::uint32_t i : order) {
      const auto row = rows[i];
      const float pace = options.step * static_cast<float>(1 - done++ / steps);  // falls to 0, so that the last rows have no more say
      w.logits(row, z.data());
      if (options.targets.empty()) {
        softmax(z.data(), w.stride, 1);
        z[labels[i]] -= 1;
      } else {
        const float* target = options.targets.data() + i * w.stride;
        for (std::size_t c = 0; c < w.classes; ++c) z[c] = target[c] == kUnknown ? 0 : sigmoid(z[c]) - target[c];
        std::fill(z.begin() + static_cast<std::ptrdiff_t>(w.classes), z.end(), 0.0f);
      }
      float norm = 0;
      for (std::size_t c = 0; c < w.classes; ++c) norm += z[c] * z[c];
      const float weight = row_weights[i];
      norm *= weight * weight;
      keep.resize(row.size());
      step.resize(row.size());
      float dense_length = 0;
      for (std::size_t j = row.size(); j-- > 0 && row[j].column >= options.dense_from;) dense_length += row[j].value * row[j].value;
      dense_squares += dense_length * norm;
      const float dense_rate = pace * options.dense_step / options.step / std::sqrt(dense_squares + 1e-8f);
      for (std::size_t j = 0; j < row.size(); ++j) {
        const float v = row[j].value;
        float rate = dense_rate;
        if (row[j].column < options.dense_from) {
          float& s = squares[row[j].column];
          s += v * v * norm;
          rate = pace / std::sqrt(s + 1e-8f);
        }
        keep[j] = 1 / (1 + rate * share[row[j].column]);
        step[j] = rate * v * weight;
      }
      update_rows(row, keep.data(), step.data(), z.data(), w.stride, w.weights.data());
      bias_squares += 0.01f * norm;
      const float rate = 0.1f * weight * pace / std::sqrt(bias_squares + 1e-8f);
      for (std::size_t c = 0; c < w.classes; ++c) w.bias[c] -= rate * z[c];
    }
  }
}

}  // namespace understudy::specialists::internal
