#include "cascade/ladder.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "cascade/bound_specialist.h"
#include "cascade/internal/learned.h"
#include "store/rung_name.h"

namespace understudy::cascade {

std::string_view signal_name(SignalKind kind) {
  switch (kind) {
    case SignalKind::kSelfCheck: return "self_check";
    case SignalKind::kSamples: return "samples";
    case SignalKind::kVerbal: return "verbal";
    case SignalKind::kPeer: return "peer";
  }
  return "self_check";
}

std::vector<Rung> make_ladder(const Policy& policy, const CascadeConfig& cascade, const TaskConfig* task) {
  std::vector<Rung> ladder;
  const auto add = [&](Rung rung) {
    if (!rung.signal) rung.of = ladder.size();
    rung.early = cascade.early_reject && rung.stage == Stage::kStudent;
    ladder.push_back(std::move(rung));
  };
  if (cascade.cache) add({"cache", Stage::kCache, 0, {}, 0});
  const auto bound = task != nullptr ? task->bound : nullptr;
  if (bound) {
    Rung rung{fmt::format("specialist:{}", bound->specialist->name), Stage::kSpecialist, 0, {}, 0, {}, bound};
    rung.band = Policy::band(cascade, task);
    add(std::move(rung));
  }
  if (cascade.knn) add({"knn", Stage::kKnn, 0, {}, 0});
  if (cascade.specialist && !bound) add({"specialist", Stage::kSpecialist, 0, {}, 0});
  if (!cascade.student) return ladder;
  const std::size_t first = ladder.size();
  add({"student", Stage::kStudent, *cascade.student, {}, 0});
  for (const SignalSpec& signal : cascade.signals) {
    std::string name = fmt::format("{}{}", store::kSignalRungPrefix, signal_name(signal.kind));
    if (signal.kind == SignalKind::kSamples) name += fmt::format("{}", signal.samples);
    if (signal.kind == SignalKind::kPeer) name += fmt::format(":{}", policy.models[signal.peer].config.name);
    add({std::move(name), Stage::kStudent, *cascade.student, signal, first});
  }
  const FewShotConfig shots = few_shots_of(cascade, task);
  if (shots.k != 0) {
    Rung rung{std::string(store::kExamplesRung), Stage::kStudent, *cascade.student, {}, 0, lessons::FewShotPolicy{}};
    rung.trial = shots.k == FewShotConfig::kAuto;
    rung.examples->k = rung.trial ? 0 : shots.k;
    rung.examples->stable = shots.stable;
    rung.examples->tokens = shots.tokens;
    rung.examples->encoder = policy.encoder;
    add(std::move(rung));
  }
  for (const std::size_t model : cascade.more_students) add({policy.models[model].config.name, Stage::kStudent, model, {}, 0});
  return ladder;
}

std::size_t feature_count(const Rung& rung) {
  if (rung.stage == Stage::kCache || rung.early) return 0;
  if (rung.bound) return kBoundFeatures;
  if (rung.learns()) return specialists::kLearnedFeatures;
  return kStudentFeatures + (rung.signal ? 1 : 0);
}

std::vector<calibration::RungSpec> rung_specs(std::span<const Rung> ladder) {
  std::vector<calibration::RungSpec> specs;
  for (const Rung& rung : ladder) specs.push_back({rung.name, feature_count(rung), rung.learns()});
  return specs;
}

StudentFeatures student_features(const std::optional<calibration::LogprobFeatures>& features, std::size_t request_bytes) {
  StudentFeatures out;
  out.fill(std::numeric_limits<float>::quiet_NaN());
  if (features) std::copy(features->values.begin(), features->values.end(), out.begin());
  out.back() = std::log1p(static_cast<float>(request_bytes));
  return out;
}

std::string ladder_id(const Policy& policy, const CascadeConfig& cascade, const TaskConfig* task, std::span<const Rung> ladder) {
  const auto model = [&](std::size_t index) {
    const providers::ModelConfig& config = policy.models[index].config;
    return fmt::format("{} {} {}", static_cast<int>(config.api), config.url, config.upstream_model);
  };
  std::string context = fmt::format("teacher {}\ntop_logprobs {}\n", model(cascade.teacher), policy.top_logprobs);
  for (const Rung& rung : ladder) {
    if (rung.stage == Stage::kCache || rung.learns()) continue;
    if (rung.bound) {
      context += fmt::format("{} {} {}\n", rung.name, rung.bound->specialist->id(), rung.bound->written_as());
      if (rung.band) context += fmt::format("band {} {}\n", rung.band->no_to, rung.band->yes_from);
      continue;
    }
    context += fmt::format("{} {}\n", rung.name, model(rung.model));
    if (rung.examples) context += fmt::format("examples {}{}\n", rung.trial ? "trial " : "", lessons::policy_text(*rung.examples));
    if (rung.signal && rung.signal->kind == SignalKind::kPeer) context += model(rung.signal->peer);
  }
  const bool forgives = task != nullptr && task->forgive_harmless ? *task->forgive_harmless : cascade.forgive_harmless;
  if (forgives) context += "bad worse\n";
  if (task != nullptr && task->compare) {
    const calibration::ComparatorSpec& c = *task->compare;
    context += fmt::format("compare {} {} {} {} {} {}\n", calibration::comparator_name(c.comparator), c.tolerance, c.relative_tolerance, c.top_k, c.level, c.side_of.value_or(-1));
    for (const auto& [path, tolerance] : c.fields) context += fmt::format("{} {}\n", path, tolerance);
    for (const std::string& label : c.labels) context += label + '\n';
    // Who says what agrees. A distilled judge says nothing that is tested by: another one is no other ladder.
    if (c.comparator == calibration::Comparator::kJudge) context += fmt::format("judge {}\n", model(Policy::judge_of(cascade, *task)));
  }
  return calibration::ladder_id(rung_specs(ladder), context);
}

}  // namespace understudy::cascade
