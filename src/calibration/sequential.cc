#include "calibration/sequential.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/assert.h"

namespace understudy::calibration {

RiskMonitor::RiskMonitor(const Promise& promise, double least_propensity) : promise_(promise), least_propensity_(least_propensity) {
  UNDERSTUDY_ASSERT(least_propensity > 0 && least_propensity <= 1);
  // A good row costs bet * alpha of the wealth: it must stay below one. Bets fall by halves from 9 tenths of that limit, so
  // that some bet suits a risk far above alpha and another one barely above it. Weighted rows get their own, smaller bets:
  // an unlabelled row pays nothing, a labelled good one -alpha / propensity.
  for (std::size_t b = 0; b < kBets; ++b) bet_[b] = 0.9 * least_propensity / promise.alpha * std::ldexp(1.0, -static_cast<int>(b));
}

void RiskMonitor::pay(double outcome) {
  for (std::size_t b = 0; b < kBets; ++b) log_wealth_[b] += std::log1p(bet_[b] * outcome);
  alarm_ = alarm_ || e_value() >= 1 / promise_.delta;
}

void RiskMonitor::add(bool bad, double propensity) {
  UNDERSTUDY_ASSERT(propensity >= least_propensity_ && propensity <= 1);
  ++labels_;
  pay(((bad ? 1.0 : 0.0) - promise_.alpha) / propensity);
}

void RiskMonitor::skip() { pay(0); }

double RiskMonitor::e_value() const {
  const double top = *std::max_element(log_wealth_.begin(), log_wealth_.end());
  double sum = 0;
  for (const double w : log_wealth_) sum += std::exp(w - top);
  return sum / kBets * std::exp(std::min(top, 700.0));
}

BernoulliSequence::BernoulliSequence(double delta) : log_limit_(-std::log(delta)) { UNDERSTUDY_ASSERT(delta > 0 && delta < 1); }

void BernoulliSequence::add(bool happened) {
  ++rows_;
  ones_ += happened;
}

double BernoulliSequence::log_ratio(double rate) const {
  const auto ones = static_cast<double>(ones_), zeros = static_cast<double>(rows_ - ones_);
  // ln B(ones + 1/2, zeros + 1/2) - ln B(1/2, 1/2)
  const double mixture = std::lgamma(ones + 0.5) + std::lgamma(zeros + 0.5) - std::lgamma(ones + zeros + 1) - std::log(3.141592653589793);
  const double likelihood = (ones > 0 ? ones * std::log(rate) : 0) + (zeros > 0 ? zeros * std::log1p(-rate) : 0);
  return mixture - likelihood;
}

Interval BernoulliSequence::interval() const {
  if (rows_ == 0) return {0, 1};
  const double centre = static_cast<double>(ones_) / static_cast<double>(rows_);
  const auto edge = [&](double inside, double outside) {
    if (log_ratio(outside) < log_limit_) return outside;
    for (int i = 0; i < 60; ++i) {
      const double middle = (inside + outside) / 2;
      (log_ratio(middle) < log_limit_ ? inside : outside) = middle;
    }
    return outside;
  };
  const double middle = std::clamp(centre, 1e-12, 1 - 1e-12);
  return {ones_ == 0 ? 0 : edge(middle, 1e-15), ones_ == rows_ ? 1 : edge(middle, 1 - 1e-15)};
}

}  // namespace understudy::calibration
