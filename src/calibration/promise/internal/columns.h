#pragma once
/// The columns of a rung's model: made alike where it is fitted and where it is used.

#include <cstddef>
#include <span>
#include <string_view>

namespace understudy::calibration::internal {

/// raw and constant 0, platt 1, beta 2, ridge 1 + features.
std::size_t column_count(std::string_view method, std::size_t features);

/// @param out column_count numbers; NaN where a feature is not known
void fill_columns(std::string_view method, double raw, std::span<const float> features, std::span<double> out);

}  // namespace understudy::calibration::internal
