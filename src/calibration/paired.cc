#include "calibration/paired.h"

#include <boost/math/distributions/students_t.hpp>
#include <vector>

#include "base/assert.h"
#include "calibration/metrics.h"

namespace understudy::calibration {

double paired_lower_bound(std::span<const double> better, std::span<const double> than, double confidence) {
  UNDERSTUDY_ASSERT(better.size() == than.size() && better.size() >= 2 && confidence > 0 && confidence < 1);
  std::vector<double> differences;
  for (std::size_t i = 0; i < better.size(); ++i) differences.push_back(better[i] - than[i]);
  const boost::math::students_t student(static_cast<double>(differences.size() - 1));
  return mean_interval(differences, boost::math::quantile(student, confidence)).low;
}

}  // namespace understudy::calibration
