#include "calibration/features.h"

#include <benchmark/benchmark.h>

#include "base/random.h"
#include "calibration/confidence.h"

namespace understudy::calibration {
namespace {

/// Confidence of an answer of `tokens` tokens with five candidates each, from parsed numbers to a probability.
void BM_Confidence(benchmark::State& state) {
  const auto tokens = static_cast<std::size_t>(state.range(0));
  SeededRandom random(1);
  std::vector<float> alternatives(tokens * 5);
  for (std::size_t i = 0; i < alternatives.size(); ++i) {
    alternatives[i] = -static_cast<float>(random.uniform()) * 3 - static_cast<float>(i % 5) * 2;
  }
  const RawMinLogprob model;
  for (auto _ : state) {
    LogprobAccumulator acc;
    for (std::size_t t = 0; t < tokens; ++t) {
      const std::span<const float> candidates(&alternatives[t * 5], 5);
      acc.add(candidates[0], candidates);
    }
    benchmark::DoNotOptimize(model.confidence(*acc.finish()));
  }
}
BENCHMARK(BM_Confidence)->Arg(1)->Arg(200)->Arg(2000);

}  // namespace
}  // namespace understudy::calibration
