#include "cascade/internal/ask_bound.h"

#include <string_view>
#include <vector>

#include "base/log.h"
#include "cascade/internal/on_pool.h"
#include "specialists/cached_engines.h"
#include "specialists/judge_specialist.h"
#include "specialists/rerank_specialist.h"

namespace understudy::cascade::internal {

std::optional<BoundReading> answer_bound(specialists::ScorePool& pool, const BoundQuestion& question) {
  const specialists::NamedSpecialist& named = *question.bound->specialist;
  const templates::Slots& slots = question.slots;
  if (!named.unfit.empty()) return std::nullopt;   // told of when it was loaded
  const specialists::CachedEngines engines(named, pool, {});
  if (named.judge) {
    const auto judged = named.judge->judge(slots.claim, slots.evidence, engines.all());
    if (judged) return read_verdict(*question.bound, slots, static_cast<double>(judged->probability), question.yes_from);
    log::warn("specialist '{}': {}", named.name, judged.error().message);
    return std::nullopt;
  }
  const std::vector<std::string_view> documents(slots.documents.begin(), slots.documents.end());
  const auto scores = named.rerank->score(slots.query, documents, engines.all());
  if (!scores) {
    log::warn("specialist '{}': {}", named.name, scores.error().message);
    return std::nullopt;
  }
  std::vector<double> probability;
  for (const specialists::RerankScore& score : *scores) probability.push_back(static_cast<double>(score.score));
  if (question.bound->texts->lists()) return read_documents(*question.bound, slots, probability);
  return read_verdict(*question.bound, slots, probability.front(), question.yes_from);
}

net::Awaitable<std::optional<BoundReading>> ask_bound(specialists::ScorePool& pool, BoundQuestion question, net::Reactor& reactor) {
  specialists::ScorePool* const there = &pool;
  std::move_only_function<std::optional<BoundReading>()> work = [there, question = std::move(question)] { return answer_bound(*there, question); };
  return on_pool<BoundReading>(pool, reactor, std::move(work));
}

}  // namespace understudy::cascade::internal
