#pragma once
/// The sharpness of a softmax, and the trust in the neighbours' vote, from rows that the weights were not fitted on.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "retrieval/neighbour_index.h"

namespace understudy::specialists::internal {

/// The least point of a unimodal function by golden section: 16 steps find it to 1/4000 of the interval.
template <typename F>
double minimise(double low, double high, F&& f, int steps = 16) {
  constexpr double kGolden = 0.6180339887498949;
  double a = high - kGolden * (high - low), b = low + kGolden * (high - low);
  double fa = f(a), fb = f(b);
  for (int i = 0; i < steps; ++i) {
    if (fa < fb) {
      high = b, b = a, fb = fa;
      a = high - kGolden * (high - low);
      fa = f(a);
    } else {
      low = a, a = b, fa = fb;
      b = low + kGolden * (high - low);
      fb = f(b);
    }
  }
  return fa < fb ? a : b;
}

struct Calibration {
  float sharpness = 1;             ///< linear model alone
  float mixed_sharpness = 1;       ///< beside the vote
  float trust = 0;                 ///< in the vote
  double accuracy = 0;             ///< of what is used
  double log_loss_before = 0;      ///< sharpness 1, no vote
  double log_loss = 0;             ///< linear model alone, calibrated
  double mixed_log_loss = 0;

  /// What held-back rows of intent sets mostly gave: for fits with too few rows to hold any back.
  static Calibration usual();
};

/// Rows with their logits and, where asked for, votes.
class HeldBack {
 public:
  void begin_row(std::uint32_t label, float weight, std::size_t classes, std::size_t stride);
  float* logits() { return logits_.data() + logits_.size() - stride_; }
  void set_votes(std::span<const retrieval::NeighbourIndex::Vote> votes);
  std::size_t rows() const { return labels_.size(); }

  /// Least log loss, pulled towards what is usual with the force of two rows.
  Calibration calibrate(bool with_votes) const;

 private:
  double log_loss(float sharpness, float trust, double* accuracy = nullptr) const;

  std::size_t classes_ = 0, stride_ = 0;
  std::vector<float> logits_, votes_;  // votes_ as logits
  std::vector<std::uint32_t> labels_;
  std::vector<float> weights_;
};

}  // namespace understudy::specialists::internal
