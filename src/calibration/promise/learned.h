#pragma once
/// Rungs that learn from the teacher's answers (`knn`, the online specialist), as the keeper sees them: frozen *fits*, each a pure function
/// of the rows that it was made from. What a fit would have said on a row can be computed at any time, so a new one is tested on the test
/// rows that are there already: no row of a test is ever learnt from, and delta pays for each list of candidates (keeper.h).

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "calibration/promise/ladder.h"

namespace understudy::calibration {

/// One fit of all learned rungs of a ladder. Immutable, thread-safe.
class LearnedFit {
 public:
  virtual ~LearnedFit() = default;
  /// Names what it learnt; never 0.
  virtual std::uint64_t id() const = 0;
  /// Replaces the outcomes of the learned rungs in `row.rungs` by what this fit says, compared with `row.answer`. Rows without terms have
  /// none. Not meant for rows that it was made from: it knows them by heart.
  virtual void judge(LabelledRow& row) const = 0;
};

/// What a fit says of the rows that it was made from, each by a fit that had left that row's fold out.
struct Fitted {
  std::shared_ptr<const LearnedFit> fit;     ///< null: nothing to learn here (answers that hardly ever come twice)
  std::vector<LabelledRow> held_back;        ///< the given rows, judged
};

/// Makes fits and keeps them. Thread-safe.
class RungLearner {
 public:
  virtual ~RungLearner() = default;
  /// Deterministic for rows, their order and the seed. Up to seconds with thousands of rows: not for a reactor's thread.
  virtual Fitted fit(std::vector<LabelledRow> rows, std::uint64_t seed) const = 0;
  /// Puts a fit where `load` finds it after a crash. False: it is not safe, so nothing may come to depend on it.
  [[nodiscard]] virtual bool save(const LearnedFit& fit) const = 0;
  /// Null where it is not there or not what it was.
  virtual std::shared_ptr<const LearnedFit> load(std::uint64_t id) const = 0;
};

}  // namespace understudy::calibration
