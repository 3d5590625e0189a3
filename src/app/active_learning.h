#pragma once
/// Which rows a teacher is asked about next, once a first model has learnt from a random sample (docs/guide/teacher.md). Pure.
///
/// Chosen rows are not like the others: probabilities calibrated on them would be wrong for what comes. So some of the random rows are kept for the
/// calibration and nothing is trained on them, and chosen rows are never among them.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "app/specialist_opinions.h"
#include "app/teacher_rows.h"

namespace understudy::app {

/// Whether a row may be used for calibration only. By seed and by what rows must not share across that border: the query, the evidence, the text.
std::vector<bool> rows_for_calibration(const TeacherRows& rows, std::uint64_t seed, double share);

/// How much is to be learnt from each row's label, 0 to 1: how far the first model and the other one are apart where there is another (`other` not
/// empty), else how unsure the first one is.
std::vector<double> worth_asking(std::span<const Opinion> first, std::span<const Opinion> other);

/// A sample in two parts.
struct ActivePlan {
  std::vector<std::size_t> random;       ///< asked about first
  std::vector<std::size_t> calibration;  ///< of `random`: not trained on
  std::vector<std::size_t> pool;         ///< the rest is chosen from these
  std::size_t choose = 0;                ///< so many
};
/// @param order  all rows of different contents, in random order. @param active_share  of `sample` that is chosen
ActivePlan plan_active(const TeacherRows& rows, std::span<const std::size_t> order, std::size_t sample, double active_share, std::uint64_t seed);

}  // namespace understudy::app
