#pragma once
/// What examples bring: counted on labelled rows that the student answered both without and with them, so that each row is its own
/// control. Decides how many to show (`few_shots = "auto"`), and that none are worth showing.

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "calibration/promise/ladder.h"
#include "cascade/ladder.h"

namespace understudy::cascade {

/// Paired differences in agreement with the teacher, with less without examples.
struct FewShotUplift {
  std::size_t rows = 0, better = 0, worse = 0;   ///< better: right only with examples
  double mean = 0, low = -1, high = 1;           ///< normal interval, two standard errors; -1 and 1 without rows
};

/// Not thread-safe.
class FewShotTrial {
 public:
  static constexpr std::array<int, 4> kTried{1, 3, 5, 10};   ///< each drawn with probability 1/4
  static constexpr std::size_t kRows = 200;                  ///< after so many the best so far is taken
  static constexpr std::size_t kRowsEach = 25;               ///< before so many of each nothing is shown better
  static int draw(Random& random) { return kTried[random.below(kTried.size())]; }

  void add(int k, bool agrees_without, bool agrees_with);

  FewShotUplift uplift() const;         ///< over all k
  FewShotUplift uplift(int k) const;
  /// The k to freeze: one that is better than every other by 2.5 standard errors, looked at after each row; after kRows the best one, of two
  /// within 0.02 the smaller, which costs less.
  std::optional<int> decided() const;
  /// Where the last of the looks after 200, 400, 800, ... rows found the uplift's upper bound not above 0: examples cost tokens for nothing.
  bool useless() const { return useless_; }

 private:
  struct Count {
    std::size_t rows = 0, better = 0, worse = 0;
  };
  static FewShotUplift of(const Count& count);
  std::map<int, Count> counts_;
  Count all_;
  std::size_t next_look_ = kRows;
  bool useless_ = false;
};

/// What a trial has found about a task, kept over restarts. It is about one ladder: another configuration, another trial.
struct FewShotDecision {
  std::string ladder;   ///< ladder_id of the configured ladder
  int k = 0;            ///< 0: no examples
  std::string why;      ///< one sentence
};
using FewShotDecisions = std::map<std::string, FewShotDecision, std::less<>>;   ///< by promise_key

/// Puts a decision about the ladder named `id` into it: k, or the rung gone. True where it changed something; the id is another then.
bool apply_decision(const FewShotDecisions& decisions, std::string_view key, std::string_view id, std::vector<Rung>& ladder);

/// The student's rung without and with examples on a row, where both can be told.
struct PairedRungs {
  std::size_t without = 0, with = 0;
};
std::optional<PairedRungs> paired_rungs(const std::vector<Rung>& ladder);
void count_row(const std::vector<Rung>& ladder, const calibration::LabelledRow& row, int k, FewShotTrial& trial);

/// DATA/few_shots.json: {"few_shots": {"CASCADE/TASK": {"ladder", "k", "why"}}}. Replaced as one. An absent file is empty; kCorrupt, kIo.
Result<FewShotDecisions> read_few_shot_decisions(const std::filesystem::path& data);
Result<void> write_few_shot_decisions(const std::filesystem::path& data, const FewShotDecisions& decisions);

}  // namespace understudy::cascade
