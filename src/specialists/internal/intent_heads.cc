#include "specialists/internal/intent_heads.h"

#include <algorithm>
#include <cctype>

namespace understudy::specialists::internal {

std::string name_as_text(const std::string& label) {
  const auto is = [](auto test, char c) { return test(static_cast<unsigned char>(c)) != 0; };
  std::string out;
  std::size_t letters = 0;
  for (std::size_t i = 0; i < label.size(); ++i) {
    const char c = label[i];
    const bool letter = is(isalpha, c) || (c & 0x80) != 0;
    letters += letter;
    if (i > 0 && is(isupper, c) && is(islower, label[i - 1])) out += ' ';
    out += letter || is(isdigit, c) || c == '\'' ? c : ' ';
  }
  return letters < 3 ? "" : out;
}

SoftmaxWeights IntentHead::fit(std::size_t without, const HeadChoice& choice) const {
  std::vector<std::uint32_t> which;
  for (std::uint32_t i = 0; i < material_.texts.size(); ++i) {
    if (i < material_.rows ? i % kFolds != without : choice.names > 0) which.push_back(i);
  }
  std::vector<float> weights = material_.weights;
  std::fill(weights.begin() + static_cast<std::ptrdiff_t>(material_.rows), weights.end(), choice.names);
  TrainOptions options;
  options.seed = seed_;
  options.epochs = epochs_;
  options.l2 = choice.penalty;
  if (dense_) {
    options.dense_from = 0;
    options.dense_step = 10;
  }
  options.targets = material_.targets;
  SoftmaxWeights w = SoftmaxWeights::zero(columns_, material_.labels.size());
  train(inputs_, material_.label, weights, which, options, w);
  return w;
}

void IntentHead::predict(const SoftmaxWeights& weights, std::size_t fold, std::span<float> logits) const {
  std::vector<float> z(weights.stride);
  const std::size_t labels = material_.labels.size();
  for (std::size_t i = fold; i < material_.rows; i += kFolds) {
    weights.logits(inputs_[i], z.data());
    std::copy_n(z.begin(), labels, logits.begin() + static_cast<std::ptrdiff_t>(i * labels));
  }
}

}  // namespace understudy::specialists::internal
