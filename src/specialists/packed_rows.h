#pragma once
/// Weights of many inputs for the same labels, in 32, 8 or 4 bits each.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "neural/safetensors.h"
#include "retrieval/hashed_text.h"

namespace understudy::specialists {

enum class WeightPrecision : std::uint8_t {
  kFloat32,
  kInt8,  ///< with one scale a row; a quarter of the size
  kInt4,  ///< in a file half the size of kInt8; in memory as kInt8, and as fast
};
std::string_view weight_precision_name(WeightPrecision precision);  ///< "fp32", "int8", "int4"
std::optional<WeightPrecision> parse_weight_precision(std::string_view name);

/// One row of `width` weights an input. Immutable, thread-safe.
class PackedRows {
 public:
  PackedRows() = default;
  /// @param weights  rows of internal::padded(width) numbers each, those behind `width` 0
  static PackedRows pack(std::span<const float> weights, std::size_t width, WeightPrecision precision);
  PackedRows repacked(WeightPrecision precision) const;

  /// sums[0 .. padded(width)) += value * row of each entry.
  void add(std::span<const retrieval::TermSpace::Entry> entries, float* sums) const;
  std::size_t rows() const { return rows_; }
  std::size_t width() const { return width_; }
  WeightPrecision precision() const { return precision_; }

  /// NAME.weight, and NAME.scale below 32 bits: docs/formats/specialist.md.
  void append_to(std::vector<neural::NewTensor>& file, const std::string& name) const;
  /// kCorrupt, with what is wrong, where the tensors are not of `rows` x `width` in `precision`.
  static Result<PackedRows> read(const neural::Safetensors& file, const std::string& name, std::size_t rows, std::size_t width, WeightPrecision precision);

 private:
  std::vector<float> unpacked() const;
  WeightPrecision precision_ = WeightPrecision::kFloat32;
  std::size_t rows_ = 0, width_ = 0, stride_ = 0;
  std::vector<float> floats_;       // kFloat32
  std::vector<std::int8_t> whole_;  // else
  std::vector<float> scales_;
};

/// A tensor of numbers in 32 or 16 bits, and its reading: false unless it has `count` finite numbers below 1e6.
neural::NewTensor float_tensor(std::string name, std::span<const float> values, std::vector<std::size_t> shape, bool half = false);
bool read_floats(const neural::Safetensors& file, std::string_view name, std::size_t count, std::vector<float>& out);

}  // namespace understudy::specialists
