#pragma once
/// Learn then Test: which threshold may serve, so that P(bad | served) <= alpha with confidence 1 - delta.
///
/// Candidates are ordered from conservative to bold before any test label is looked at; each is tested in turn with the
/// exact binomial tail (H: its risk exceeds alpha; rejected when P(Binomial(n, alpha) <= bad) <= delta) and the first that
/// fails ends the sequence. The last that passed serves. Because a false pass needs the first true H to be rejected, the
/// chance that the chosen threshold breaks alpha is at most delta however many candidates there are (fixed-sequence
/// testing). Source: Angelopoulos, Bates, Candes, Jordan and Lei 2021, section 2.4; docs/maths/promise.md has the proof.
/// Pure, thread-safe.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"

namespace understudy::calibration {

/// What is promised. `create` refuses values outside (0, 1) with kUsage.
struct Promise {
  double alpha = 0.10;
  double delta = 0.10;
  static Result<Promise> create(double alpha, double delta);
};

/// One candidate policy on the test rows.
struct TestedCandidate {
  std::size_t rows = 0;  ///< test rows that it would have served
  std::size_t bad = 0;   ///< of these, bad ones
};

struct SequenceResult {
  std::optional<std::size_t> chosen;  ///< index of the last candidate that passed; nullopt: never
  double upper_bound = 1;             ///< Clopper-Pearson bound of the chosen one's risk at 1 - delta; 1 where never
  std::size_t tested = 0;             ///< candidates looked at
};

/// Tests candidates in the given order.
SequenceResult fixed_sequence(std::span<const TestedCandidate> candidates, const Promise& promise);

/// Several sequences share delta: sequence s starts at candidate start[s] with delta * share[s]; a candidate that passes
/// hands its share on, so that a start reached from below is tested with both (the fallback procedure of Wiens 2003).
/// Worth it only where the first start often fails; on real files one start did better (docs/maths/tried.md).
struct Start {
  std::size_t candidate;
  double share;  ///< of delta; shares sum to at most 1
};
SequenceResult fallback_sequence(std::span<const TestedCandidate> candidates, std::span<const Start> starts, const Promise& promise);

/// A threshold on a confidence, chosen on test rows that no fit has used.
struct ThresholdChoice {
  std::optional<double> threshold;  ///< serve where confidence >= threshold; nullopt: never
  double upper_bound = 1;           ///< of the risk at that threshold, confidence 1 - delta
  std::size_t rows = 0;             ///< test rows at or above it
  std::size_t bad = 0;
  std::size_t least_rows = 0;       ///< rows at which even a flawless candidate would first pass
  std::optional<std::size_t> rows_needed;  ///< where never: served test rows that the best candidate's rate would need; nullopt: no number would do
};

struct SequencePlan {
  std::size_t first_rows = 0;  ///< served rows of the first candidate
  std::size_t step_rows = 1;   ///< between candidates
};

/// Start where at least five bad rows would still pass, or more where that is 30 % of the rows or less; steps of 1 % of
/// the rows, at least 5. With fewer rows than five bad ones need: as many bad rows as fit. Uses no label.
SequencePlan default_plan(std::size_t rows, const Promise& promise);

/// Candidates by number of served rows as planned; rows that tie with a candidate's last one belong to it.
/// @param confidence n finite numbers, any scale @param bad n outcomes (1 = bad)
/// @return kInvalidRequest when sizes differ or a confidence is NaN. Never an error for too few rows: that is `never`.
Result<ThresholdChoice> choose_threshold(std::span<const double> confidence, std::span<const std::uint8_t> bad, const Promise& promise,
                                         std::optional<SequencePlan> plan = std::nullopt);

/// The part of delta that retest number k (0 = first) may spend: 30 % on the first, 60 % flat over the next twelve,
/// the reserve of 10 % halves from there on; the sum over all k is at most delta.
double delta_for_retest(double delta, std::size_t k);

}  // namespace understudy::calibration
