#include "neural/safetensors.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/json_writer.h"
#include "neural/internal/mapped_file.h"

namespace understudy::neural {

namespace {

static_assert(std::endian::native == std::endian::little, "tensors are used as they lie in the file");

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // as the format's own reader

std::size_t bytes_of_type(std::string_view type) {
  static constexpr std::pair<std::string_view, std::size_t> kTypes[] = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2}, {"U16", 2}, {"F16", 2},
      {"BF16", 2}, {"I32", 4}, {"U32", 4}, {"F32", 4},     {"F64", 8},     {"I64", 8}, {"U64", 8}};
  const auto* found = std::ranges::find(kTypes, type, &std::pair<std::string_view, std::size_t>::first);
  return found == std::end(kTypes) ? 0 : found->second;
}

std::optional<std::size_t> product(std::span<const std::size_t> factors, std::size_t start) {
  std::size_t result = start;
  for (const std::size_t factor : factors)
    if (__builtin_mul_overflow(result, factor, &result)) return std::nullopt;
  return result;
}

/// One entry of the header, or what is wrong with it.
struct Entry {
  std::vector<std::size_t> shape;
  std::uint64_t begin = 0, end = 0;
  std::string type;
  std::string problem;
};

Entry read_entry(const simdjson::dom::element& value, std::size_t data_bytes) {
  Entry entry;
  std::string_view type;
  simdjson::dom::array shape, offsets;
  if (value["dtype"].get(type) != simdjson::SUCCESS || value["shape"].get(shape) != simdjson::SUCCESS ||
      value["data_offsets"].get(offsets) != simdjson::SUCCESS || offsets.size() != 2 ||
      offsets.at(0).get(entry.begin) != simdjson::SUCCESS || offsets.at(1).get(entry.end) != simdjson::SUCCESS) {
    entry.problem = "must have dtype (text), shape (list) and data_offsets (two whole numbers)";
    return entry;
  }
  entry.type = type;
  for (const auto& dimension : shape) {
    std::uint64_t size = 0;
    if (dimension.get(size) != simdjson::SUCCESS) {
      entry.problem = "its shape must hold whole numbers from 0 on";
      return entry;
    }
    entry.shape.push_back(size);
  }
  const std::size_t width = bytes_of_type(type);
  if (width == 0) {
    entry.problem = fmt::format("its dtype \"{}\" is not known", type);
  } else if (entry.begin > entry.end || entry.end > data_bytes) {
    entry.problem = fmt::format("its data_offsets {} to {} do not lie in the {} bytes of data: is the file cut off?", entry.begin, entry.end, data_bytes);
  } else if (const auto bytes = product(entry.shape, width); bytes != entry.end - entry.begin) {
    entry.problem = fmt::format("its shape and dtype need {} bytes, its data_offsets give {}", bytes ? std::to_string(*bytes) : "far too many",
                                entry.end - entry.begin);
  }
  return entry;
}

}  // namespace

std::size_t Tensor::count() const { return product(shape, 1).value_or(0); }

Result<Safetensors> Safetensors::parse(std::string_view bytes, std::string_view name) {
  const auto corrupt = [&](std::string what) { return fail(ErrorKind::kCorrupt, fmt::format("{}: no valid safetensors file: {}", name, what)); };
  std::uint64_t header_bytes = 0;
  if (bytes.size() < kLengthBytes) return corrupt(fmt::format("{} bytes are too few", bytes.size()));
  std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
  if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - kLengthBytes)
    return corrupt(fmt::format("its header should have {} bytes, the file has {}: cut off, or of another format", header_bytes, bytes.size()));
  const std::string_view data = bytes.substr(kLengthBytes + header_bytes);

  simdjson::dom::parser parser;
  simdjson::dom::object header;
  const simdjson::padded_string json(bytes.substr(kLengthBytes, header_bytes));
  if (const auto error = parser.parse(json).get(header); error != simdjson::SUCCESS)
    return corrupt(fmt::format("its header is no JSON object: {}", simdjson::error_message(error)));

  Safetensors result;
  result.bytes_ = bytes;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
  for (const auto field : header) {
    if (field.key == "__metadata__") continue;
    Entry entry = read_entry(field.value, data.size());
    if (!entry.problem.empty()) return corrupt(fmt::format("tensor \"{}\": {}", field.key, entry.problem));
    places.emplace_back(entry.begin, entry.end);
    result.tensors_.push_back({std::string(field.key), std::move(entry.type), std::move(entry.shape), data.substr(entry.begin, entry.end - entry.begin)});
  }
  std::ranges::sort(places);
  std::uint64_t at = 0;
  for (const auto& [begin, end] : places) {
    if (begin != at) return corrupt(fmt::format("byte {} of its data belongs to {}", std::min(begin, at), begin < at ? "two tensors" : "no tensor"));
    at = end;
  }
  if (at != data.size()) return corrupt(fmt::format("its tensors end at byte {} of {}", at, data.size()));
  std::ranges::sort(result.tensors_, {}, &Tensor::name);
  const auto twice = std::ranges::adjacent_find(result.tensors_, {}, &Tensor::name);
  if (twice != result.tensors_.end()) return corrupt(fmt::format("it has two tensors \"{}\"", twice->name));
  return result;
}

