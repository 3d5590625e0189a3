#include "cascade/internal/judge_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/log.h"
#include "cascade/internal/on_pool.h"
#include "cascade/internal/signal_question.h"
#include "cascade/internal/signals.h"
#include "specialists/cached_engines.h"
#include "specialists/judge_specialist.h"

namespace understudy::cascade::internal {
namespace {

/// Whether either text bears out the other: the lower of the two.
std::optional<double> distilled_verdict(specialists::ScorePool& pool, const specialists::NamedSpecialist& named, const std::string& a, const std::string& b) {
  if (!named.unfit.empty()) return std::nullopt;   // told of when it was loaded
  const specialists::CachedEngines engines(named, pool, {});
  const auto forth = named.judge->judge(a, b, engines.all());
  const auto back = forth ? named.judge->judge(b, a, engines.all()) : forth;
  if (back) return static_cast<double>(std::min(forth->probability, back->probability));
  log::warn("distilled judge '{}': {}", named.name, back.error().message);
  return std::nullopt;
}

net::Awaitable<std::optional<double>> ask_distilled(const CallSubject& subject, const specialists::SpecialistPtr& distilled, const chat::Answer& answer,
                                                    const chat::Answer& teacher) {
  std::optional<double> none;
  if (distilled == nullptr || subject.deps.scores == nullptr) co_return none;
  specialists::ScorePool* const pool = subject.deps.scores;
  std::move_only_function<std::optional<double>()> work = [pool, distilled, a = std::string(chat::answer_text(answer)), b = std::string(chat::answer_text(teacher))] {
    return distilled_verdict(*pool, *distilled, a, b);
  };
  co_return co_await on_pool<double>(*pool, subject.deps.reactor, std::move(work));
}

net::Awaitable<std::optional<double>> ask_judge(const CallSubject& subject, const chat::Answer& first, const chat::Answer& second, Attempt& attempt) {
  const std::string& model = subject.runtime.policy->models[attempt.model].config.upstream_model;
  const std::string body = comparison_body(subject.request, subject.body, first, second, model, question_logprobs(subject, attempt));
  const auto reply = co_await put_question(subject, body, attempt);
  std::optional<double> said;
  if (!reply) co_return said;
  said = read_yes(*reply);
  if (!said) {
    // A no, so that nothing which the judge cannot read is ever called agreement; but a judge that never says yes must be found out.
    said = 0;
    const auto before = subject.deps.counters.judge_unreadable.fetch_add(1, std::memory_order_relaxed);
    if (before % 100 == 0) {
      log::warn("the judge '{}' said neither yes nor no (finish_reason {}): taken for a no, {} in all; a model that thinks before it answers cannot judge",
                subject.runtime.policy->models[attempt.model].config.name, attempt.finish_reason(), before + 1);
    }
  }
  attempt.confidence = said;
  co_return said;
}

}  // namespace

std::string shown_judge(const specialists::NamedSpecialist& distilled) { return fmt::format("{}@{}", distilled.name, distilled.id()); }

bool compares_by_judge(const TaskConfig* task) { return task != nullptr && task->compare && task->compare->comparator == calibration::Comparator::kJudge; }

net::Awaitable<std::optional<Verdict>> judge_pair(const CallSubject& subject, const AnswerJudges& judges, const chat::Answer& answer, const chat::Answer& teacher,
                                                  std::function<Attempt&()> next) {
  std::optional<Verdict> verdict(std::in_place);
  verdict->distilled = co_await ask_distilled(subject, judges.distilled, answer, teacher);
  if (judges.alone && verdict->distilled) {
    const specialists::Band& band = judges.distilled->judge->band(specialists::kUsualBand);
    if (specialists::verdict(band, *verdict->distilled) != specialists::Verdict::kAsk) co_return verdict;
  }
  const auto ask = [&](const chat::Answer& first, const chat::Answer& second) {
    Attempt& attempt = next();
    attempt.model = judges.model;
    return ask_judge(subject, first, second, attempt);
  };
  verdict->judge = co_await ask(answer, teacher);
  if (verdict->judge && *verdict->judge >= judges.level) {
    const auto back = co_await ask(teacher, answer);
    verdict->judge = back ? std::optional(std::min(*verdict->judge, *back)) : std::nullopt;
  }
  if (!verdict->judge) verdict.reset();
  co_return verdict;
}

std::optional<Picousd> foreseen_verdict_cost(const Policy& policy, std::size_t model, const Usage& answer, WallTime at) {
  Usage asked = answer;
  asked.input += 2 * answer.output + kQuestionTokens;
  asked.cached_input = asked.reasoning = 0;
  asked.output = 1;
  const auto one = policy.models[model].cost(*policy.prices, asked, at);
  return one ? std::optional(Picousd{2 * one->value}) : std::nullopt;
}

}  // namespace understudy::cascade::internal
