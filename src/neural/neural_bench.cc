// Milliseconds of CPU time of the encoder by length, batch and precision, one thread; and of the tokenizer. `./dev bench neural_bench`.
#include <benchmark/benchmark.h>

#include <map>
#include <memory>

#include "neural/encoder.h"

namespace {

using namespace understudy::neural;

/// Opened once a precision; nullptr, with the reason in `problem`, where there is none.
const TextEncoder* encoder(Precision precision, std::string& problem) {
  static std::map<Precision, std::unique_ptr<TextEncoder>> opened;
  if (!opened.contains(precision)) {
    EncoderOptions options;
    options.precision = precision;
    auto made = open_encoder(options);
    if (!made) {
      problem = made.error().message;
      return nullptr;
    }
    opened[precision] = std::move(*made);
  }
  return opened[precision].get();
}

/// Different texts of exactly so many tokens.
std::vector<std::string> texts_of(std::size_t count, std::size_t tokens) {
  static const char* const kWords[] = {"card", "money", "where", "bank", "time", "paris", "number", "water"};
  std::vector<std::string> texts(count);
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t t = 0; t + 2 < tokens; ++t) texts[i] += std::string(t == 0 ? "" : " ") + kWords[(i * 5 + t * t + t) % 8];
  return texts;
}

void Embed(benchmark::State& state) {
  const auto precision = static_cast<Precision>(state.range(0));
  std::string problem;
  const TextEncoder* const with = encoder(precision, problem);
  if (with == nullptr) {
    state.SkipWithError(problem.c_str());
    return;
  }
  const auto texts = texts_of(static_cast<std::size_t>(state.range(1)), static_cast<std::size_t>(state.range(2)));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<float> vectors(views.size() * with->dimension());
  for (auto _ : state) {
    if (auto done = with->embed(views, vectors); !done) state.SkipWithError(done.error().message.c_str());
    benchmark::DoNotOptimize(vectors.data());
  }
  state.SetLabel(std::string(with->identity().precision) + " " + with->identity().instruction_set);
}
BENCHMARK(Embed)
    ->ArgNames({"precision", "texts", "tokens"})
    ->ArgsProduct({{0, 1, 2}, {1}, {16, 32, 64, 128, 256}})
    ->ArgsProduct({{0, 1, 2}, {16, 50}, {32}})
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);

void Tokenize(benchmark::State& state) {
  std::string problem;
  const TextEncoder* const with = encoder(Precision::kInt8, problem);
  if (with == nullptr) {
    state.SkipWithError(problem.c_str());
    return;
  }
  const std::string text = texts_of(1, static_cast<std::size_t>(state.range(0)))[0];
  for (auto _ : state) benchmark::DoNotOptimize(with->tokenizer().encode(text, 512));
}
BENCHMARK(Tokenize)->ArgName("tokens")->Arg(32)->Arg(256)->Unit(benchmark::kMicrosecond);

}  // namespace
