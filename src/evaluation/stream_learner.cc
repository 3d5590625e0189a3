#include "evaluation/stream_learner.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "base/hash.h"
#include "evaluation/text_space.h"

namespace understudy::evaluation {

namespace {

constexpr std::uint32_t kBuckets = 1u << 18;
constexpr std::size_t kEpochs = 20;
constexpr float kStep = 0.5f;
constexpr float kRidge = 2e-5f;

std::uint32_t bucket(std::string_view text, std::uint64_t kind) { return static_cast<std::uint32_t>(hash64(text, kind) % kBuckets); }

void softmax(std::vector<float>& z) {
  const float top = *std::max_element(z.begin(), z.end());
  float sum = 0;
  for (float& v : z) sum += v = std::exp(v - top);
  for (float& v : z) v /= sum;
}

}  // namespace

StreamLearner::Terms StreamLearner::see(std::string_view text) {
  std::unordered_map<std::uint32_t, float> counts;
  const auto words = words_of(text);
  for (std::size_t i = 0; i < words.size(); ++i) {
    ++counts[bucket(words[i], 1)];
    if (words[i].size() > 5) ++counts[bucket(std::string_view(words[i]).substr(0, 5), 2)];
    if (i > 0) ++counts[bucket(words[i - 1] + " " + words[i], 3)];
  }
  Terms terms(counts.begin(), counts.end());
  std::sort(terms.begin(), terms.end());
  for (const auto& [term, count] : terms) ++texts_with_[term];
  ++texts_;
  return terms;
}

StreamLearner::Terms StreamLearner::weighted(const Terms& terms) const {
  Terms out = terms;
  float squares = 0;
  for (auto& [term, value] : out) {
    const auto df = texts_with_.find(term);
    const float seen = df == texts_with_.end() ? 0.0f : static_cast<float>(df->second);
    value = (1 + std::log(value)) * (std::log((1 + static_cast<float>(texts_)) / (1 + seen)) + 1);
    squares += value * value;
  }
  const float norm = squares > 0 ? std::sqrt(squares) : 1;
  for (auto& [term, value] : out) value /= norm;
  return out;
}

void StreamLearner::learn(const Terms& terms, const std::string& label) {
  const auto at = std::find(classes_.begin(), classes_.end(), label);
  const auto index = static_cast<std::size_t>(at - classes_.begin());
  if (at == classes_.end()) classes_.push_back(label);
  examples_.emplace_back(terms, index);
}

void StreamLearner::refit() {
  const std::size_t k = classes_.size();
  fitted_classes_ = k;
  if (k == 0) return;
  weights_.assign((std::size_t{kBuckets} + 1) * k, 0);
  std::vector<float> squares(weights_.size(), 1e-6f);
  std::vector<Terms> inputs;
  for (const auto& [terms, label] : examples_) inputs.push_back(weighted(terms));
  std::vector<std::size_t> order(examples_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<float> z(k);
  const std::size_t bias = std::size_t{kBuckets} * k;
  for (std::size_t epoch = 0; epoch < kEpochs; ++epoch) {
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(random_.below(i))]);
    for (const std::size_t i : order) {
      std::copy_n(weights_.begin() + static_cast<std::ptrdiff_t>(bias), k, z.begin());
      for (const auto& [term, value] : inputs[i]) {
        for (std::size_t c = 0; c < k; ++c) z[c] += value * weights_[term * k + c];
      }
      softmax(z);
      z[examples_[i].second] -= 1;
      const auto update = [&](std::size_t at, float gradient) {
        squares[at] += gradient * gradient;
        weights_[at] -= kStep * gradient / std::sqrt(squares[at]);
      };
      for (const auto& [term, value] : inputs[i]) {
        for (std::size_t c = 0; c < k; ++c) update(term * k + c, z[c] * value + kRidge * weights_[term * k + c]);
      }
      for (std::size_t c = 0; c < k; ++c) update(bias + c, 0.1f * z[c]);
    }
  }
}

std::vector<double> StreamLearner::predict(const Terms& terms) const {
  const std::size_t k = fitted_classes_;
  if (k == 0) return {};
  std::vector<float> z(weights_.end() - static_cast<std::ptrdiff_t>(k), weights_.end());
  for (const auto& [term, value] : weighted(terms)) {
    for (std::size_t c = 0; c < k; ++c) z[c] += value * weights_[term * k + c];
  }
  softmax(z);
  return {z.begin(), z.end()};
}

}  // namespace understudy::evaluation
