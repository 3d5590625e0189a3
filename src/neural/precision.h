#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace understudy::neural {

/// Numbers in which a network's matrices are kept and multiplied. The rest is always 32-bit floating point.
enum class Precision : std::uint8_t {
  kFloat32,      ///< as trained
  kInt8,         ///< weights in 8 bits with one scale a row, activations rounded to 8 bits as they come: fastest
  kInt8Weights,  ///< weights as above, activations in 32 bits: as small, near fp32 in result and speed
};

std::string_view precision_name(Precision precision);  ///< "fp32", "int8", "int8_weights"
std::optional<Precision> parse_precision(std::string_view name);

}  // namespace understudy::neural
