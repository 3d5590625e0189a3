#include "specialists/packed_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/assert.h"
#include "specialists/internal/kernels.h"

namespace understudy::specialists {

namespace {

constexpr std::array<std::string_view, 3> kNames{"fp32", "int8", "int4"};

int most_of(WeightPrecision precision) { return precision == WeightPrecision::kInt8 ? 127 : 7; }

double error_of(std::span<const float> row, float scale, int most) {
  double sum = 0;
  for (const float v : row) {
    const float whole = std::clamp(std::nearbyint(v / scale), static_cast<float>(-most), static_cast<float>(most));
    sum += double(v - scale * whole) * (v - scale * whole);
  }
  return sum;
}

/// The greatest weight becomes the greatest whole number. In 4 bits it may pay to clip it, so that the others are told apart.
float scale_of(std::span<const float> row, WeightPrecision precision) {
  float greatest = 0;
  for (const float v : row) greatest = std::max(greatest, std::abs(v));
  const int most = most_of(precision);
  const float plain = greatest / static_cast<float>(most);
  if (precision == WeightPrecision::kInt8 || greatest == 0) return plain;
  float best = plain;
  for (const float share : {0.9f, 0.8f, 0.7f, 0.6f}) {
    if (error_of(row, plain * share, most) < error_of(row, best, most)) best = plain * share;
  }
  return best;
}

template <typename T>
std::string bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

Unexpected corrupt(const std::string& name, std::string_view what) { return fail(ErrorKind::kCorrupt, fmt::format("tensor \"{}\" {}", name, what)); }

}  // namespace

std::string_view weight_precision_name(WeightPrecision precision) { return kNames[static_cast<std::size_t>(precision)]; }

std::optional<WeightPrecision> parse_weight_precision(std::string_view name) {
  const auto* found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<WeightPrecision>(found - kNames.begin());
}

PackedRows PackedRows::pack(std::span<const float> weights, std::size_t width, WeightPrecision precision) {
  PackedRows out;
  out.precision_ = precision;
  out.width_ = width;
  out.stride_ = internal::padded(width);
  UNDERSTUDY_ASSERT(width > 0 && weights.size() % out.stride_ == 0);
  out.rows_ = weights.size() / out.stride_;
  if (precision == WeightPrecision::kFloat32) {
    out.floats_.assign(weights.begin(), weights.end());
    return out;
  }
  const auto most = static_cast<float>(most_of(precision));
  out.whole_.assign(weights.size(), 0);
  out.scales_.resize(out.rows_);
  for (std::size_t r = 0; r < out.rows_; ++r) {
    const auto row = weights.subspan(r * out.stride_, width);
    float& scale = out.scales_[r];
    scale = scale_of(row, precision);
    if (precision == WeightPrecision::kInt4) scale = neural::half_to_float(neural::float_to_half(scale));  // as the file has it
    if (scale == 0) continue;
    for (std::size_t c = 0; c < width; ++c) {
      out.whole_[r * out.stride_ + c] = static_cast<std::int8_t>(std::clamp(std::nearbyint(row[c] / scale), -most, most));
    }
  }
  return out;
}

std::vector<float> PackedRows::unpacked() const {
  if (precision_ == WeightPrecision::kFloat32) return floats_;
  std::vector<float> out(whole_.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = scales_[i / stride_] * static_cast<float>(whole_[i]);
  return out;
}

PackedRows PackedRows::repacked(WeightPrecision precision) const { return rows_ == 0 ? *this : pack(unpacked(), width_, precision); }

void PackedRows::add(std::span<const retrieval::TermSpace::Entry> entries, float* sums) const {
  if (precision_ == WeightPrecision::kFloat32) {
    internal::add_rows(entries, floats_.data(), stride_, sums);
  } else {
    internal::add_rows(entries, whole_.data(), scales_.data(), stride_, sums);
  }
}

neural::NewTensor float_tensor(std::string name, std::span<const float> values, std::vector<std::size_t> shape, bool half) {
  if (!half) return {std::move(name), "F32", std::move(shape), bytes_of(values)};
  std::vector<std::uint16_t> halves;
  halves.reserve(values.size());
  for (const float v : values) halves.push_back(neural::float_to_half(v));
  return {std::move(name), "F16", std::move(shape), bytes_of(std::span<const std::uint16_t>(halves))};
}

bool read_floats(const neural::Safetensors& file, std::string_view name, std::size_t count, std::vector<float>& out) {
  const neural::Tensor* tensor = file.find(name);
  std::vector<float> store;
  if (tensor == nullptr || tensor->count() != count) return false;
  const auto values = neural::as_floats(*tensor, store);
  if (!values || !std::ranges::all_of(*values, [](float v) { return std::abs(v) < 1e6f; })) return false;  // NaN is not below
  out.assign(values->begin(), values->end());
  return true;
}

void PackedRows::append_to(std::vector<neural::NewTensor>& file, const std::string& name) const {
  const auto row_of = [&](const auto& values, std::size_t r) { return std::span(values).subspan(r * stride_, width_); };
  std::string bytes;
  std::string type = "F32";
  std::size_t columns = width_;
  for (std::size_t r = 0; r < rows_; ++r) {
    if (precision_ == WeightPrecision::kFloat32) {
      bytes += bytes_of(row_of(floats_, r));
    } else if (precision_ == WeightPrecision::kInt8) {
      type = "I8";
      bytes += bytes_of(row_of(whole_, r));
    } else {
      type = "U8";
      columns = (width_ + 1) / 2;
      const auto row = row_of(whole_, r);
      for (std::size_t c = 0; c < width_; c += 2) {
        const int low = row[c] + 8, high = c + 1 < width_ ? row[c + 1] + 8 : 8;
        bytes += static_cast<char>(low | high << 4);
      }
    }
  }
  file.push_back({name + ".weight", type, {rows_, columns}, std::move(bytes)});
  if (precision_ != WeightPrecision::kFloat32) file.push_back(float_tensor(name + ".scale", scales_, {rows_}, precision_ == WeightPrecision::kInt4));
}

Result<PackedRows> PackedRows::read(const neural::Safetensors& file, const std::string& name, std::size_t rows, std::size_t width, WeightPrecision precision) {
  PackedRows out;
  out.precision_ = precision;
  out.rows_ = rows;
  out.width_ = width;
  out.stride_ = internal::padded(width);
  const std::string weight = name + ".weight";
  const neural::Tensor* tensor = file.find(weight);
  if (tensor == nullptr) return corrupt(weight, "is missing");
  const std::size_t columns = precision == WeightPrecision::kInt4 ? (width + 1) / 2 : width;
  const std::string_view type = precision == WeightPrecision::kFloat32 ? "F32" : precision == WeightPrecision::kInt8 ? "I8" : "U8";
  if (tensor->type != type || tensor->shape != std::vector<std::size_t>{rows, columns}) return corrupt(weight, fmt::format("must be {} of {} x {}", type, rows, columns));
  if (precision == WeightPrecision::kFloat32) {
    std::vector<float> values;
    if (!read_floats(file, weight, rows * width, values)) return corrupt(weight, "has a number that cannot be");
    out.floats_.assign(rows * out.stride_, 0);
    for (std::size_t r = 0; r < rows; ++r) std::copy_n(values.data() + r * width, width, out.floats_.data() + r * out.stride_);
    return out;
  }
  if (!read_floats(file, name + ".scale", rows, out.scales_)) return corrupt(name + ".scale", fmt::format("must be {} numbers", rows));
  out.whole_.assign(rows * out.stride_, 0);
  const auto* given = reinterpret_cast<const std::uint8_t*>(tensor->bytes.data());
  for (std::size_t r = 0; r < rows; ++r) {
    std::int8_t* row = out.whole_.data() + r * out.stride_;
    if (precision == WeightPrecision::kInt8) {
      std::memcpy(row, given + r * columns, width);
      continue;
    }
    for (std::size_t c = 0; c < width; ++c) row[c] = static_cast<std::int8_t>((given[r * columns + c / 2] >> (c % 2 * 4) & 15) - 8);
  }
  return out;
}

}  // namespace understudy::specialists
