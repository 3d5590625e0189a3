// Whatever the bytes are: rows are read or refused with a message; so is a folder (specialist.json, a NUL, weights), and what it holds computes finite scores,
// which fall where it keeps the order that came.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "specialists/rerank_rows.h"
#include "specialists/rerank_specialist.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::specialists;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto rows = parse_rerank_rows(text, "fuzz", {});
  if (!rows && rows.error().message.empty()) std::abort();
  const std::string_view json = text.substr(0, text.find('\0'));
  const auto parsed = RerankSpecialist::parse(json, text.substr(std::min(text.size(), json.size() + 1)));
  if (!parsed) {
    if (parsed.error().message.empty()) std::abort();
    return 0;
  }
  const std::string_view documents[] = {"It was a violin.", "", text};
  const auto said = parsed->score("who made the violin", documents, {});
  if (!said) std::abort();
  for (const RerankScore& s : *said)
    if (!(s.score >= 0 && s.score <= 1)) std::abort();
  for (std::size_t i = 1; i < said->size() && parsed->keeps_order(); ++i)
    if (!((*said)[i].score < (*said)[i - 1].score && (*said)[i].raw < (*said)[i - 1].raw)) std::abort();
  return 0;
}
