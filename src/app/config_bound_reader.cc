// [tasks.X] with a reranker or a judge: where in a request its texts lie, and how its answers are written.
#include <tuple>

#include "app/config_sections.h"
#include "cascade/bound_specialist.h"

namespace understudy::app {
namespace {

/// A key that changes nothing is a mistake: it is refused, with what it is for.
Result<void> check_uses(const TableReader& table, const templates::AnswerForm& form) {
  const bool lists = form.has("{ranking}") || form.has("{scores}");
  const bool numbers = form.has("{score}") || (lists && form.item.find("{score}") != std::string::npos);
  if (table.has("verdicts") && !form.has("{verdict}")) return table.wrong("verdicts", "are the words of {verdict}, which `render` does not have");
  if (table.has("top") && !form.has("{ranking}")) return table.wrong("top", "is how many {ranking} names, which `render` does not have");
  for (const std::string_view key : {"item", "separator"}) {
    if (table.has(key) && !lists) return table.wrong(key, "is how {ranking} and {scores} are written, and `render` has neither");
  }
  for (const std::string_view key : {"digits", "score_range"}) {
    if (table.has(key) && !numbers) return table.wrong(key, "is how {score} is written, which neither `render` nor `item` has");
  }
  return {};
}

Result<templates::AnswerForm> read_form(TableReader& table, std::optional<std::string> render, const templates::SlotTemplate& extract) {
  templates::AnswerForm form;
  const bool several = extract.has("documents");
  form.render = render ? std::move(*render) : several ? "{ranking}" : "{verdict}";
  if (form.has("{scores}")) {
    form.item = "{score}";
    form.separator = ", ";
  }
  APP_TRY(item, table.string("item"));
  if (item) form.item = std::move(*item);
  APP_TRY(separator, table.string("separator"));
  if (separator) form.separator = std::move(*separator);
  APP_TRY(top, table.integer("top", 1, static_cast<std::int64_t>(templates::kMostDocuments)));
  if (top) form.top = static_cast<std::size_t>(*top);
  APP_TRY(verdicts, table.strings("verdicts"));
  if (verdicts && verdicts->size() != 2) return table.wrong("verdicts", "must be two words, for yes and for no: [\"yes\", \"no\"]");
  if (verdicts) form.verdicts = {std::move((*verdicts)[1]), std::move((*verdicts)[0])};
  APP_TRY(digits, table.integer("digits", 0, 6));
  if (digits) form.digits = static_cast<int>(*digits);
  APP_TRY(range, table.two_numbers("score_range", -1e6, 1e6));
  if (range) std::tie(form.lowest, form.highest) = *range;
  APP_CHECK(check_uses(table, form));
  return form;
}

}  // namespace

Result<std::optional<cascade::ScoreBand>> read_band(TableReader& table) {
  APP_TRY(band, table.two_numbers("escalate_between", 0, 1));
  if (!band) return std::optional<cascade::ScoreBand>();
  if (!(band->first < band->second)) return table.wrong("escalate_between", "must be [LOW, HIGH] with LOW below HIGH: up to LOW the answer is no, from HIGH on yes, between the next stage is asked");
  return std::optional(cascade::ScoreBand{band->first, band->second});
}

Result<void> refuse_reader_keys(TableReader& table, std::string_view why) {
  for (const std::string_view key : {"extract", "document", "item", "separator", "top", "verdicts", "digits", "score_range"}) {
    if (table.has(key)) return table.wrong(key, fmt::format("says how a reranker or judge is asked and answers, {}", why));
    table.allow(key);
  }
  return {};
}

Result<void> read_bound_reader(TableReader& table, specialists::SpecialistPtr specialist, std::optional<std::string> render, cascade::TaskConfig& task) {
  const bool judge = specialist->judge != nullptr;
  APP_TRY(extract, table.string("extract"));
  if (!extract) {
    return table.wrong("extract", fmt::format("is missing: '{}' is a {}, so the task must say where in the user's messages its texts stand, as in extract = {}", specialist->name, judge ? "judge" : "reranker",
                                              judge ? "\"Claim: {claim}\\nEvidence: {evidence}\"" : "\"Query: {query}\\nPassages:\\n{documents}\", document = \"[{n}] {document}\""));
  }
  APP_TRY(document, table.string("document"));
  auto slots = templates::SlotTemplate::parse(*extract, document.value_or(""));
  if (!slots) return table.wrong(slots.error().param, slots.error().message);
  APP_TRY(form, read_form(table, std::move(render), *slots));
  auto bound = cascade::bind_reader(std::move(specialist), std::move(*slots), std::move(form), task.compare);
  if (!bound) return table.wrong(bound.error().param, bound.error().message);
  task.bound = std::move(*bound);
  task.two_sided = task.bound->two_sided();
  return {};
}

}  // namespace understudy::app
