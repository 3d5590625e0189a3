// Any bytes: redacting ends, replaces nothing twice, and JSON keeps its brackets.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/redact.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const understudy::Redactor redactor(data[0] & 7);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string once = redactor.text(text);
  if (redactor.text(once) != once) std::abort();
  const std::string json = redactor.json(text);
  if (redactor.json(json) != json) std::abort();
  return 0;
}
