#include "evaluation/internal/learning_stream.h"

#include "base/hash.h"

namespace understudy::evaluation::internal {

using calibration::LabelledRow;
using calibration::LabelSource;
using calibration::RowUse;
using specialists::LearnedKind;

namespace {

std::vector<specialists::LearnedRung> rungs_of(const std::vector<LearnedKind>& kinds) {
  std::vector<specialists::LearnedRung> rungs;
  for (const LearnedKind kind : kinds) rungs.push_back({rungs.size(), kind});
  return rungs;
}

std::vector<calibration::RungSpec> specs_of(const std::vector<LearnedKind>& kinds) {
  std::vector<calibration::RungSpec> specs;
  for (const LearnedKind kind : kinds) specs.push_back({kind == LearnedKind::kText ? "specialist" : "knn", specialists::kLearnedFeatures, true});
  return specs;
}

calibration::KeeperOptions options_of(const calibration::Promise& promise, std::uint64_t seed) {
  calibration::KeeperOptions options;
  options.promise = promise;
  options.seed = seed;
  return options;
}

}  // namespace

LearningStream::LearningStream(const calibration::Promise& promise, std::uint64_t seed, const std::vector<LearnedKind>& kinds)
    : random_(seed), rungs_(rungs_of(kinds)), learner_(std::make_shared<specialists::TextLearner>(rungs_, nullptr, nullptr)),
      keeper_(options_of(promise, seed), specs_of(kinds), "stream", {}, {}, learner_) {
  keeper_.open(now_us_, log_);
}

LearningStream::Decision LearningStream::decide(const std::string& text, const retrieval::PackedVector* vector) {
  now_us_ += 1'000'000;
  specialists::RowInput input;
  extractor_.extract(text, input.terms);
  retrieval::sort_terms(input.terms);
  if (vector != nullptr) {
    input.encoder = 1;
    input.vector = *vector;
  }
  row_ = {};
  row_.at_us = now_us_;
  row_.input = hash64(text);
  row_.prompt_bytes = static_cast<std::uint32_t>(text.size());
  row_.rungs.resize(rungs_.size());
  row_.teacher_cost_usd = 1;
  row_.terms = specialists::pack_input(input);
  const double probability = keeper_.coin();
  coin_ = random_.coin(probability);
  row_.propensity = coin_ ? probability : 1;
  row_.use = coin_ && random_.coin(keeper_.test_share()) ? RowUse::kTest : RowUse::kFit;
  row_.source = coin_ ? LabelSource::kCoin : LabelSource::kEscalation;

  Decision decision;
  decision.coin = coin_;
  const auto policy = keeper_.policy();
  const auto fit = std::static_pointer_cast<const specialists::TextFit>(keeper_.fit());
  row_.version = policy ? policy->version : std::string();
  if (policy && fit) {
    const auto says = fit->say(input, scratch_);
    for (const specialists::LearnedRung& rung : rungs_) {
      const auto& threshold = policy->rungs[rung.index].threshold;
      const auto& said = says.of(rung.kind);
      if (!threshold || !said.usable) continue;
      decision.confidence = policy->rungs[rung.index].model.probability(static_cast<double>(said.raw), said.features);
      decision.threshold = threshold;
      if (decision.confidence < *threshold) continue;
      decision.answer = fit->answer(said.label);
      decision.rung = rung.index;
      break;
    }
  }
  served_ = decision.answer.has_value();
  return decision;
}

void LearningStream::label(const std::string& answer) {
  if (!coin_ && served_) return;
  row_.answer = answer;
  keeper_.add(row_, now_us_, log_);
  if (auto job = keeper_.fit_job()) {
    ++fits_;
    keeper_.adopt(*job, learner_->fit(job->rows, job->seed));
  }
  if (keeper_.wants_advance(now_us_)) keeper_.advance(now_us_, log_);
}

}  // namespace understudy::evaluation::internal
