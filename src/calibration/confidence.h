#pragma once
/// From an attempt's features to the probability that its answer agrees with the teacher's.

#include <optional>
#include <string_view>

#include "calibration/features.h"

namespace understudy::calibration {

/// Immutable once made, so that many requests may share one; thread-safe.
class ConfidenceModel {
 public:
  virtual ~ConfidenceModel() = default;

  /// Probability in [0, 1], or nullopt where this attempt's features do not suffice. An answer without logprobs has no
  /// features at all: the caller then has no confidence either, which is not a confidence of zero or one.
  virtual std::optional<double> confidence(const LogprobFeatures& features) const = 0;

  /// The most that `confidence` can be for any answer that has a token with this logprob; 1 where that token says nothing about it.
  virtual double most_with(float logprob) const = 0;

  /// Goes into the policy version and the record of each request.
  virtual std::string_view id() const = 0;
};

/// exp(least token logprob): the by-hand default before anything has been fitted. Not calibrated.
class RawMinLogprob final : public ConfidenceModel {
 public:
  std::optional<double> confidence(const LogprobFeatures& features) const override;
  double most_with(float logprob) const override;
  std::string_view id() const override { return "raw_min_logprob/1"; }
};

}  // namespace understudy::calibration
