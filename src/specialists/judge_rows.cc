#include "specialists/judge_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "specialists/internal/row_fields.h"
#include "specialists/internal/rung.h"

namespace understudy::specialists {
namespace {

using internal::refuse;

Result<std::vector<std::string>> read_gold(const simdjson::dom::element& object, const std::string& evidence) {
  std::vector<std::string> out;
  simdjson::dom::element value;
  if (object["gold_sentences"].get(value) || value.is_null()) return out;
  simdjson::dom::array list;
  if (value.get(list)) return refuse("\"gold_sentences\" must be a list of sentences, copied from \"evidence\" as they stand there");
  for (const simdjson::dom::element one : list) {
    std::string_view sentence;
    if (one.get(sentence) || sentence.find_first_not_of(" \t\r\n") == std::string_view::npos)
      return refuse(fmt::format("\"gold_sentences\", number {}: it is no text, or an empty one: copy a sentence from \"evidence\", or leave it out", out.size() + 1));
    if (out.size() == kMostGoldSentences) return refuse(fmt::format("\"gold_sentences\" has over {}: name those that the claim was judged by", kMostGoldSentences));
    if (evidence.find(sentence) == std::string::npos)
      return refuse(fmt::format("\"gold_sentences\", number {}: it is not in \"evidence\": copy it as it stands there, or leave it out", out.size() + 1));
    out.emplace_back(sentence);
  }
  return out;
}

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
  auto gold = read_gold(object, row.evidence);
  if (!gold) return fail(gold.error());
  row.gold = std::move(*gold);
  std::uint64_t fold = 0;
  if (!object["left_out_of"].get(fold)) row.left_out_of = static_cast<std::size_t>(std::min<std::uint64_t>(fold, kJudgeFolds));
  return row;
}

}  // namespace

std::optional<std::string> evidence_without_gold(const JudgeRow& row, std::uint64_t seed) {
  if (row.gold.empty()) return std::nullopt;
  const auto order = internal::shuffled(row.gold.size(), seed);
  std::vector<bool> out_of_it(row.evidence.size(), false);
  for (std::size_t k = 0; k < (order.size() + 1) / 2; ++k) {
    const std::string& sentence = row.gold[order[k]];
    for (std::size_t at = row.evidence.find(sentence); at != std::string::npos; at = row.evidence.find(sentence, at + sentence.size()))
      std::fill_n(out_of_it.begin() + static_cast<std::ptrdiff_t>(at), sentence.size(), true);
  }
  std::string out;
  bool says = false;
  for (std::size_t i = 0; i < row.evidence.size(); ++i) {
    const char c = row.evidence[i];
    if (out_of_it[i]) {
      if (!out.empty() && out.back() != '\n') out += '\n';  // what stood around it stays apart
      continue;
    }
    out += c;
    says = says || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
  }
  return says ? std::optional(std::move(out)) : std::nullopt;
}

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
