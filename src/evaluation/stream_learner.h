#pragma once
/// A small text classifier that learns from the teacher's answers as they come: multinomial logistic regression over
/// hashed words, word beginnings and word pairs, refitted by AdaGrad (Duchi et al. 2011), and the vote of the ten nearest
/// examples by cosine.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/random.h"

namespace understudy::evaluation {

/// Terms of a text (hashed), each once with its count.
using Terms = std::vector<std::pair<std::uint32_t, float>>;

/// A frozen fit: what a proof is about. Immutable, thread-safe.
class TextModel {
 public:
  struct Guess {
    std::string answer;     ///< "" where nothing has been learnt
    double confidence = 0;  ///< greatest probability
    double margin = 0;      ///< to the second
  };
  Guess guess(const Terms& terms) const;

 private:
  friend class StreamLearner;
  using Columns = std::vector<std::pair<std::uint32_t, float>>;  ///< column of a known term, weight
  Columns place(const Terms& terms) const;
  std::vector<float> linear(const Columns& columns) const;
  std::vector<float> neighbours(const Columns& columns) const;

  float neighbour_share_ = 0;
  std::vector<std::string> classes_;
  std::unordered_map<std::uint32_t, std::uint32_t> column_;
  std::vector<float> rarity_;                                            ///< by column
  float unseen_rarity_ = 1;
  std::vector<float> weights_;                                           ///< column * classes + class; the last row is the bias
  std::vector<std::vector<std::pair<std::uint32_t, float>>> postings_;   ///< by column: example, weight
  std::vector<std::uint32_t> example_class_;
};

class StreamLearner {
 public:
  /// @param neighbour_share  weight of the neighbours' vote beside the regression's probabilities, which weigh 1
  explicit StreamLearner(std::uint64_t seed, float neighbour_share = 0) : random_(seed), neighbour_share_(neighbour_share) {}

  /// Terms of a text; also counts them for their rarity. Call once a text, in order.
  Terms see(std::string_view text);

  void learn(const Terms& terms, const std::string& label);
  /// Fits from scratch on everything learnt. O(labels * terms * classes * 20).
  std::shared_ptr<const TextModel> fit();

  std::size_t labels() const { return examples_.size(); }

 private:
  SeededRandom random_;
  float neighbour_share_;
  std::vector<std::string> classes_;
  std::unordered_map<std::string, std::uint32_t> class_index_;
  std::vector<std::pair<Terms, std::uint32_t>> examples_;
  std::unordered_map<std::uint32_t, std::uint32_t> texts_with_;
  std::uint32_t texts_ = 0;
};

}  // namespace understudy::evaluation
