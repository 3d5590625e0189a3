#pragma once
/// A specialist against its teacher on a fresh sample: figures, JSON and text (docs/formats/recheck.md). Pure.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "app/specialist_opinions.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/money.h"
#include "calibration/weighting.h"

namespace understudy::app {

struct RecheckShare {
  double coverage = 1;        ///< of the rows, those that it is surest of
  std::size_t rows = 0, agree = 0;
  calibration::Interval interval;   ///< 95 %, Clopper and Pearson
  double share() const { return rows == 0 ? 0 : static_cast<double>(agree) / static_cast<double>(rows); }
};

struct Recheck {
  WallTime at;
  std::string specialist, folder, version;   ///< version: id of its calibration
  std::string teacher, data, data_hash;
  std::uint64_t seed = 1;
  std::size_t rows = 0;                      ///< of the file
  std::size_t none_fits = 0;                 ///< intent: the teacher says that no label fits; not compared
  RecheckShare all;
  double promised = 0;                       ///< agreement on these rows by its own probabilities
  std::vector<RecheckShare> surest;          ///< 90 and 70 % of them
  std::optional<calibration::PredictionPowered> disagreement;  ///< over all rows of the file, by its own probabilities, corrected on the sample
  std::optional<calibration::PredictionPowered> yes;           ///< share of yes over all rows by its verdicts, corrected on the sample; not of intents
  std::optional<double> at_least;            ///< what was asked for
  std::optional<Picousd> cost;
  std::string alarm;                         ///< why; empty: none
};

/// Compares. Alarm: its own probabilities promise more than the interval's upper end; or the lower end is below `at_least`.
/// @param sampled, verdicts  places of the rows that the teacher judged, and what it said. kInvalidRequest: fewer than kFewestRechecked
Result<void> compare_with_teacher(Recheck& to, labelling::Task task, std::span<const Opinion> opinions, std::span<const std::size_t> sampled, std::span<const labelling::Verdict> verdicts);
inline constexpr std::size_t kFewestRechecked = 20;

std::string recheck_json(const Recheck& recheck);   ///< understudy.recheck/1, one line
std::string recheck_text(const Recheck& recheck);

}  // namespace understudy::app
