// Rerankers and judges that a task names.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>

#include "calibration/ranking_agreement.h"
#include "cascade/bound_specialist.h"

namespace understudy::cascade {
namespace {

using calibration::Comparator;

bool is_json(const std::string& text) {
  simdjson::dom::parser parser;
  return parser.parse(text).error() == simdjson::SUCCESS;
}

Unexpected wrong(std::string_view key, std::string message) { return fail(Error(ErrorKind::kConfig, std::move(message), std::string(key))); }

/// What the template must read for this kind: its slots, and no other.
Result<void> check_slots(const specialists::NamedSpecialist& specialist, const templates::SlotTemplate& extract) {
  const bool judge = specialist.judge != nullptr;
  const auto also = [&](std::string_view slot) { return extract.has(slot); };
  if (judge) {
    if (!also("claim") || !also("evidence")) return wrong("extract", "needs {claim} and {evidence}: that is what a judge reads");
    if (also("query") || also("documents") || also("document")) return wrong("extract", "has {query} or documents, which a judge does not read: put {any} where such text stands");
    return {};
  }
  if (!also("query")) return wrong("extract", "needs {query}: that is what a reranker compares documents with");
  if (!also("documents") && !also("document")) return wrong("extract", "needs {documents}, or one {document}: that is what a reranker reads");
  if (also("claim") || also("evidence")) return wrong("extract", "has {claim} or {evidence}, which a reranker does not read: put {any} where such text stands");
  return {};
}

/// An answer in the form: with an id or word that JSON would have to escape.
std::optional<std::string> sample(const BoundTexts& texts, bool json) {
  const std::vector<double> probability{0.25, 0.75, 0.5};
  if (!texts.lists()) return templates::write_verdict(texts.form, true, 0.75, json);
  const std::vector<std::string> ids = texts.extract.ids() ? std::vector<std::string>{"a", "b\"c", "d"} : std::vector<std::string>{"1", "2", "3"};
  return templates::write_documents(texts.form, {probability, ids}, json);
}

std::string_view form_of(const templates::AnswerForm& form) {
  return form.has("{ranking}") ? "{ranking}" : form.has("{scores}") ? "{scores}" : form.has("{verdict}") ? "{verdict}" : "{score}";
}

/// Comparators that can tell right from wrong of such answers.
bool fits(Comparator comparator, const templates::AnswerForm& form) {
  switch (comparator) {
    case Comparator::kTools: return false;
    case Comparator::kRanking: return form.has("{ranking}") || (form.has("{scores}") && (form.item.find("{n}") != std::string::npos || form.item.find("{index}") != std::string::npos || form.item.find("{id}") != std::string::npos));
    case Comparator::kNumber: return form.has("{score}");
    case Comparator::kScore: return !form.has("{ranking}");
    case Comparator::kChoice: return form.has("{verdict}");
    default: return true;
  }
}

}  // namespace

bool reads_by_template(const specialists::NamedSpecialist& specialist) { return specialist.rerank != nullptr || specialist.judge != nullptr; }

Result<std::shared_ptr<const BoundSpecialist>> bind_reader(specialists::SpecialistPtr specialist, templates::SlotTemplate extract, templates::AnswerForm form,
                                                           std::optional<calibration::ComparatorSpec>& compare) {
  if (auto slots = check_slots(*specialist, extract); !slots) return fail(std::move(slots.error()));
  if (auto checked = templates::check(form); !checked) return fail(std::move(checked.error()));
  const bool several = extract.has("documents");
  const bool lists = form.has("{ranking}") || form.has("{scores}");
  if (several && !lists) return wrong("render", "says one thing, but {documents} are several: write them as {ranking} or {scores}");
  if (!several && lists) return wrong("render", fmt::format("lists documents, but `extract` reads none of {{documents}}: write what is said of {} as {{verdict}} or {{score}}", specialist->judge ? "a claim" : "one {document}"));
  if (compare && !fits(compare->comparator, form)) {
    return wrong("compare", fmt::format("= \"{}\" cannot tell whether two answers written as {} agree; {} can", calibration::comparator_name(compare->comparator), form_of(form),
                                        form.has("{ranking}") ? "ranking" : form.has("{scores}") ? "score, json" : form.has("{verdict}") ? "choice, score" : "score, number"));
  }
  if (!compare) {
    if (!form.has("{ranking}") && !form.has("{verdict}")) {
      return wrong("compare", fmt::format("is missing: say when two answers written as {} agree, within a tolerance (compare = \"score:0.1\") or on the same side (compare = \"score:side=0.5\")", form_of(form)));
    }
    compare.emplace();
    compare->comparator = form.has("{ranking}") ? Comparator::kRanking : Comparator::kChoice;
    if (form.has("{verdict}")) compare->labels = {form.verdicts[1], form.verdicts[0]};
  }
  auto bound = std::make_shared<BoundSpecialist>();
  bound->specialist = std::move(specialist);
  bound->render = form.render;
  bound->texts.emplace(BoundTexts{std::move(extract), std::move(form), *compare});
  const auto as_json = sample(*bound->texts, true);
  bound->json = bound->escapes = as_json && is_json(*as_json);
  const std::string& render = bound->render;
  const std::size_t first = render.find_first_not_of(" \t\r\n");
  if (!bound->json && render[first] == '{' && render.compare(first, form_of(bound->texts->form).size(), form_of(bound->texts->form)) != 0) {
    return wrong("render", fmt::format("begins as JSON does, but with its places filled in it is none: {}", as_json.value_or(render)));
  }
  return std::shared_ptr<const BoundSpecialist>(std::move(bound));
}

std::optional<BoundReading> read_documents(const BoundSpecialist& bound, const templates::Slots& slots, std::span<const double> probability) {
  const BoundTexts& texts = *bound.texts;
  auto answer = templates::write_documents(texts.form, {probability, slots.ids}, bound.escapes);
  if (!answer) return std::nullopt;
  BoundReading reading;
  reading.answer = std::move(*answer);
  if (texts.form.has("{ranking}") || texts.compare.comparator == Comparator::kRanking) {
    const calibration::RankingAgreement agreement = calibration::ranking_agreement(probability, texts.form.top, texts.compare);
    reading.raw = agreement.chance;
    reading.features = {static_cast<float>(agreement.margin), static_cast<float>(agreement.overlap)};
    return reading;
  }
  // Scores agree where each of them does: as sure as the least sure one.
  double least = 1, sum = 0;
  for (const double p : probability) {
    least = std::min(least, std::abs(2 * p - 1));
    sum += std::abs(2 * p - 1);
  }
  reading.raw = (1 + least) / 2;
  reading.features = {static_cast<float>(sum / static_cast<double>(probability.size())), static_cast<float>(std::log1p(static_cast<double>(probability.size())))};
  return reading;
}

BoundReading read_verdict(const BoundSpecialist& bound, const templates::Slots& slots, double probability, double yes_from) {
  BoundReading reading;
  reading.yes = probability >= yes_from;
  reading.answer = templates::write_verdict(bound.texts->form, reading.yes, probability, bound.escapes);
  reading.raw = reading.yes ? probability : 1 - probability;
  const std::size_t bytes = slots.documents.empty() ? slots.evidence.size() : slots.documents.front().size();
  reading.features = {reading.yes ? 1.0f : -1.0f, static_cast<float>(std::log1p(static_cast<double>(bytes)))};
  return reading;
}

}  // namespace understudy::cascade
