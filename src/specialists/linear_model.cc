#include "specialists/linear_model.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/hash.h"
#include "specialists/internal/kernels.h"

namespace understudy::specialists {

LinearModel::LinearModel(LinearParts parts) : parts_(std::move(parts)) {
  const std::size_t columns = parts_.space->columns(), classes = parts_.labels.size();
  UNDERSTUDY_ASSERT(parts_.weights.size() == columns * classes && parts_.scales.size() == columns && parts_.bias.size() == classes);
  stride_ = internal::padded(classes);
  std::vector<std::int8_t> wide(columns * stride_, 0);
  for (std::size_t c = 0; c < columns; ++c) {
    std::copy_n(parts_.weights.begin() + static_cast<std::ptrdiff_t>(c * classes), classes, wide.begin() + static_cast<std::ptrdiff_t>(c * stride_));
  }
  parts_.weights = std::move(wide);
  parts_.bias.resize(stride_, internal::kNever);
}

void LinearModel::logits(const Terms& terms, LinearScratch& scratch) const {
  scratch.logits.assign(parts_.bias.begin(), parts_.bias.end());
  scratch.row.clear();
  if (parts_.labels.empty()) return;
  parts_.space->place(terms, scratch.row);
  internal::add_rows(scratch.row, parts_.weights.data(), parts_.scales.data(), stride_, scratch.logits.data());
}

Guess LinearModel::guess(const Terms& terms, LinearScratch& scratch) const {
  if (parts_.labels.empty()) return {};
  logits(terms, scratch);
  internal::softmax(scratch.logits.data(), stride_, parts_.sharpness);
  return ranked_guess(scratch.logits, parts_.labels);
}

std::uint64_t LinearModel::hash() const {
  std::uint64_t hash = parts_.labels.size();
  const auto add = [&](const void* values, std::size_t bytes) { hash = hash64({static_cast<const char*>(values), bytes}, hash); };
  const auto add_all = [&](const auto& values) { add(values.data(), values.size() * sizeof(values[0])); };
  if (parts_.labels.empty()) return hash;
  for (const std::string& label : parts_.labels) add_all(label);
  for (std::size_t c = 0; c < parts_.space->columns(); ++c) {
    const auto bucket = parts_.space->bucket(c);
    const auto rarity = parts_.space->rarity(c);
    add(&bucket, sizeof bucket), add(&rarity, sizeof rarity);
  }
  for (const float number : {parts_.space->words_share(), parts_.space->unseen_rarity(), parts_.sharpness}) add(&number, sizeof number);
  add_all(parts_.scales), add_all(parts_.bias), add_all(parts_.weights);
  return hash;
}

Guess LinearModel::guess(std::string_view text) const {
  thread_local TermExtractor extractor;
  thread_local Terms terms;
  thread_local LinearScratch scratch;
  extractor.extract(text, terms);
  return guess(terms, scratch);
}

Guess ranked_guess(std::span<const float> probabilities, std::span<const std::string> labels) {
  Guess g;
  if (labels.empty()) return g;
  for (std::uint32_t c = 0; c < labels.size(); ++c) {
    const float p = probabilities[c];
    if (g.ranked == Guess::kTop && p <= g.top[Guess::kTop - 1].probability) continue;
    std::size_t at = g.ranked < Guess::kTop ? g.ranked++ : Guess::kTop - 1;
    for (; at > 0 && g.top[at - 1].probability < p; --at) g.top[at] = g.top[at - 1];
    g.top[at] = {c, p};
  }
  g.label = labels[g.top[0].label];
  g.probability = g.top[0].probability;
  g.margin = g.probability - (g.ranked > 1 ? g.top[1].probability : 0);
  return g;
}

}  // namespace understudy::specialists
