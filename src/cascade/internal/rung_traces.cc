#include "cascade/internal/rung_traces.h"

namespace understudy::cascade::internal {

double usd(std::optional<Picousd> amount) { return amount ? static_cast<double>(amount->value) / static_cast<double>(kPicousdPerUsd) : 0; }

std::vector<RungTrace> trace_rungs(const std::vector<Rung>& ladder, const std::list<Attempt>& attempts, const CachedAnswer* in_cache,
                                   const std::map<std::size_t, SignalReading>& signals) {
  std::vector<RungTrace> traces(ladder.size());
  for (std::size_t i = 0; i < ladder.size(); ++i) {
    RungTrace& trace = traces[i];
    if (ladder[i].stage == Stage::kKnn || ladder[i].stage == Stage::kSpecialist) continue;   // Flow::traces
    if (ladder[i].stage == Stage::kCache) {
      trace.asked = true;
      if (in_cache == nullptr) continue;
      if (auto answer = chat::parse_answer(in_cache->completion)) trace.answer = std::move(*answer);
      trace.raw = 1;
      continue;
    }
    if (ladder[i].signal) {
      const auto read = signals.find(i);
      if (read == signals.end()) continue;
      trace.asked = true;
      trace.signal = read->second;
      trace.cost_usd = read->second.cost_usd;
      continue;
    }
    for (const Attempt& attempt : attempts) {
      if (attempt.rung != i) continue;
      trace.asked = true;
      trace.cost_usd = usd(attempt.cost);
      if (!attempt.ok()) break;
      if (auto answer = answer_of(attempt)) trace.answer = std::move(*answer);
      trace.features = attempt.features;
      if (attempt.features) trace.raw = attempt.raw_confidence;
      break;
    }
  }
  return traces;
}

std::optional<std::vector<calibration::RungOutcome>> judge_rungs(const std::vector<Rung>& ladder, const std::vector<RungTrace>& traces, const TaskConfig* task,
                                                                 const chat::Answer& teacher, std::size_t request_bytes, const Verdicts* verdicts) {
  std::vector<calibration::RungOutcome> outcomes(ladder.size());
  bool known = true;
  const auto settle = [&](calibration::RungOutcome& outcome, const chat::Answer& answer, double raw) {
    const Agreement agreement = compare_answers(task, answer, teacher, verdicts);
    known = known && agreement.agrees.has_value();
    outcome.usable = true;
    outcome.raw = raw;
    outcome.bad = !agreement.agrees.value_or(false);
    outcome.verdict = agreement.distilled;
  };
  for (std::size_t i = 0; i < ladder.size(); ++i) {
    const RungTrace& trace = traces[i];
    calibration::RungOutcome& outcome = outcomes[i];
    outcome.cost_usd = trace.cost_usd;
    if (ladder[i].learns()) continue;   // the keeper's to judge, by whatever fit it wants
    if (ladder[i].bound) {
      outcome.features.assign(trace.bound.begin(), trace.bound.end());
      if (trace.answer && trace.raw) settle(outcome, *trace.answer, *trace.raw);
      continue;
    }
    if (ladder[i].signal) outcome.of = ladder[i].of;
    if (ladder[i].stage == Stage::kCache) {
      if (trace.answer) settle(outcome, *trace.answer, 1);
      continue;
    }
    const RungTrace& answered = traces[ladder[i].of];
    const StudentFeatures features = student_features(answered.features, request_bytes);
    if (!ladder[i].early) outcome.features.assign(features.begin(), features.end());
    if (ladder[i].signal) outcome.features.push_back(trace.signal.usable ? static_cast<float>(trace.signal.value) : 0);
    const std::optional<double> raw = ladder[i].signal ? (trace.signal.usable ? std::optional(trace.signal.value) : std::nullopt) : trace.raw;
    if (answered.answer && raw) settle(outcome, *answered.answer, *raw);
  }
  if (!known) return std::nullopt;
  return outcomes;
}

}  // namespace understudy::cascade::internal
