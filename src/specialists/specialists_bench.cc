#include <benchmark/benchmark.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "specialists/online_learner.h"

namespace understudy::specialists {
namespace {

/// Messages of about 60 characters over 2,000 words of uneven frequency; each of 77 kinds has words of its own.
std::vector<std::pair<std::string, std::string>> messages(std::size_t n) {
  SeededRandom random(1);
  std::vector<std::string> words(2000);
  for (std::string& w : words) {
    for (std::uint64_t length = 3 + random.below(5); length > 0; --length) w += static_cast<char>('a' + random.below(26));
  }
  std::vector<std::pair<std::string, std::string>> out;
  for (std::size_t i = 0; i < n; ++i) {
    const auto kind = random.below(77);
    std::string text;
    while (text.size() < 55) {
      const double skew = std::pow(random.uniform(), 3);
      const auto at = random.coin(0.3) ? (kind * 23 + random.below(12)) % 2000 : static_cast<std::uint64_t>(skew * 2000);
      text += words[at] + " ";
    }
    out.emplace_back(text, "kind" + std::to_string(kind));
  }
  return out;
}

void teach(OnlineTextLearner& learner, std::size_t n) {
  TermExtractor extractor;
  Terms terms;
  for (const auto& [text, label] : messages(n)) {
    extractor.extract(text, terms);
    learner.see(terms);
    learner.learn(terms, label);
  }
}

void BM_Terms(benchmark::State& state) {
  const auto texts = messages(1000);
  TermExtractor extractor;
  Terms terms;
  std::size_t i = 0;
  for (auto _ : state) {
    extractor.extract(texts[i++ % texts.size()].first, terms);
    benchmark::DoNotOptimize(terms.data());
  }
}
BENCHMARK(BM_Terms);

/// From text to ranked labels; first argument: training rows, second: with the neighbours' vote.
void BM_Guess(benchmark::State& state) {
  OnlineOptions options;
  options.fit.neighbours = state.range(1) != 0;
  options.fit.epochs = 2;  // the time of a guess does not depend on it
  OnlineTextLearner learner(options);
  teach(learner, static_cast<std::size_t>(state.range(0)));
  const auto model = learner.fit();
  const auto texts = messages(1000);
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(model->guess(texts[i++ % texts.size()].first));
}
BENCHMARK(BM_Guess)->Args({4000, 0})->Args({4000, 1})->Args({100000, 0})->Args({100000, 1})->Unit(benchmark::kMicrosecond);

/// Trial fit, calibration and fit of 77 labels.
void BM_Fit(benchmark::State& state) {
  OnlineOptions options;
  options.fit.neighbours = state.range(1) != 0;
  OnlineTextLearner learner(options);
  teach(learner, static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(learner.fit());
}
BENCHMARK(BM_Fit)->Args({1000, 0})->Args({4000, 0})->Args({4000, 1})->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace understudy::specialists
