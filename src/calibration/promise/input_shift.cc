#include "calibration/promise/input_shift.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace understudy::calibration {

std::size_t ShiftBins::bin(double value) const { return static_cast<std::size_t>(std::upper_bound(edge.begin(), edge.end(), value) - edge.begin()); }

ShiftBins ShiftBins::of(std::span<const double> values) {
  ShiftBins bins;
  bins.edge.fill(std::numeric_limits<double>::infinity());
  if (values.empty()) return bins;
  bins.rows = values.size();
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  // Values that stand often (a confidence of one) give equal edges: the bins between are empty, here and in the traffic.
  for (std::size_t i = 1; i < kShiftBins; ++i) bins.edge[i - 1] = sorted[std::min(sorted.size() - 1, i * sorted.size() / kShiftBins)];
  for (const double value : sorted) bins.share[bins.bin(value)] += 1.0 / static_cast<double>(sorted.size());
  return bins;
}

double population_stability(const ShiftBins& expected, std::span<const std::uint64_t> counts) {
  const double total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
  if (total == 0) return 0;
  double psi = 0;
  for (std::size_t i = 0; i < kShiftBins; ++i) {
    const double q = (static_cast<double>(counts[i]) + 0.5) / (total + 0.5 * kShiftBins);
    const double p = (expected.share[i] * total + 0.5) / (total + 0.5 * kShiftBins);
    psi += (q - p) * std::log(q / p);
  }
  return psi;
}

double shift_beyond_chance(const ShiftBins& expected, std::span<const std::uint64_t> counts) {
  const double total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
  if (total == 0 || expected.rows == 0) return 0;
  const double chance = (kShiftBins - 1) * (1 / static_cast<double>(expected.rows) + 1 / total);
  return std::max(0.0, population_stability(expected, counts) - chance);
}

}  // namespace understudy::calibration