Result<Safetensors> Safetensors::open(const std::filesystem::path& path) {
  auto file = internal::MappedFile::open(path);
  if (!file) return fail(file.error());
  auto owner = std::make_shared<const internal::MappedFile>(std::move(*file));
  auto result = parse(owner->bytes(), path.string());
  if (result) result->file_ = owner;
  return result;
}

const Tensor* Safetensors::find(std::string_view name) const {
  const auto found = std::lower_bound(tensors_.begin(), tensors_.end(), name, [](const Tensor& t, std::string_view n) { return t.name < n; });
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16, exponent = (half >> 10) & 0x1f, fraction = half & 0x3ff;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000 | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float small = static_cast<float>(fraction) * 0x1p-24f;
  return sign != 0 ? -small : small;
}

std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  const float size = std::abs(value);
  if (std::isnan(value)) return sign | 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  // Below the least normal number the steps are 2^-24; above, a thousandth of the number's power of two.
  const int exponent = size < 0x1p-14f ? -14 : std::ilogb(size);
  const auto steps = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(size, 10 - exponent)));
  const std::uint32_t half = size < 0x1p-14f ? steps : (static_cast<std::uint32_t>(exponent + 14) << 10) + steps;
  return static_cast<std::uint16_t>(sign | half);
}

std::string write_safetensors(std::span<const NewTensor> tensors) {
  std::string header;
  JsonWriter w(header);
  w.begin_object();
  std::size_t at = 0;
  for (const NewTensor& t : tensors) {
    UNDERSTUDY_ASSERT(product(t.shape, bytes_of_type(t.type)) == t.bytes.size());
    w.key(t.name).begin_object().field("dtype", t.type).key("shape").begin_array();
    for (const std::size_t size : t.shape) w.integer(static_cast<std::int64_t>(size));
    w.end_array().key("data_offsets").begin_array().integer(static_cast<std::int64_t>(at)).integer(static_cast<std::int64_t>(at + t.bytes.size())).end_array().end_object();
    at += t.bytes.size();
  }
  w.end_object();
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = header.size();
  std::string out(reinterpret_cast<const char*>(&length), sizeof length);
  out.reserve(out.size() + header.size() + at);
  out += header;
  for (const NewTensor& t : tensors) out += t.bytes;
  return out;
}

Result<std::span<const float>> as_floats(const Tensor& tensor, std::vector<float>& store) {
  const std::size_t count = tensor.count();
  if (tensor.type == "F32") {
    if (reinterpret_cast<std::uintptr_t>(tensor.bytes.data()) % alignof(float) == 0)
      return std::span(reinterpret_cast<const float*>(tensor.bytes.data()), count);
    store.resize(count);
    if (count > 0) std::memcpy(store.data(), tensor.bytes.data(), count * sizeof(float));
    return std::span<const float>(store);
  }
  if (tensor.type != "F16" && tensor.type != "BF16")
    return fail(ErrorKind::kUnsupported, fmt::format("tensor \"{}\" is of type {}; F32, F16 and BF16 can be read", tensor.name, tensor.type));
  store.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, tensor.bytes.data() + 2 * i, 2);
    store[i] = tensor.type == "F16" ? half_to_float(bits) : std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
  return std::span<const float>(store);
}

}  // namespace understudy::neural
