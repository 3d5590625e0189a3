#pragma once
/// Reads and writes weights in the safetensors format: 8 bytes length N (little endian), N bytes of JSON that name each tensor's type, shape and
/// place, then the numbers. Hostile files are refused as the format's own reader refuses them: every byte of the data belongs to
/// exactly one tensor, and shape and type say how many.
/// Source: https://github.com/huggingface/safetensors (format)

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy::neural {

struct Tensor {
  std::string name;
  std::string type;                ///< as the file has it: "F32", "F16", "BF16", "I64", ...
  std::vector<std::size_t> shape;  ///< empty: one number
  std::string_view bytes;          ///< little endian, row by row; aligned to no more than one byte
  std::size_t count() const;       ///< of numbers
};

/// Immutable, thread-safe.
class Safetensors {
 public:
  /// `bytes` must outlive the result. @param name  what errors call it. kCorrupt, with what is wrong where.
  static Result<Safetensors> parse(std::string_view bytes, std::string_view name);
  /// Maps the file; it must not be changed while the result lives. kIo, kCorrupt.
  static Result<Safetensors> open(const std::filesystem::path& path);

  /// By name; nullptr where there is none.
  const Tensor* find(std::string_view name) const;
  std::span<const Tensor> tensors() const { return tensors_; }  ///< ordered by name
  std::string_view bytes() const { return bytes_; }             ///< of the whole file

 private:
  std::shared_ptr<const void> file_;  // keeps the mapping
  std::string_view bytes_;
  std::vector<Tensor> tensors_;
};

/// The tensor's numbers in 32 bits. F32 that lies aligned is returned as it lies; anything else, and F16 and BF16, is converted into
/// `store`, which must then live as long. kUnsupported for other types.
Result<std::span<const float>> as_floats(const Tensor& tensor, std::vector<float>& store);

/// Half precision (IEEE 754 binary16) to single, exactly; and back to the nearest, ties to even. What is too large becomes infinite.
float half_to_float(std::uint16_t half);
std::uint16_t float_to_half(float value);

/// A tensor of a file that is to be written.
struct NewTensor {
  std::string name, type;          ///< as Tensor's
  std::vector<std::size_t> shape;
  std::string bytes;               ///< as many as shape and type say
};
/// The file's bytes. Names must be different.
std::string write_safetensors(std::span<const NewTensor> tensors);

}  // namespace understudy::neural
