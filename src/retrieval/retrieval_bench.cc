#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "retrieval/sparse_index.h"

/// Look-ups among short texts. Two sets: made-up messages over 20,000 words of Zipf's frequencies in 500 topics; and real ones,
/// UNDERSTUDY_TEXTS (a file of one text a line), repeated with two to four words of each copy replaced by words of other lines and
/// one dropped until there are enough. Queries are further texts made alike, none of which is in the index.

namespace understudy::retrieval {
namespace {

class Zipf {
 public:
  Zipf(std::size_t n, double exponent) : below_(n) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) below_[i] = sum += std::pow(static_cast<double>(i + 1), -exponent);
    for (double& b : below_) b /= sum;
  }
  std::size_t draw(Random& random) const {
    return std::min(below_.size() - 1, static_cast<std::size_t>(std::lower_bound(below_.begin(), below_.end(), random.uniform()) - below_.begin()));
  }

 private:
  std::vector<double> below_;
};

std::vector<std::string> made_up(std::size_t n) {
  SeededRandom random(1);
  constexpr std::size_t kWords = 20'000, kTopics = 500;
  std::vector<std::string> words(kWords);
  for (std::size_t i = 0; i < kWords; ++i) {
    const auto length = std::min<std::size_t>(3 + i / 2'500, 8) + random.below(4);
    for (std::size_t j = 0; j < length; ++j) words[i] += static_cast<char>('a' + random.below(26));
  }
  const Zipf zipf(kWords, 1.0);
  std::vector<std::string> texts;
  while (texts.size() < n) {
    const auto topic = random.below(kTopics);
    std::string text;
    while (text.size() < 55) text += words[random.coin(0.35) ? 200 + (topic * 37 + random.below(20)) % (kWords - 200) : zipf.draw(random)] + ' ';
    texts.push_back(std::move(text));
  }
  return texts;
}

std::vector<std::string> real_ones(std::size_t n) {
  std::vector<std::vector<std::string>> lines;
  const char* const path = std::getenv("UNDERSTUDY_TEXTS");
  std::ifstream file(path != nullptr ? path : "");
  for (std::string line; std::getline(file, line);) {
    std::vector<std::string> words(1);
    for (const char c : line) c == ' ' ? (void)words.emplace_back() : words.back().push_back(c);
    lines.push_back(std::move(words));
  }
  std::vector<std::string> texts;
  if (lines.empty()) return texts;
  SeededRandom random(2);
  while (texts.size() < n) {
    auto words = lines[random.below(lines.size())];
    for (auto changes = 2 + random.below(3); changes > 0; --changes) {
      const auto& other = lines[random.below(lines.size())];
      words[random.below(words.size())] = other[random.below(other.size())];
    }
    if (words.size() > 3) words.erase(words.begin() + static_cast<std::ptrdiff_t>(random.below(words.size())));
    std::string text;
    for (const std::string& w : words) text += (text.empty() ? "" : " ") + w;
    texts.push_back(std::move(text));
  }
  return texts;
}

constexpr std::size_t kTexts = 100'000, kQueries = 2'000, kChecked = 300, kNeighbours = 20;

struct Set {
  SparseIndex index;
  std::vector<std::string> queries;
  std::vector<Terms> terms;
  double recall = 0;
  double build_s = 0;
  bool empty = true;
};

const Set& set(bool real) {
  static std::unique_ptr<Set> sets[2];
  auto& made = sets[real];
  if (made) return *made;
  made = std::make_unique<Set>();
  const auto texts = real ? real_ones(kTexts + kQueries) : made_up(kTexts + kQueries);
  if (texts.empty()) return *made;
  made->empty = false;
  std::vector<std::pair<std::uint64_t, std::string_view>> in;
  for (std::size_t i = 0; i < kTexts; ++i) in.emplace_back(i, texts[i]);
  const auto begin = std::chrono::steady_clock::now();
  made->index.add_all(in);
  made->build_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  TermExtractor extractor;
  for (std::size_t i = kTexts; i < texts.size(); ++i) {
    made->queries.push_back(texts[i]);
    extractor.extract(texts[i], made->terms.emplace_back());
  }
  std::vector<TextIndex::Hit> found, all;
  std::size_t hits = 0, wanted = 0;
  for (std::size_t i = 0; i < kChecked; ++i) {
    made->index.nearest(made->terms[i], kNeighbours, found);
    made->index.scan(made->terms[i], kNeighbours, all);
    wanted += all.size();
    // A text as near as the last of the true ones is as good: copies of a line tie.
    for (const auto& hit : found) hits += hit.similarity >= all.back().similarity;
  }
  made->recall = static_cast<double>(hits) / static_cast<double>(wanted);
  return *made;
}

/// Arguments: real texts; terms cut from the text inside the timed part.
void BM_Nearest(benchmark::State& state) {
  const Set& s = set(state.range(0) != 0);
  if (s.empty) {
    state.SkipWithError("set UNDERSTUDY_TEXTS to a file of one text a line");
    return;
  }
  std::vector<TextIndex::Hit> out;
  std::vector<double> us;
  std::size_t i = 0;
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    if (state.range(1) != 0) {
      s.index.nearest(s.queries[i], kNeighbours, out);
    } else {
      s.index.nearest(s.terms[i], kNeighbours, out);
    }
    us.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count());
    benchmark::DoNotOptimize(out.data());
    i = (i + 1) % s.queries.size();
  }
  std::sort(us.begin(), us.end());
  state.counters["p50_us"] = us[us.size() / 2];
  state.counters["p99_us"] = us[us.size() * 99 / 100];
  state.counters["recall"] = s.recall;
  state.counters["build_s"] = s.build_s;
}
BENCHMARK(BM_Nearest)->ArgNames({"real", "with_terms"})->Args({0, 0})->Args({0, 1})->Args({1, 0})->Args({1, 1})->Unit(benchmark::kMicrosecond);

/// One text more among 100,000, and one less. The rebuild at half as many again is not in it.
void BM_AddRemove(benchmark::State& state) {
  auto& s = const_cast<Set&>(set(false));
  std::uint64_t id = 10'000'000;
  for (auto _ : state) {
    s.index.add(id, s.queries[id % s.queries.size()]);
    s.index.remove(id++);
  }
}
BENCHMARK(BM_AddRemove)->Iterations(20'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace understudy::retrieval
