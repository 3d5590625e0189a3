#include "specialists/judge_rows.h"

#include <algorithm>

#include "specialists/internal/row_fields.h"

namespace understudy::specialists {
namespace {

using internal::refuse;

Result<JudgeRow> parse_object(const simdjson::dom::element& object) {
  if (!object.is_object()) return refuse("not a JSON object with \"claim\", \"evidence\" and \"label\"");
  JudgeRow row;
  auto claim = internal::read_full_text(object, "claim"), evidence = internal::read_full_text(object, "evidence"), id = internal::read_id(object, "id");
  for (auto [from, to] : {std::pair(&claim, &row.claim), {&evidence, &row.evidence}, {&id, &row.id}}) {
    if (!*from) return fail(from->error());
    *to = std::move(**from);
  }
  simdjson::dom::element label;
  if (!object["label"].get(label) && !label.is_null()) {
    double number = 0;
    if (label.get(row.supported) && (label.get(number) || (number != 0 && number != 1)))
      return refuse("\"label\" must be 1 (the evidence supports the claim) or 0 (it does not)");
    row.supported = row.supported || number == 1;
    row.labelled = true;
  } else {
    double score = 0;
    const auto given = internal::read_number(object, "teacher_score", 1, score);
    if (!given) return fail(given.error());
    row.supported = *given && score >= 0.5;
    row.labelled = *given;
  }
  const auto weight = internal::read_weight(object);
  if (!weight) return fail(weight.error());
  row.weight = *weight;
  std::uint64_t fold = 0;
  if (!object["left_out_of"].get(fold)) row.left_out_of = static_cast<std::size_t>(std::min<std::uint64_t>(fold, kJudgeFolds));
  return row;
}

}  // namespace

Result<JudgeRow> parse_judge_row(std::string_view line) { return internal::parse_line(line, parse_object); }

Result<JudgeRows> parse_judge_rows(std::string_view text, const std::string& file, const RowChoice& choice) {
  JudgeRows out;
  out.file = file;
  internal::RowIds ids;
  constexpr std::string_view kExample = R"({"claim": "It opened in 1889.", "evidence": "The tower opened in 1889.", "label": 1})";
  const auto read = internal::each_chosen_row(text, file, choice, kExample, [&](const simdjson::dom::element& object, std::size_t number) -> Result<void> {
    auto row = parse_object(object);
    if (!row) return fail(row.error());
    if (choice.labelled && !row->labelled) return refuse("neither \"label\" nor \"teacher_score\": does the evidence support the claim?");
    row->line = number;
    if (auto own = ids.take(row->id, number); !own) return own;
    out.rows.push_back(std::move(*row));
    return {};
  });
  if (!read) return fail(read.error());
  return out;
}

}  // namespace understudy::specialists
