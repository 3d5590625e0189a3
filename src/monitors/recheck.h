#pragma once
/// A specialist against its teacher on a fresh sample: figures, their JSON, and the history that they are kept in (docs/formats/recheck.md).

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/money.h"
#include "calibration/weighting.h"
#include "monitors/opinion.h"

namespace understudy::monitors {

struct RecheckShare {
  double coverage = 1;        ///< of the rows, those that it is surest of
  std::size_t rows = 0, agree = 0;
  calibration::Interval interval;   ///< 95 %, Clopper and Pearson
  double share() const { return rows == 0 ? 0 : static_cast<double>(agree) / static_cast<double>(rows); }
};

struct Recheck {
  WallTime at;
  std::string specialist, version;           ///< version: id of its calibration
  std::string teacher, data, data_hash;      ///< data: a file, or which requests of a gateway
  std::uint64_t seed = 1;
  std::size_t rows = 0;                      ///< that the sample was drawn from
  std::size_t none_fits = 0;                 ///< intent: the teacher says that no label fits; not compared
  RecheckShare all;
  double promised = 0;                       ///< agreement on these rows by its own probabilities
  std::vector<RecheckShare> surest;          ///< 90 and 70 % of them
  std::optional<calibration::PredictionPowered> disagreement;  ///< over all rows, by its own probabilities, corrected on the sample
  std::optional<calibration::PredictionPowered> yes;           ///< share of yes over all rows by its verdicts, corrected on the sample; not of intents
  std::optional<double> at_least;            ///< what was asked for
  std::optional<Picousd> cost;
  std::string alarm;                         ///< why; empty: none
};

/// Compares. Alarm: its own probabilities promise more than the interval's upper end; or the lower end is below `at_least`. Pure.
/// @param sampled, verdicts  places of the rows that the teacher judged, and what it said. kInvalidRequest: fewer than kFewestRechecked
Result<void> compare_with_teacher(Recheck& to, labelling::Task task, std::span<const Opinion> opinions, std::span<const std::size_t> sampled, std::span<const labelling::Verdict> verdicts);
inline constexpr std::size_t kFewestRechecked = 20;

std::string recheck_json(const Recheck& recheck);   ///< understudy.recheck/1, one line
/// Reads such a line again; figures that it leaves out or has as null stay as in Recheck(). kCorrupt, in words.
Result<Recheck> parse_recheck(std::string_view line);

/// Where a folder's rechecks are kept: FOLDER.rechecks.jsonl beside it. "judge/" is "judge".
std::filesystem::path history_of(const std::filesystem::path& folder);
/// A small file, whole; "" where there is none.
std::string file_text(const std::filesystem::path& path);
/// The last line that can be read.
std::optional<Recheck> last_recheck(std::string_view history);
/// Number of lines and one: the seed of the next sample, so that each draws anew.
std::uint64_t next_seed(std::string_view history);
/// On disk when it returns. kIo.
Result<void> append_recheck(const std::filesystem::path& history, const Recheck& recheck);

}  // namespace understudy::monitors
