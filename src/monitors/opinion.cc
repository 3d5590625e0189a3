#include "monitors/opinion.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "specialists/cached_engines.h"
#include "specialists/intent_specialist.h"
#include "specialists/judge_specialist.h"
#include "specialists/rerank_specialist.h"

namespace understudy::monitors {
namespace {

using labelling::Task;

Opinion of_yes(double p) {
  Opinion out;
  out.yes = p;
  out.sure = std::max(p, 1 - p);
  return out;
}

constexpr std::string_view kSeveral = "several labels may hold of a text: a teacher is asked for one";

}  // namespace

Result<std::vector<Opinion>> opinions(const specialists::IntentSpecialist& specialist, const neural::TextEncoder* encoder, std::span<const labelling::Row> rows) {
  if (specialist.several()) return fail(ErrorKind::kUnsupported, std::string(kSeveral));
  std::vector<std::string_view> texts;
  for (const auto& row : rows) texts.push_back(row.texts[0]);
  const auto said = specialist.predict_all(texts, encoder);
  if (!said) return fail(said.error());
  std::vector<Opinion> out;
  for (const auto& prediction : *said) {
    Opinion one;
    one.label = prediction.label;
    one.sure = static_cast<double>(prediction.probability);
    out.push_back(std::move(one));
  }
  return out;
}

Result<std::vector<Opinion>> opinions(const specialists::JudgeSpecialist& specialist, const specialists::PairEngines& engines, std::span<const labelling::Row> rows) {
  std::vector<Opinion> out;
  for (const auto& row : rows) {
    const auto said = specialist.judge(row.texts[0], row.texts[1], engines);
    if (!said) return fail(said.error());
    out.push_back(of_yes(static_cast<double>(said->probability)));
  }
  return out;
}

Result<std::vector<Opinion>> opinions(const specialists::RerankSpecialist& specialist, const specialists::PairEngines& engines, std::span<const labelling::Row> rows) {
  std::unordered_map<std::string_view, std::vector<std::size_t>> queries;
  for (std::size_t i = 0; i < rows.size(); ++i) queries[rows[i].texts[0]].push_back(i);
  std::vector<Opinion> out(rows.size());
  for (const auto& [query, places] : queries) {
    std::vector<std::string_view> documents;
    for (const std::size_t i : places) documents.push_back(rows[i].texts[1]);
    const auto said = specialist.score(query, documents, engines);
    if (!said) return fail(said.error());
    for (std::size_t i = 0; i < places.size(); ++i) out[places[i]] = of_yes(static_cast<double>((*said)[i].score));
  }
  return out;
}

Result<Task> task_of(const specialists::NamedSpecialist& specialist) {
  if (specialist.intent && specialist.intent->several()) return fail(ErrorKind::kUnsupported, fmt::format("of '{}' {}", specialist.name, kSeveral));
  if (specialist.intent) return Task::kIntent;
  if (specialist.judge) return Task::kFaithfulness;
  if (specialist.rerank) return Task::kRelevance;
  return fail(ErrorKind::kUnsupported, fmt::format("'{}' is of kind {}, about which no teacher is asked", specialist.name, specialist.kind_text()));
}

Result<std::vector<Opinion>> opinions(const specialists::NamedSpecialist& specialist, const neural::TextEncoder* encoder, std::span<const labelling::Row> rows, const std::stop_token& stop) {
  if (!specialist.unfit.empty()) return fail(ErrorKind::kUnsupported, fmt::format("'{}' cannot answer here: {}", specialist.name, specialist.unfit));
  if (specialist.intent) {
    if (encoder == nullptr || !specialist.fits(encoder->identity())) return opinions(*specialist.intent, nullptr, rows);
    const specialists::CachedEncoder pieces(*encoder, nullptr, stop);
    return opinions(*specialist.intent, &pieces, rows);
  }
  const specialists::CachedEngines engines(specialist, encoder, nullptr, stop);
  if (specialist.judge) return opinions(*specialist.judge, engines.all(), rows);
  if (specialist.rerank) return opinions(*specialist.rerank, engines.all(), rows);
  return fail(task_of(specialist).error());
}

bool agrees(Task task, const Opinion& opinion, const labelling::Verdict& verdict) {
  return task == Task::kIntent ? opinion.label == verdict.label : (opinion.yes >= 0.5) == (verdict.score >= 0.5);
}

}  // namespace understudy::monitors
