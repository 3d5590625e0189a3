#pragma once
/// Members of stored JSON, by type: false where one is missing or is something else.

#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace understudy::calibration::internal {

template <typename T>
bool read(simdjson::dom::element object, std::string_view key, T& out) {
  return object[key].get(out) == simdjson::SUCCESS;
}
inline bool read(simdjson::dom::element object, std::string_view key, std::string& out) {
  std::string_view text;
  if (object[key].get_string().get(text)) return false;
  out = std::string(text);
  return true;
}
inline bool read(simdjson::dom::element object, std::string_view key, std::uint32_t& out) {
  std::uint64_t value = 0;
  if (object[key].get_uint64().get(value) || value > UINT32_MAX) return false;
  out = static_cast<std::uint32_t>(value);
  return true;
}

}  // namespace understudy::calibration::internal
