// Lines of a history of rechecks: any bytes are read or refused, and what was read is written so that it reads as the same again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "monitors/recheck.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::monitors;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  [[maybe_unused]] const auto last = last_recheck(text);
  const auto read = parse_recheck(text);
  if (!read) return 0;
  const std::string line = recheck_json(*read);
  const auto again = parse_recheck(line);
  if (!again || recheck_json(*again) != line) std::abort();
  return 0;
}
