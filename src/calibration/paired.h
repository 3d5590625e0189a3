#pragma once
/// Whether one way does better than another on the same things.

#include <span>

namespace understudy::calibration {

/// The least that the mean of better - than is, one-sided: mean - t * s / sqrt(n), t Student's quantile of n - 1 degrees (the paired t-test, turned round).
/// @param better, than  n >= 2 each, of the same things in the same order @param confidence  in (0, 1)
/// Pure, thread-safe, O(n).
double paired_lower_bound(std::span<const double> better, std::span<const double> than, double confidence);

}  // namespace understudy::calibration
