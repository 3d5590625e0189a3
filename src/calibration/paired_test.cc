#include "calibration/paired.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"

namespace understudy::calibration {
namespace {

TEST(Paired, LowerBoundIsStudents) {
  const std::vector<double> better{2, 4, 6, 8}, than{1, 2, 3, 4};  // t of 3 degrees at .95: 2.353363
  EXPECT_NEAR(paired_lower_bound(better, than, 0.95), 2.5 - 2.353363 * std::sqrt(5.0 / 3 / 4), 1e-6);
  EXPECT_NEAR(paired_lower_bound(std::vector<double>(3, 7.0), std::vector<double>(3, 5.0), 0.95), 2, 1e-12) << "always the same";
}

TEST(Paired, LowerBoundHoldsAsOftenAsItSays) {
  SeededRandom random(3);
  int held = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<double> better(12), than(12);
    for (std::size_t i = 0; i < 12; ++i) {
      than[i] = random.uniform();
      better[i] = than[i] + random.uniform();
    }
    held += paired_lower_bound(better, than, 0.95) <= 0.5;
  }
  EXPECT_NEAR(held, 1900, 40);  // four standard errors
}

}  // namespace
}  // namespace understudy::calibration
