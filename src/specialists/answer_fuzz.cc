// Whatever the bytes are: rows are read or refused with a message; texts give finite features; a folder (specialist.json, a NUL, weights) is refused with a
// message, or judges: a score with a probability, or a preference that has no side.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "specialists/answer_judge.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::specialists;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto rows = parse_answer_rows(text, "fuzz", {});
  if (!rows && rows.error().message.empty()) std::abort();
  if (const auto form = judge_form_of(text, "fuzz", {}); !form && form.error().message.empty()) std::abort();
  const std::string_view json = text.substr(0, text.find('\0'));
  const auto reading = read_answer(json, text, nullptr);
  if (!reading || !reading->x.allFinite() || reading->x.size() != kAnswerColumns) std::abort();
  const auto parsed = AnswerJudge::parse(json, text.substr(std::min(text.size(), json.size() + 1)));
  if (!parsed) {
    if (parsed.error().message.empty()) std::abort();
    return 0;
  }
  AnswerRow row;
  row.form = parsed->form();
  row.prompt = "Name a colour.";
  row.response = text;
  row.other = "Blue.";
  const auto said = parsed->judge(row, {});
  if (!said || !(said->probability >= 0 && said->probability <= 1) || !std::isfinite(said->score)) std::abort();
  if (row.form == JudgeForm::kScore) return 0;
  std::swap(row.response, row.other);
  if (parsed->judge(row, {})->raw != -said->raw) std::abort();
  return 0;
}
