#include "evaluation/stream_learner.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "base/hash.h"
#include "evaluation/text_space.h"

namespace understudy::evaluation {

namespace {

constexpr std::size_t kEpochs = 20;
constexpr float kStep = 0.5f;
constexpr float kRidge = 2e-5f;
constexpr std::size_t kNeighbours = 10;
constexpr float kNeighbourSharpness = 20;  // a vote weighs exp(20 * (cosine - best cosine))

std::uint32_t bucket(std::string_view text, std::uint64_t kind) { return static_cast<std::uint32_t>(hash64(text, kind)); }

void softmax(std::vector<float>& z) {
  const float top = *std::max_element(z.begin(), z.end());
  float sum = 0;
  for (float& v : z) sum += v = std::exp(v - top);
  for (float& v : z) v /= sum;
}

}  // namespace

// ---------------------------------------------------------------------------------------------------- model

TextModel::Columns TextModel::place(const Terms& terms) const {
  Columns out;
  float squares = 0;
  for (const auto& [term, count] : terms) {
    const auto found = column_.find(term);
    const float value = (1 + std::log(count)) * (found == column_.end() ? unseen_rarity_ : rarity_[found->second]);
    squares += value * value;
    if (found != column_.end()) out.emplace_back(found->second, value);
  }
  const float norm = squares > 0 ? std::sqrt(squares) : 1;
  for (auto& [column, value] : out) value /= norm;
  return out;
}

std::vector<float> TextModel::linear(const Columns& columns) const {
  const std::size_t k = classes_.size();
  std::vector<float> z(weights_.end() - static_cast<std::ptrdiff_t>(k), weights_.end());
  for (const auto& [column, value] : columns) {
    for (std::size_t c = 0; c < k; ++c) z[c] += value * weights_[column * k + c];
  }
  softmax(z);
  return z;
}

std::vector<float> TextModel::neighbours(const Columns& columns) const {
  std::vector<float> cosine(example_class_.size(), 0);
  for (const auto& [column, value] : columns) {
    for (const auto& [example, weight] : postings_[column]) cosine[example] += value * weight;
  }
  std::vector<std::uint32_t> nearest(cosine.size());
  std::iota(nearest.begin(), nearest.end(), 0u);
  const std::size_t k = std::min(kNeighbours, nearest.size());
  std::partial_sort(nearest.begin(), nearest.begin() + static_cast<std::ptrdiff_t>(k), nearest.end(),
                    [&](std::uint32_t a, std::uint32_t b) { return cosine[a] != cosine[b] ? cosine[a] > cosine[b] : a < b; });
  std::vector<float> vote(classes_.size(), 0);
  float sum = 0;
  for (std::size_t i = 0; i < k; ++i) {
    const float weight = std::exp(kNeighbourSharpness * (cosine[nearest[i]] - cosine[nearest[0]]));
    vote[example_class_[nearest[i]]] += weight;
    sum += weight;
  }
  for (float& v : vote) v /= sum;
  return vote;
}

TextModel::Guess TextModel::guess(const Terms& terms) const {
  Guess g;
  if (classes_.empty()) return g;
  const Columns columns = place(terms);
  std::vector<float> p = linear(columns);
  if (neighbour_share_ > 0) {
    const std::vector<float> vote = neighbours(columns);
    for (std::size_t c = 0; c < p.size(); ++c) p[c] = (p[c] + neighbour_share_ * vote[c]) / (1 + neighbour_share_);
  }
  const auto top = static_cast<std::size_t>(std::max_element(p.begin(), p.end()) - p.begin());
  float second = 0;
  for (std::size_t c = 0; c < p.size(); ++c) {
    if (c != top) second = std::max(second, p[c]);
  }
  g.answer = classes_[top];
  g.confidence = p[top];
  g.margin = p[top] - second;
  return g;
}

// ---------------------------------------------------------------------------------------------------- learner

Terms StreamLearner::see(std::string_view text) {
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

void StreamLearner::learn(const Terms& terms, const std::string& label) {
  const auto [at, fresh] = class_index_.try_emplace(label, static_cast<std::uint32_t>(classes_.size()));
  if (fresh) classes_.push_back(label);
  examples_.emplace_back(terms, at->second);
}

std::shared_ptr<const TextModel> StreamLearner::fit() {
  auto model = std::make_shared<TextModel>();
  const std::size_t k = classes_.size();
  if (k == 0) return model;
  model->classes_ = classes_;
  model->neighbour_share_ = neighbour_share_;
  const auto rarity = [&](std::uint32_t texts) { return std::log((1 + static_cast<float>(texts_)) / (1 + static_cast<float>(texts))) + 1; };
  model->unseen_rarity_ = rarity(1);
  std::vector<TextModel::Columns> inputs;
  for (const auto& [terms, label] : examples_) {
    for (const auto& [term, count] : terms) {
      const auto [at, fresh] = model->column_.try_emplace(term, static_cast<std::uint32_t>(model->rarity_.size()));
      if (fresh) model->rarity_.push_back(rarity(texts_with_[term]));
    }
  }
  model->postings_.resize(model->rarity_.size());
  for (const auto& [terms, label] : examples_) {
    const auto example = static_cast<std::uint32_t>(inputs.size());
    inputs.push_back(model->place(terms));
    model->example_class_.push_back(label);
    for (const auto& [column, value] : inputs.back()) model->postings_[column].emplace_back(example, value);
  }

  auto& weights = model->weights_;
  weights.assign((model->rarity_.size() + 1) * k, 0);
  std::vector<float> squares(weights.size(), 1e-6f);
  std::vector<std::size_t> order(examples_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<float> z(k);
  const std::size_t bias = weights.size() - k;
  for (std::size_t epoch = 0; epoch < kEpochs; ++epoch) {
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(random_.below(i))]);
    for (const std::size_t i : order) {
      std::copy_n(weights.begin() + static_cast<std::ptrdiff_t>(bias), k, z.begin());
      for (const auto& [column, value] : inputs[i]) {
        for (std::size_t c = 0; c < k; ++c) z[c] += value * weights[column * k + c];
      }
      softmax(z);
      z[examples_[i].second] -= 1;
      const auto update = [&](std::size_t at, float gradient) {
        squares[at] += gradient * gradient;
        weights[at] -= kStep * gradient / std::sqrt(squares[at]);
      };
      for (const auto& [column, value] : inputs[i]) {
        for (std::size_t c = 0; c < k; ++c) update(column * k + c, z[c] * value + kRidge * weights[column * k + c]);
      }
      for (std::size_t c = 0; c < k; ++c) update(bias + c, 0.1f * z[c]);
    }
  }
  return model;
}

}  // namespace understudy::evaluation
