// Whatever the bytes are: rows are read or refused with a message; texts give finite features; a folder (specialist.json, a NUL, weights, a NUL, the claim's
// model) is refused with a message, or judges with a probability.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "specialists/judge_rows.h"
#include "specialists/judge_specialist.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::specialists;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto rows = parse_judge_rows(text, "fuzz", {});
  if (!rows && rows.error().message.empty()) std::abort();
  const auto cut = [](std::string_view& rest) {
    const std::string_view part = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    return part;
  };
  std::string_view rest = text;
  const std::string_view json = cut(rest), weights = cut(rest);
  const auto reading = read_judged(word_statistics({}), json, text, {});
  if (!reading || !reading->x.allFinite() || reading->x.size() != kJudgeColumns) std::abort();
  const auto parsed = JudgeSpecialist::parse(json, weights, rest);
  if (!parsed) {
    if (parsed.error().message.empty()) std::abort();
    return 0;
  }
  const auto said = parsed->judge("It was a violin.", text, {});
  if (!said || !(said->probability >= 0 && said->probability <= 1)) std::abort();
  return 0;
}
