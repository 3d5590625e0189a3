#include "calibration/features.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace understudy::calibration {

namespace {

constexpr std::array<std::string_view, kLogprobFeatureCount> kNames{
    "min_logprob", "first_logprob", "mean_logprob", "sum_logprob", "logprob_q10", "logprob_q25",  "logprob_q50",
    "logprob_q75", "logprob_q90",   "token_count",  "min_margin",  "mean_margin", "mean_entropy", "max_entropy"};

// Providers round: OpenAI has been seen to return logprobs a little above zero for certain tokens.
constexpr float kAboveZeroSlack = 1e-3f;
constexpr float kSameLogprob = 1e-6f;

bool acceptable(float logprob) { return logprob <= kAboveZeroSlack; }  // false for NaN

float clamp(float logprob) { return std::clamp(logprob, kLogprobFloor, 0.0f); }

/// Type 7 quantile of `values`, which it reorders.
float quantile(std::vector<float>& values, double q) {
  const double at = q * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(low), values.end());
  const float below = values[low];
  const auto fraction = static_cast<float>(at - static_cast<double>(low));
  if (fraction == 0.0f) return below;
  const float above = *std::min_element(values.begin() + static_cast<std::ptrdiff_t>(low) + 1, values.end());
  return below + fraction * (above - below);
}

}  // namespace

std::span<const std::string_view> feature_names(std::uint16_t schema) {
  if (schema == kLogprobSchema) return kNames;
  return {};
}

std::optional<LogprobFeatures> restore_features(std::uint16_t schema, std::span<const float> values) {
  if (schema != kLogprobSchema || values.size() != kLogprobFeatureCount) return std::nullopt;
  LogprobFeatures features;
  std::copy(values.begin(), values.end(), features.values.begin());
  return features;
}

float top_k_entropy(std::span<const float> logprobs) {
  float entropy = 0;
  float mass = 0;
  float least = 1;
  for (const float raw : logprobs) {
    const float logprob = clamp(raw);
    const float p = std::exp(logprob);
    entropy -= p * logprob;
    mass += p;
    least = std::min(least, p);
  }
  const float missing = 1.0f - mass;
  // Below this the difference is rounding of single-precision logprobs, not a missing candidate.
  if (logprobs.empty() || missing < 1e-6f) return entropy;
  return entropy - missing * std::log(std::min(missing, least));
}

std::optional<double> choice_probability(std::span<const TokenCandidate> candidates, std::span<const std::string_view> options,
                                         std::string_view chosen) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const auto begins = [&](std::string_view token, std::string_view option) {
    return token.size() <= option.size() && std::equal(token.begin(), token.end(), option.begin(), [&](char a, char b) { return lower(a) == lower(b); });
  };
  const auto wanted = std::find(options.begin(), options.end(), chosen);
  if (wanted == options.end()) return std::nullopt;
  double of_chosen = 0, of_any = 0;
  for (const TokenCandidate& candidate : candidates) {
    if (!acceptable(candidate.logprob)) return std::nullopt;
    std::string_view token = candidate.token;
    while (!token.empty() && (token.front() == ' ' || token.front() == '\n' || token.front() == '\t')) token.remove_prefix(1);
    if (token.empty()) continue;
    auto stands_for = options.end();
    int matches = 0;
    for (auto option = options.begin(); option != options.end(); ++option) {
      if (!begins(token, *option)) continue;
      stands_for = option;
      ++matches;
      if (token.size() == option->size()) {  // the whole option, though it may begin a longer one: "no", "not sure"
        matches = 1;
        break;
      }
    }
    if (matches != 1) continue;
    const double p = std::exp(static_cast<double>(clamp(candidate.logprob)));
    of_any += p;
    if (stands_for == wanted) of_chosen += p;
  }
  if (of_any == 0) return std::nullopt;
  return of_chosen / of_any;
}

void LogprobAccumulator::add(float logprob, std::span<const float> alternatives, Alternatives which) {
  if (!acceptable(logprob)) invalid_ = true;
  const float chosen = clamp(logprob);
  logprobs_.push_back(chosen);
  sum_ += chosen;
  if (alternatives.empty()) return;

  scratch_.clear();
  scratch_.push_back(chosen);
  bool chosen_found = which == Alternatives::kExcludeChosen;
  float best_other = -std::numeric_limits<float>::infinity();
  for (const float raw : alternatives) {
    if (!acceptable(raw)) invalid_ = true;
    const float alternative = clamp(raw);
    if (!chosen_found && std::fabs(alternative - chosen) <= kSameLogprob) {
      chosen_found = true;
      continue;
    }
    scratch_.push_back(alternative);
    best_other = std::max(best_other, alternative);
  }
  if (scratch_.size() > 1) {
    const float margin = chosen - best_other;
    min_margin_ = margins_ == 0 ? margin : std::min(min_margin_, margin);
    margin_sum_ += margin;
    ++margins_;
  }
  const float entropy = top_k_entropy(scratch_);
  max_entropy_ = entropies_ == 0 ? entropy : std::max(max_entropy_, entropy);
  entropy_sum_ += entropy;
  ++entropies_;
}

std::optional<LogprobFeatures> LogprobAccumulator::finish() const {
  if (logprobs_.empty() || invalid_) return std::nullopt;
  constexpr float kAbsent = std::numeric_limits<float>::quiet_NaN();
  LogprobFeatures f;
  const auto n = static_cast<double>(logprobs_.size());
  f.values[kFirstLogprob] = logprobs_.front();
  f.values[kMeanLogprob] = static_cast<float>(sum_ / n);
  f.values[kSumLogprob] = static_cast<float>(sum_);
  f.values[kTokenCount] = static_cast<float>(n);

  scratch_.assign(logprobs_.begin(), logprobs_.end());
  f.values[kMinLogprob] = *std::min_element(scratch_.begin(), scratch_.end());
  f.values[kLogprobQ10] = quantile(scratch_, 0.10);
  f.values[kLogprobQ25] = quantile(scratch_, 0.25);
  f.values[kLogprobQ50] = quantile(scratch_, 0.50);
  f.values[kLogprobQ75] = quantile(scratch_, 0.75);
  f.values[kLogprobQ90] = quantile(scratch_, 0.90);

  f.values[kMinMargin] = margins_ > 0 ? min_margin_ : kAbsent;
  f.values[kMeanMargin] = margins_ > 0 ? static_cast<float>(margin_sum_ / margins_) : kAbsent;
  f.values[kMeanEntropy] = entropies_ > 0 ? static_cast<float>(entropy_sum_ / entropies_) : kAbsent;
  f.values[kMaxEntropy] = entropies_ > 0 ? max_entropy_ : kAbsent;
  return f;
}

void LogprobAccumulator::reset() {
  logprobs_.clear();
  sum_ = margin_sum_ = entropy_sum_ = 0;
  min_margin_ = max_entropy_ = 0;
  margins_ = entropies_ = 0;
  invalid_ = false;
}

}  // namespace understudy::calibration
