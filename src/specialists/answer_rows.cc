#include "specialists/answer_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "specialists/internal/row_fields.h"

namespace understudy::specialists {
namespace {

using internal::refuse;
using Element = simdjson::dom::element;

constexpr std::array<std::string_view, 3> kForms = {"faithfulness", "score", "preference"};
constexpr std::string_view kExample = R"({"prompt": "Name a colour.", "response": "Blue.", "teacher_score": 7})";

bool has(Element object, const char* key) {
  Element value;
  return !object[key].get(value) && !value.is_null();
}

/// nullopt: of none, or of two.
std::optional<JudgeForm> form_of(Element object) {
  if (!object.is_object()) return std::nullopt;
  const bool claim = has(object, "claim") || has(object, "evidence"), one = has(object, "response"), two = has(object, "a") || has(object, "b");
  if (claim + one + two != 1 || (claim == has(object, "prompt"))) return std::nullopt;
  return claim ? JudgeForm::kFaithfulness : one ? JudgeForm::kScore : JudgeForm::kPreference;
}

Error two_forms(JudgeForm form, std::size_t line, JudgeForm first) {
  return Error(ErrorKind::kInvalidRequest, fmt::format("a row of the form \"{}\", and line {} is one of the form \"{}\": give the judge of each a file of its own", judge_form_name(form), line, judge_form_name(first)));
}

Result<void> read_outcome(Element object, AnswerRow& row) {
  const bool scored = row.form == JudgeForm::kScore;
  const char* const key = scored ? "teacher_score" : "gold";
  row.labelled = has(object, key);
  if (!row.labelled) return {};
  const bool number = !object[key].get(row.outcome);
  if (scored && !(number && std::fabs(row.outcome) < 1e6)) return refuse("\"teacher_score\" must be a number below 1000000 in size");
  if (!scored && !(number && (row.outcome == 0 || row.outcome == 1 || row.outcome == 2))) return refuse("\"gold\" must be 1 (a is better), 2 (b is better) or 0 (a tie)");
  return {};
}

Result<AnswerRow> parse_object(Element object) {
  const auto form = form_of(object);
  if (!form || *form == JudgeForm::kFaithfulness) return refuse("not a JSON object with \"prompt\" and either \"response\" (to score) or \"a\" and \"b\" (to compare)");
  AnswerRow row;
  row.form = *form;
  auto prompt = internal::read_full_text(object, "prompt"), id = internal::read_id(object, "id");
  auto response = internal::read_text(object, row.form == JudgeForm::kScore ? "response" : "a");
  Result<std::string> other = row.form == JudgeForm::kScore ? Result<std::string>(std::string()) : internal::read_text(object, "b");
  for (auto [from, to] : {std::pair(&prompt, &row.prompt), {&id, &row.id}, {&response, &row.response}, {&other, &row.other}}) {
    if (!*from) return fail(from->error());
    *to = std::move(**from);
  }
  if (auto read = read_outcome(object, row); !read) return fail(read.error());
  const auto weight = internal::read_weight(object);
  if (!weight) return fail(weight.error());
  row.weight = *weight;
  std::uint64_t fold = 0;
  if (!object["left_out_of"].get(fold)) row.left_out_of = static_cast<std::size_t>(std::min<std::uint64_t>(fold, kJudgeFolds));
  return row;
}

}  // namespace

std::string_view judge_form_name(JudgeForm form) { return kForms[static_cast<std::size_t>(form)]; }

std::optional<JudgeForm> parse_judge_form(std::string_view name) {
  const auto found = std::ranges::find(kForms, name);
  return found == kForms.end() ? std::nullopt : std::optional(static_cast<JudgeForm>(found - kForms.begin()));
}

Result<JudgeForm> judge_form_of(std::string_view text, const std::string& file, const RowChoice& choice) {
  std::optional<JudgeForm> first;
  std::size_t first_line = 0;
  const auto read = internal::each_chosen_row(text, file, choice, kExample, [&](const Element& object, std::size_t line) -> Result<void> {
    const auto form = form_of(object);
    if (!form) return refuse("no row of a judge: \"claim\" and \"evidence\" are needed, or \"prompt\" and \"response\", or \"prompt\", \"a\" and \"b\"");
    if (!first) first = form, first_line = line;
    if (form != first) return fail(two_forms(*form, first_line, *first));
    return {};
  });
  if (!read) return fail(read.error());
  return *first;
}

Result<AnswerRow> parse_answer_row(std::string_view line) { return internal::parse_line(line, parse_object); }

Result<AnswerRows> parse_answer_rows(std::string_view text, const std::string& file, const RowChoice& choice) {
  AnswerRows out;
  out.file = file;
  internal::RowIds ids;
  const auto read = internal::each_chosen_row(text, file, choice, kExample, [&](const Element& object, std::size_t number) -> Result<void> {
    auto row = parse_object(object);
    if (!row) return fail(row.error());
    if (out.rows.empty()) out.form = row->form;
    if (row->form != out.form) return fail(two_forms(row->form, out.rows.front().line, out.form));
    if (choice.labelled && !row->labelled)
      return refuse(row->form == JudgeForm::kScore ? "no \"teacher_score\": how good is the response?" : "no \"gold\": is a better (1), or b (2), or neither (0)?");
    row->line = number;
    if (auto own = ids.take(row->id, number); !own) return own;
    out.rows.push_back(std::move(*row));
    return {};
  });
  if (!read) return fail(read.error());
  return out;
}

}  // namespace understudy::specialists
