#pragma once
/// Who learns in `eval stream`: by a number of teacher calls, or by the promise.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "calibration/risk_control.h"
#include "evaluation/internal/fine_tuning.h"

namespace understudy::evaluation::internal {

/// What one pass over the rows came to.
struct Pass {
  struct Point {
    std::size_t n = 0;
    double teacher_share = 0, accuracy = 0;
  };
  std::size_t calls = 0, right = 0, teacher_right = 0, served = 0, agreed = 0;
  std::optional<std::size_t> first_served;   ///< the row, from 1
  double last_share = 0;                     ///< of teacher calls, in the last thousand rows
  std::vector<Point> curve;
  std::size_t fits = 0, versions = 0, tests = 0, alarms = 0;

  /// NaN where nothing was served.
  double disagreement() const { return served > 0 ? 1 - static_cast<double>(agreed) / static_cast<double>(served) : std::numeric_limits<double>::quiet_NaN(); }
};

/// What a learner does with one row.
struct Step {
  std::string answer;     ///< of the learner; "" where it has none to serve
  bool serve = false;
  bool call = false;      ///< the teacher is asked
  double probability = 0;
  std::optional<double> threshold;
};

class Learner {
 public:
  virtual ~Learner() = default;
  /// @param row  of the outcomes. @param vector  of the prompt; null: there is no encoder
  virtual Step decide(std::size_t row, const std::string& prompt, const retrieval::PackedVector* vector) = 0;
  /// The teacher's answer to the row decided last, where it was called.
  virtual Result<void> learn(const std::string& teacher) = 0;
  virtual void report(Pass& pass) const = 0;
};

/// Calls the teacher so many times in `rows` rows: for all of the first ones, then where its margin is small.
/// @param tuning  null: the encoder stays as it is
std::unique_ptr<Learner> learner_by_budget(std::size_t calls, std::size_t rows, std::uint64_t seed, FineTuning* tuning);

/// As the gateway would: coins, thresholds, retests.
std::unique_ptr<Learner> learner_by_promise(const calibration::Promise& promise, std::uint64_t seed);

}  // namespace understudy::evaluation::internal
