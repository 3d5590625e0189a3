#include "neural/precision.h"

#include <algorithm>
#include <array>

namespace understudy::neural {

namespace {
constexpr std::array<std::string_view, 3> kNames = {"fp32", "int8", "int8_weights"};
}

std::string_view precision_name(Precision precision) { return kNames[static_cast<std::size_t>(precision)]; }

std::optional<Precision> parse_precision(std::string_view name) {
  const auto* found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Precision>(found - kNames.begin());
}

}  // namespace understudy::neural
