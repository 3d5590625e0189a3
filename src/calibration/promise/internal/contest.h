#pragma once
/// A contest: a frozen list of candidates, from conservative to bold, under a test that may be looked at after every row.
///
/// Each candidate has an e-process against "its risk is at least alpha": a mixture of likelihood ratios, which are non-negative
/// supermartingales from 1 under any such risk, so it ever reaches 1 / delta with probability at most delta (Ville). It depends on the
/// counts alone. A candidate may serve once it and all before it in the list have reached 1 / delta: a false one can serve only if the
/// first false one in the list got there (fixed sequence), so the whole contest errs with probability at most delta, however often it is
/// looked at, and however long it goes on. Bolder candidates go on being tested while a careful one serves.
/// Sources: Ville 1939; Wald 1945; Waudby-Smith and Ramdas 2024; fixed sequence as in risk_control.h. docs/maths/promise.md has the proof.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_set>
#include <vector>

#include "calibration/promise/ladder.h"

namespace understudy::calibration::internal {

/// ln of the e-value against "risk >= alpha" after `bad` of `rows` (real numbers, so that expectations can be put in).
double log_evidence(double rows, double bad, double alpha);

/// Served rows until a risk of `risk` is shown to be below alpha at 1 - delta, as expected; nullopt above 10 million.
std::optional<double> rows_to_pass(double risk, double alpha, double delta);

/// Largest risk that `bad` of `rows` do not rule out at 1 - delta, by the same e-process. 1 for no rows.
double evidence_upper_bound(std::size_t bad, std::size_t rows, double delta);

class Contest {
 public:
  struct Count {
    std::size_t rows = 0, bad = 0;         ///< distinct inputs that it served
    std::size_t requests = 0, bad_requests = 0;  ///< repeats counted
    bool passed = false;                   ///< has reached 1 / delta at some time
  };

  /// @param candidates at least one, frozen
  Contest(std::vector<LadderPolicy> candidates, double alpha, double delta, std::uint32_t number, std::int64_t opened_at_us, bool fresh);

  /// A test row that no fit of the candidates has used.
  void add(const LabelledRow& row);

  /// The last of those that passed without a gap, and whose requests, repeats counted, are within alpha.
  std::optional<std::size_t> winner() const;

  const std::vector<LadderPolicy>& candidates() const { return candidates_; }
  const Count& count(std::size_t i) const { return counts_[i]; }
  double delta() const { return delta_; }
  std::uint32_t number() const { return number_; }
  std::int64_t opened_at_us() const { return opened_at_us_; }
  std::int64_t oldest_row_us() const { return oldest_row_us_; }   ///< opened_at_us where no row was counted
  bool fresh() const { return fresh_; }

 private:
  std::vector<LadderPolicy> candidates_;
  double alpha_, delta_;
  std::uint32_t number_;
  std::int64_t opened_at_us_, oldest_row_us_;
  bool fresh_;
  std::vector<Count> counts_;
  std::unordered_set<std::uint64_t> seen_;
};

}  // namespace understudy::calibration::internal
