#pragma once
/// A small text classifier that learns from the teacher's answers as they come: multinomial logistic regression over
/// hashed words, word beginnings and word pairs, refitted by AdaGrad (Duchi et al. 2011).

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/random.h"

namespace understudy::evaluation {

class StreamLearner {
 public:
  explicit StreamLearner(std::uint64_t seed) : random_(seed) {}

  /// Terms of a text (hashed), each once with its count; also counts them for their rarity. Call once a text, in order.
  using Terms = std::vector<std::pair<std::uint32_t, float>>;
  Terms see(std::string_view text);

  void learn(const Terms& terms, const std::string& label);
  /// Fits from scratch on everything learnt. O(labels * terms * classes * 20).
  void refit();

  /// Probabilities by class index; empty before the first refit.
  std::vector<double> predict(const Terms& terms) const;
  const std::vector<std::string>& classes() const { return classes_; }
  std::size_t labels() const { return examples_.size(); }

 private:
  Terms weighted(const Terms& terms) const;

  SeededRandom random_;
  std::vector<std::string> classes_;
  std::vector<std::pair<Terms, std::size_t>> examples_;
  std::unordered_map<std::uint32_t, std::uint32_t> texts_with_;
  std::uint32_t texts_ = 0;
  std::size_t fitted_classes_ = 0;
  std::vector<float> weights_;  ///< term * classes + class; the last row is the bias
};

}  // namespace understudy::evaluation
