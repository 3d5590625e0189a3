#include "calibration/risk_control.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/assert.h"
#include "calibration/binomial.h"

namespace understudy::calibration {

Result<Promise> Promise::create(double alpha, double delta) {
  if (!(alpha > 0 && alpha < 1)) return fail(ErrorKind::kUsage, fmt::format("alpha must lie between 0 and 1, got {}", alpha), "alpha");
  if (!(delta > 0 && delta < 1)) return fail(ErrorKind::kUsage, fmt::format("delta must lie between 0 and 1, got {}", delta), "delta");
  return Promise{alpha, delta};
}

SequenceResult fixed_sequence(std::span<const TestedCandidate> candidates, const Promise& promise) {
  const Start start{0, 1.0};
  return fallback_sequence(candidates, {&start, 1}, promise);
}

SequenceResult fallback_sequence(std::span<const TestedCandidate> candidates, std::span<const Start> starts, const Promise& promise) {
  const double shares = std::accumulate(starts.begin(), starts.end(), 0.0, [](double sum, const Start& s) { return sum + s.share; });
  UNDERSTUDY_ASSERT(shares <= 1 + 1e-9);
  SequenceResult result;
  double carried = 0;
  double level_of_chosen = promise.delta;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    double level = carried;
    bool more_starts = false;
    for (const Start& start : starts) {
      if (start.candidate == i) level += start.share * promise.delta;
      more_starts = more_starts || start.candidate > i;
    }
    if (level > 0) {
      ++result.tested;
      const TestedCandidate& c = candidates[i];
      if (c.rows > 0 && binomial_cdf(c.bad, c.rows, promise.alpha) <= level) {
        result.chosen = i;
        level_of_chosen = level;
        carried = level;
        continue;
      }
    }
    carried = 0;
    if (!more_starts) break;
  }
  if (result.chosen) {
    const TestedCandidate& c = candidates[*result.chosen];
    result.upper_bound = binomial_upper_bound(c.bad, c.rows, std::min(level_of_chosen, promise.delta));
  }
  return result;
}

SequencePlan default_plan(std::size_t rows, const Promise& promise) {
  constexpr std::size_t kBadAtStart = 5;
  SequencePlan plan;
  plan.first_rows = least_rows(promise.alpha, promise.delta, 0);
  for (std::size_t bad = 1;; ++bad) {
    const std::size_t start = least_rows(promise.alpha, promise.delta, bad);
    const bool wanted = bad <= kBadAtStart ? start <= rows : start * 10 <= rows * 3;
    if (!wanted) break;
    plan.first_rows = start;
  }
  plan.step_rows = std::max<std::size_t>(5, rows / 100);
  return plan;
}

Result<ThresholdChoice> choose_threshold(std::span<const double> confidence, std::span<const std::uint8_t> bad, const Promise& promise,
                                         std::optional<SequencePlan> plan) {
  if (confidence.size() != bad.size()) return fail(ErrorKind::kInvalidRequest, "risk control: confidences and outcomes do not match in number");
  for (const double c : confidence) {
    if (std::isnan(c)) return fail(ErrorKind::kInvalidRequest, "risk control: a confidence is not a number");
  }
  const std::size_t n = confidence.size();
  const SequencePlan use = plan ? *plan : default_plan(n, promise);
  UNDERSTUDY_ASSERT(use.step_rows > 0);

  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return confidence[a] > confidence[b]; });
  std::vector<std::size_t> bad_among(n + 1, 0);
  for (std::size_t i = 0; i < n; ++i) bad_among[i + 1] = bad_among[i] + (bad[order[i]] ? 1 : 0);

  std::vector<TestedCandidate> candidates;
  for (std::size_t rows = std::max<std::size_t>(use.first_rows, 1); rows <= n; rows += use.step_rows) {
    std::size_t with_ties = rows;
    while (with_ties < n && confidence[order[with_ties]] == confidence[order[rows - 1]]) ++with_ties;
    if (!candidates.empty() && candidates.back().rows == with_ties) continue;
    candidates.push_back({with_ties, bad_among[with_ties]});
  }

  const SequenceResult result = fixed_sequence(candidates, promise);
  ThresholdChoice choice;
  choice.least_rows = least_rows(promise.alpha, promise.delta, 0);
  if (result.chosen) {
    const TestedCandidate& c = candidates[*result.chosen];
    choice.rows = c.rows;
    choice.bad = c.bad;
    choice.threshold = confidence[order[c.rows - 1]];
    choice.upper_bound = result.upper_bound;
    return choice;
  }
  // How many rows the most promising candidate's own rate would need, so that `never` says what is missing.
  if (candidates.empty()) {
    choice.rows_needed = choice.least_rows;
  } else {
    for (const TestedCandidate& c : candidates) {
      const auto needed = rows_to_show(static_cast<double>(c.bad) / static_cast<double>(c.rows), promise.alpha, promise.delta);
      if (needed && (!choice.rows_needed || *needed < *choice.rows_needed)) choice.rows_needed = needed;
    }
  }
  return choice;
}

double delta_for_retest(double delta, std::size_t k) {
  if (k == 0) return 0.30 * delta;
  if (k <= 12) return 0.60 * delta / 12;
  return 0.10 * delta * std::ldexp(1.0, -static_cast<int>(std::min<std::size_t>(k - 12, 1000)));
}

}  // namespace understudy::calibration
