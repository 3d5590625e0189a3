#include "specialists/row_input.h"

#include <cmath>
#include <cstring>

namespace understudy::specialists {
namespace {

/// A term that occurs no times: no packed terms begin like this, so that rows from before there were vectors are read as they are.
constexpr std::string_view kHasVector{"\0\0\1", 3};
constexpr std::size_t kMostNumbers = 4'096;

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <typename T>
T take(std::string_view& bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
  return value;
}

}  // namespace

std::string pack_input(const RowInput& input) {
  if (input.terms.empty()) return {};
  std::string terms = retrieval::pack_terms(input.terms);
  if (input.encoder == 0 || input.vector.empty()) return terms;
  std::string out(kHasVector);
  put(out, input.encoder);
  put(out, input.vector.scale);
  put(out, static_cast<std::uint16_t>(input.vector.values.size()));
  out.append(reinterpret_cast<const char*>(input.vector.values.data()), input.vector.values.size());
  return out += terms;
}

bool unpack_input(std::string_view bytes, RowInput& out) {
  out.encoder = 0;
  out.vector = {};
  if (bytes.starts_with(kHasVector)) {
    bytes.remove_prefix(kHasVector.size());
    if (bytes.size() < 14) return false;
    out.encoder = take<std::uint64_t>(bytes);
    out.vector.scale = take<float>(bytes);
    const std::size_t numbers = take<std::uint16_t>(bytes);
    // No scale of another sign or size comes from a unit vector.
    if (out.encoder == 0 || numbers == 0 || numbers > kMostNumbers || numbers > bytes.size() || !(out.vector.scale >= 0 && out.vector.scale <= 1)) return false;
    if (std::signbit(out.vector.scale)) return false;
    out.vector.values.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(numbers));
    bytes.remove_prefix(numbers);
  }
  return retrieval::unpack_terms(bytes, out.terms) && (out.encoder == 0 || !out.terms.empty());
}

}  // namespace understudy::specialists
