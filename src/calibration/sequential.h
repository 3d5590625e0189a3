#pragma once
/// Watching a served policy: tests that may be looked at after every row.
///
/// `RiskMonitor` bets against "risk <= alpha": its wealth is a supermartingale while that is true, so it ever reaches
/// 1 / delta with probability at most delta (Ville's inequality). `BernoulliSequence` gives an interval for a rate that
/// holds at all times at once. Sources: Waudby-Smith and Ramdas 2024 (betting); Robbins 1970 (mixtures).
/// Not thread-safe; O(1) a row.

#include <array>
#include <cstdint>

#include "calibration/binomial.h"
#include "calibration/risk_control.h"

namespace understudy::calibration {

/// E-process for H: risk among served requests <= alpha, from labelled coin rows.
class RiskMonitor {
 public:
  /// @param least_propensity smallest coin probability that rows will carry, in (0, 1]; smaller ones are refused by an
  ///        assertion. Weighted rows swing the wealth by 1 / propensity, so the bets shrink with it.
  explicit RiskMonitor(const Promise& promise, double least_propensity = 1.0);

  /// A labelled row. Where every served request has the same propensity, leave it at 1: the coin is then a fair sample.
  /// With varying propensities call `add` for labelled rows with theirs, and `skip` for served rows that were not labelled.
  void add(bool bad, double propensity = 1.0);
  void skip();

  /// Mean wealth over the bets, from 1.
  double e_value() const;
  /// Greatest wealth so far has reached 1 / delta.
  bool alarm() const { return alarm_; }
  std::uint64_t labels() const { return labels_; }

 private:
  static constexpr std::size_t kBets = 12;
  void pay(double outcome);

  Promise promise_;
  double least_propensity_;
  std::array<double, kBets> bet_;
  std::array<double, kBets> log_wealth_{};
  bool alarm_ = false;
  std::uint64_t labels_ = 0;
};

/// Confidence sequence for a rate: with probability at least 1 - delta it covers the rate after every row at once.
/// {r : Beta(1/2, 1/2)-mixture likelihood / likelihood(r) < 1 / delta}, found by bisection.
class BernoulliSequence {
 public:
  explicit BernoulliSequence(double delta);
  void add(bool happened);
  Interval interval() const;
  std::uint64_t rows() const { return rows_; }

 private:
  double log_ratio(double rate) const;

  double log_limit_;
  std::uint64_t rows_ = 0, ones_ = 0;
};

}  // namespace understudy::calibration
