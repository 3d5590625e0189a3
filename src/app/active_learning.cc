#include "app/active_learning.h"

#include <algorithm>
#include <cmath>

#include "base/hash.h"

namespace understudy::app {
namespace {

/// Of the random rows; the calibration of a few hundred rows needs a good part of them.
constexpr double kCalibrationShare = 0.4;

}  // namespace

std::vector<bool> rows_for_calibration(const TeacherRows& rows, std::uint64_t seed, double share) {
  std::vector<bool> out;
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    const std::string& shared = rows.task == labelling::Task::kFaithfulness ? rows.rows[i].texts[1] : rows.rows[i].texts[0];
    out.push_back(static_cast<double>(hash64(shared, seed ^ 0xca11b7a7e) >> 11) * 0x1.0p-53 < share);
  }
  return out;
}

std::vector<double> worth_asking(std::span<const Opinion> first, std::span<const Opinion> other) {
  std::vector<double> out;
  for (std::size_t i = 0; i < first.size(); ++i) out.push_back(other.empty() ? 1 - first[i].sure : std::abs(first[i].yes - other[i].yes));
  return out;
}

ActivePlan plan_active(const TeacherRows& rows, std::span<const std::size_t> order, std::size_t sample, double active_share, std::uint64_t seed) {
  ActivePlan plan;
  sample = std::min(sample, order.size());
  plan.choose = static_cast<std::size_t>(std::lround(active_share * static_cast<double>(sample)));
  const std::size_t random = sample - plan.choose;
  const auto aside = rows_for_calibration(rows, seed, kCalibrationShare);
  for (std::size_t k = 0; k < order.size(); ++k) {
    const std::size_t i = order[k];
    if (k < random) {
      plan.random.push_back(i);
      if (aside[i]) plan.calibration.push_back(i);
    } else if (!aside[i]) {
      plan.pool.push_back(i);
    }
  }
  return plan;
}

}  // namespace understudy::app
