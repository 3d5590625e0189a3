// The first byte picks the comparator, the rest is two answers parted by the first zero byte. Whatever they are, an
// answer agrees with itself and agreement is symmetric.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "calibration/compare.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::calibration;
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = bytes.find('\0');
  const std::string_view a = bytes.substr(0, cut);
  const std::string_view b = cut == std::string_view::npos ? std::string_view{} : bytes.substr(cut + 1);
  ComparatorSpec spec;
  spec.comparator = static_cast<Comparator>(data[0] % 10);
  if (data[0] & 0x40) spec.top_k = 0;
  if (data[0] & 0x20) spec.similarity = [](std::string_view x, std::string_view y) { return std::optional(static_cast<double>(x.size() + y.size() < 20)); };
  if (data[0] & 0x20) spec.level = 0.5;
  const bool forth = agrees(spec, a, b);
  if (forth != agrees(spec, b, a) || !agrees(spec, a, a) || !agrees(spec, b, b)) std::abort();
  const AnswerView with_calls{a, b}, other{b, a};
  if (agrees(spec, with_calls, other) != agrees(spec, other, with_calls) || !agrees(spec, with_calls, with_calls)) std::abort();
  (void)default_comparator(with_calls);
  (void)parse_comparator(a);
  return 0;
}
