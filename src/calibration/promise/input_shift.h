#pragma once
/// Has the input changed since the evidence was collected? Looks at what every request shows for nothing, labelled or not: the
/// first asked rung's confidence, the size of the request, and whether its prompt is one that the evidence knows.
/// Pure, thread-safe. Source: PSI as used in credit scoring (Siddiqi 2006): below .1 stable, above .25 another population.

#include <array>
#include <cstdint>
#include <span>

#include "base/error.h"

namespace understudy::calibration {

inline constexpr std::size_t kShiftBins = 10;
inline constexpr double kShiftSuspect = 0.10;
inline constexpr double kShiftAlarm = 0.25;
inline constexpr std::uint64_t kShiftWindow = 1'000;   ///< requests in a window; with so many, chance alone gives about .02

/// Where the bins of one number lie, and which share of the evidence fell into each. Bins of equal mass where values allow it.
struct ShiftBins {
  std::array<double, kShiftBins - 1> edge{};   ///< rising; bin i holds values in [edge[i - 1], edge[i])
  std::array<double, kShiftBins> share{};
  std::size_t rows = 0;                        ///< of the evidence

  std::size_t bin(double value) const;         ///< 0 .. kShiftBins - 1; O(log bins)
  static ShiftBins of(std::span<const double> values);
};

inline constexpr double kUnknownPromptAlarm = 0.05;    ///< share of a window with prompts that the policy does not cover

/// Bins of confidence as the policy in force computes it, and of the request's size in bytes.
struct ShiftBaseline {
  ShiftBins confidence;
  ShiftBins bytes;
  std::size_t rung = 0;        ///< whose confidence: the first that the policy asks
};

/// Counts of a window of requests in the baseline's bins.
struct ShiftWindow {
  std::array<std::uint64_t, kShiftBins> confidence{};   ///< of requests whose first rung was asked and usable
  std::array<std::uint64_t, kShiftBins> bytes{};
  std::uint64_t requests = 0;
  std::uint64_t unknown_prompts = 0;
};

/// sum (q - p) ln(q / p) over the bins, half a request added to each count.
double population_stability(const ShiftBins& expected, std::span<const std::uint64_t> counts);

/// The same less what chance alone gives on average where nothing has changed, (bins - 1) (1 / rows + 1 / counts): with 150 rows of evidence
/// that is .07, near enough to kShiftSuspect to raise the coin for nothing. Not below 0.
double shift_beyond_chance(const ShiftBins& expected, std::span<const std::uint64_t> counts);

}  // namespace understudy::calibration
