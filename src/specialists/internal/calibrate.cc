#include "specialists/internal/calibrate.h"

#include <algorithm>
#include <cmath>

#include "specialists/internal/kernels.h"
#include "specialists/text_model.h"

namespace understudy::specialists::internal {

namespace {

constexpr float kUsualSharpness = 1.8f, kUsualMixedSharpness = 1.6f, kUsualTrust = 0.2f;
constexpr double kPull = 2;  // rows

double square(double x) { return x * x; }

}  // namespace

Calibration Calibration::usual() {
  Calibration c;
  c.sharpness = kUsualSharpness;
  c.mixed_sharpness = kUsualMixedSharpness;
  c.trust = kUsualTrust;
  c.accuracy = c.log_loss_before = c.log_loss = c.mixed_log_loss = std::nan("");
  return c;
}

void HeldBack::begin_row(std::uint32_t label, float weight, std::size_t classes, std::size_t stride) {
  classes_ = classes;
  stride_ = stride;
  labels_.push_back(label);
  weights_.push_back(weight);
  logits_.resize(logits_.size() + stride);
}

void HeldBack::set_votes(std::span<const retrieval::NeighbourIndex::Vote> votes) {
  votes_.resize(logits_.size(), vote_logit(0));
  float* row = votes_.data() + votes_.size() - stride_;
  for (const auto& v : votes) row[v.label] = vote_logit(v.share);
}

double HeldBack::log_loss(float sharpness, float trust, double* accuracy) const {
  std::vector<float> z(stride_);
  double loss = 0, right = 0, all = 0;
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    const float* given = logits_.data() + i * stride_;
    for (std::size_t c = 0; c < stride_; ++c) z[c] = sharpness * given[c];
    if (trust > 0) {
      const float* votes = votes_.data() + i * stride_;
      for (std::size_t c = 0; c < stride_; ++c) z[c] += trust * votes[c];
    }
    softmax(z.data(), stride_, 1);
    const double weight = weights_[i];
    loss -= weight * std::log(std::max(z[labels_[i]], 1e-9f));
    if (accuracy != nullptr) right += weight * (std::max_element(z.begin(), z.end()) - z.begin() == static_cast<std::ptrdiff_t>(labels_[i]));
    all += weight;
  }
  if (accuracy != nullptr) *accuracy = all > 0 ? right / all : std::nan("");
  return all > 0 ? loss / all : std::nan("");
}

Calibration HeldBack::calibrate(bool with_votes) const {
  Calibration c = Calibration::usual();
  const auto n = static_cast<double>(std::max<std::size_t>(rows(), 1));
  if (rows() == 0 || std::isnan(log_loss(1, 0))) return c;
  const auto pull = [&](double log_sharpness, double usual) { return kPull / n * square(log_sharpness - std::log(usual)); };
  c.log_loss_before = log_loss(1, 0);
  c.sharpness = static_cast<float>(std::exp(minimise(std::log(0.1), std::log(20), [&](double s) {
    return log_loss(static_cast<float>(std::exp(s)), 0) + pull(s, kUsualSharpness);
  })));
  c.log_loss = log_loss(c.sharpness, 0, &c.accuracy);
  if (!with_votes) return c;
  // Two numbers by turns; the loss is convex in both.
  c.mixed_sharpness = c.sharpness;
  for (int turn = 0; turn < 3; ++turn) {
    c.trust = static_cast<float>(minimise(0, 1.5, [&](double t) {
      return log_loss(c.mixed_sharpness, static_cast<float>(t)) + kPull / n * square(t - kUsualTrust);
    }));
    c.mixed_sharpness = static_cast<float>(std::exp(minimise(std::log(0.1), std::log(20), [&](double s) {
      return log_loss(static_cast<float>(std::exp(s)), c.trust) + pull(s, kUsualMixedSharpness);
    })));
  }
  c.mixed_log_loss = log_loss(c.mixed_sharpness, c.trust, &c.accuracy);
  return c;
}

}  // namespace understudy::specialists::internal
