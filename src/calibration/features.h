#pragma once
/// Features of an attempt from the token logprobs of its answer.
///
/// The numbers are natural logarithms of probabilities (nats, <= 0) unless said otherwise. An answer without logprobs has
/// no features: `finish()` returns nullopt, and so it does when any number was not a logprob (NaN, or above 1e-3).
/// A feature that cannot be computed although others can (no alternatives came, so no margin) is NaN, never zero.
/// Pure apart from the accumulator's own buffers; an accumulator belongs to one request and one thread.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace understudy::calibration {

/// Number of the list below; recorded with every stored feature vector. A changed list gets a new number and the old
/// list stays readable by `feature_names(old)`.
inline constexpr std::uint16_t kLogprobSchema = 1;

/// Indices of schema 1.
enum LogprobFeature : std::size_t {
  kMinLogprob,     ///< least likely token's logprob; robust when answers differ in length
  kFirstLogprob,   ///< first token's logprob; the whole decision where the answer is one label
  kMeanLogprob,    ///< length-normalised log likelihood (Malinin and Gales 2021)
  kSumLogprob,     ///< log likelihood of the answer
  kLogprobQ10,     ///< quantiles over tokens, linear between order statistics (Hyndman and Fan's type 7); the 0 %
  kLogprobQ25,     ///<   quantile is kMinLogprob (Gupta et al. 2024: quantiles beat means when answers are long)
  kLogprobQ50,
  kLogprobQ75,
  kLogprobQ90,
  kTokenCount,     ///< answer length in tokens
  kMinMargin,      ///< least of (chosen token's logprob - best other candidate's); negative where a likelier token was passed over
  kMeanMargin,     ///< mean of the same over tokens with another candidate
  kMeanEntropy,    ///< entropy over the returned candidates, see `top_k_entropy`; mean over tokens
  kMaxEntropy,     ///< and the greatest
  kLogprobFeatureCount
};

/// Logprobs below this (minus infinity included) are taken as this: e^-50 is as good as never.
inline constexpr float kLogprobFloor = -50.0f;

struct LogprobFeatures {
  std::array<float, kLogprobFeatureCount> values;

  float operator[](LogprobFeature f) const { return values[f]; }
  /// What is stored in an AttemptEvent, beside kLogprobSchema.
  std::span<const float> span() const { return values; }
};

/// Names in index order ("min_logprob", ...); empty for a schema that this version does not know.
std::span<const std::string_view> feature_names(std::uint16_t schema);

/// Restores features read back from the store; nullopt when the schema is unknown or the length does not fit it.
std::optional<LogprobFeatures> restore_features(std::uint16_t schema, std::span<const float> values);

/// Entropy in nats of a distribution of which only the largest probabilities are known: -sum p ln p over the known
/// ones plus the least that the missing mass m = 1 - sum p can add. No unseen candidate can exceed the smallest seen
/// one, p_k, so that least is -m ln(min(m, p_k)). Hence a lower bound on the true entropy, exact when m = 0.
/// @param logprobs known logprobs, each <= 0; an empty list gives 0
float top_k_entropy(std::span<const float> logprobs);

/// One returned candidate of a position.
struct TokenCandidate {
  std::string_view token;
  float logprob = 0;
};

/// Closed answers: P(chosen option | one of the known options), from the candidates of the answer's first token. A candidate
/// stands for the option that it is, or the only one that it begins (white space before it and case ignored); candidates of
/// the same option add up. nullopt where `chosen` is not among the options or no candidate stands for any.
std::optional<double> choice_probability(std::span<const TokenCandidate> candidates, std::span<const std::string_view> options,
                                         std::string_view chosen);

enum class Alternatives : std::uint8_t {
  kIncludeChosen,  ///< the chosen token may be listed (OpenAI's `top_logprobs`): the first entry within 1e-6 of it is taken to be it
  kExcludeChosen,  ///< only other candidates are listed
};

/// Collects token logprobs as they stream in. Cost: one exp per listed candidate, and a partial sort of n floats in
/// finish(); a 200-token answer with five candidates a token takes about 16 us in all (features_bench.cc).
class LogprobAccumulator {
 public:
  /// @param logprob      of the token that was emitted
  /// @param alternatives logprobs of the returned candidates in any order, or empty where none were returned
  void add(float logprob, std::span<const float> alternatives = {}, Alternatives which = Alternatives::kIncludeChosen);

  /// nullopt: no tokens were added, or one of the numbers was not a logprob. Leaves the accumulator as it was.
  std::optional<LogprobFeatures> finish() const;

  /// Ready for the next answer, buffers kept.
  void reset();

  std::size_t tokens() const { return logprobs_.size(); }

 private:
  std::vector<float> logprobs_;
  mutable std::vector<float> scratch_;
  double sum_ = 0;
  double margin_sum_ = 0;
  double entropy_sum_ = 0;
  float min_margin_ = 0;
  float max_entropy_ = 0;
  std::uint32_t margins_ = 0;
  std::uint32_t entropies_ = 0;
  bool invalid_ = false;
};

}  // namespace understudy::calibration
