#include "specialists/internal/rerank_ladder.h"

#include <algorithm>
#include <array>
#include <utility>

#include "specialists/internal/rerank_fit.h"

namespace understudy::specialists::internal {
namespace {

constexpr double kVectorCost = 1, kCrossCost = 1.3;  // one text through a transformer, and two of which one is short
constexpr double kMargins[] = {1, 2, 3, 5, RerankGate::kAnyMargin};
constexpr std::size_t kMost[] = {4, 6, 8, 12, 16, 24, 32, RerankGate::kEvery};

std::vector<Gate> gates(bool there) {
  std::vector<Gate> out{std::nullopt};
  if (!there) return out;
  for (const std::size_t most : kMost)
    for (const double margin : kMargins) out.push_back(RerankGate{margin, most});
  return out;
}

/// The cross-encoder's score alone, or weighed with the rung before: the mix with the least log loss need not order best.
struct CrossChoice {
  bool with_rung = true;
  RerankStepFit step;
  double ndcg10 = 0;
};
Result<CrossChoice> choose_cross(const HeldRows& held, const std::vector<double>& before, const Sample& sample) {
  CrossChoice best;
  for (const bool with_rung : {true, false}) {
    const auto step = fit_step(held, with_rung ? &before : nullptr, &held.cross(), sample.rows);
    if (!step) return fail(step.error());
    std::vector<double> mixed(held.size());
    for (std::size_t i = 0; i < held.size(); ++i) mixed[i] = raw_of(*step, before[i], held.cross()[i]);
    const double ndcg10 = step->cross > 0 ? mean_ndcg10(mixed, held.gain(), sample.queries) : 0;
    if (ndcg10 > best.ndcg10) best = {with_rung, *step, ndcg10};
  }
  return best;
}

struct Candidate {
  double cost, ndcg10;
  Gate to_vectors, to_cross;
  bool with_rung;
};

}  // namespace

RerankPath path_on(const HeldRows& held, const RerankLadder& ladder) {
  RerankPath path = held.climb(ladder.to_vectors);
  held.climb_on(ladder.to_cross, path);
  return path;
}

Result<RerankLadder> choose_ladder(const HeldRows& held, const Sample& sample, double tolerance) {
  RerankLadder out;
  std::array<RerankStepFit, kRerankRungs> steps{};
  const auto words = fit_step(held, &held.words(), nullptr, sample.rows);
  if (!words) return fail(words.error());
  steps[0] = *words;
  double best = out.words_ndcg10 = mean_ndcg10(held.words(), held.gain(), sample.queries);
  if (held.has_vectors()) {
    const auto vectors = fit_step(held, &held.vectors(), nullptr, sample.rows);
    if (!vectors) return fail(vectors.error());
    steps[1] = *vectors;
    best = std::max(best, out.vectors_ndcg10 = mean_ndcg10(held.vectors(), held.gain(), sample.queries));
  }
  std::array<CrossChoice, 2> cross;  // by the rung before: words, vectors
  if (held.has_cross()) {
    for (const bool after_vectors : {false, true}) {
      if (after_vectors && !held.has_vectors()) continue;
      const auto choice = choose_cross(held, after_vectors ? held.vectors() : held.words(), sample);
      if (!choice) return fail(choice.error());
      cross[after_vectors] = *choice;
      best = std::max(best, choice->ndcg10);
      out.cross_ndcg10 = std::max(out.cross_ndcg10, choice->ndcg10);
    }
  }
  std::vector<std::uint8_t> counts(held.size());
  for (const std::uint32_t i : sample.rows) counts[i] = 1;
  const auto cost_of = [&](const RerankPath& path) {
    double vectors = 0, crossed = 0;
    for (std::size_t i = 0; i < held.size(); ++i) {
      if (!counts[i]) continue;
      vectors += path.at_vectors[i];
      crossed += path.step[i] == RerankStep::kCrossEncoder;
    }
    return kVectorCost * vectors + kCrossCost * crossed;
  };
  std::vector<Candidate> good;
  for (const Gate& to_vectors : gates(held.has_vectors())) {
    const RerankPath so_far = held.climb(to_vectors);
    const CrossChoice& mix = cross[to_vectors.has_value()];
    steps[2] = mix.step;
    for (const Gate& to_cross : gates(mix.ndcg10 > 0)) {
      RerankPath path = so_far;
      held.climb_on(to_cross, path);
      const double ndcg10 = mean_ndcg10(raws(held, path, steps), held.gain(), sample.queries);
      if (ndcg10 >= best - tolerance) good.push_back({cost_of(path), ndcg10, to_vectors, to_cross, mix.with_rung});
    }
  }
  std::ranges::stable_sort(good, {}, [](const Candidate& one) { return std::pair(one.cost, -one.ndcg10); });
  // What was read above is calibrated by all rows; each rung will be by the rows that end there, and then documents of different rungs can change places.
  // The rung that orders best, asked about every document, stays as it was, so one is found.
  for (const Candidate& one : good) {
    out.with_rung = one.with_rung;
    out.to_vectors = one.to_vectors;
    out.to_cross = one.to_cross;
    const auto own = fit_ladder(held, path_on(held, out), out.with_rung, sample.rows);
    if (!own) return fail(own.error());
    if (mean_ndcg10(own->raw, held.gain(), sample.queries) >= best - tolerance) break;
  }
  return out;
}

}  // namespace understudy::specialists::internal
