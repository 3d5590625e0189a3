// Whatever the bytes are, a specialist's folder loads or is refused with a message; what loads answers. Rows likewise.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "specialists/intent_specialist.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::specialists;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto rows = parse_intent_rows(bytes, "f", {});
  if (!rows && rows.error().message.empty()) std::abort();
  // specialist.json, a zero byte, model.safetensors.
  const std::size_t cut = std::min(bytes.find('\0'), size);
  // Or the rows that it kept: calibration.jsonl, a zero byte, calibration.safetensors.
  const auto kept = KeptRows::parse(bytes.substr(0, cut), bytes.substr(std::min(cut + 1, size)), 2, true);
  if (!kept && kept.error().message.empty()) std::abort();
  const auto made = IntentSpecialist::parse(bytes.substr(0, cut), bytes.substr(std::min(cut + 1, size)));
  if (!made) {
    if (made.error().message.empty()) std::abort();
    return 0;
  }
  const std::vector<float> vector(made->model().mean.size(), 0.1f);
  for (const auto& said : {made->predict("where is my card"), made->predict("where is my card", vector)}) {
    if (!(said.probability >= 0 && said.probability <= 1) || !(said.in_scope >= 0 && said.in_scope <= 1)) std::abort();
  }
  return 0;
}
