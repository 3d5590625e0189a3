// Whatever the bytes are, a specialist's folder loads or is refused with a message; what loads answers. Rows likewise.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "specialists/intent_specialist.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::specialists;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto rows = parse_intent_rows(bytes, "f", {});
  if (!rows && rows.error().message.empty()) std::abort();
  // specialist.json, a zero byte, linear.bin.
  const std::size_t cut = std::min(bytes.find('\0'), size);
  const auto made = IntentSpecialist::parse(bytes.substr(0, cut), bytes.substr(std::min(cut + 1, size)));
  if (!made) {
    if (made.error().message.empty()) std::abort();
    return 0;
  }
  const auto said = made->predict("where is my card");
  if (!(said.probability >= 0 && said.probability <= 1) || !(said.in_scope >= 0 && said.in_scope <= 1)) std::abort();
  return 0;
}
