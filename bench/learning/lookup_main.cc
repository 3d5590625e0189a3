// What vectors of meaning give to the look-up of lessons: of the nearest examples of a text, how many have its label?
//
//     zstd -dcq banking77.jsonl.zst | understudy_lookup [--split train] [--queries 1000] [--seeds 5] [--vectors FOLDER] [--many 100000]
//
// Rows: {"text", "label", "split"}. For each seed some rows of the split become lessons and others, none of them a lesson, queries. The
// index is the product's (retrieval/mixed_index.h) under several weights of the vectors; the encoder is the default one.
// --many N instead: speed and recall among N texts, the rows repeated with two words replaced and noise of length .35 on the vector.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

#include "base/random.h"
#include "calibration/metrics.h"
#include "neural/embed_many.h"
#include "retrieval/mixed_index.h"
#include "specialists/intent_rows.h"

namespace {

using namespace understudy;

struct Flags {
  std::string split = "train", vectors;
  std::size_t queries = 1'000, seeds = 5, many = 0;
};

[[noreturn]] void quit(const std::string& message) {
  fmt::print(stderr, "understudy_lookup: {}\n", message);
  std::exit(2);
}

Flags parse_flags(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--split") flags.split = value;
    else if (flag == "--vectors") flags.vectors = value;
    else if (flag == "--queries") flags.queries = std::strtoull(value.c_str(), nullptr, 10);
    else if (flag == "--many") flags.many = std::strtoull(value.c_str(), nullptr, 10);
    else if (flag == "--seeds") flags.seeds = std::strtoull(value.c_str(), nullptr, 10);
    else quit("unknown flag " + flag);
  }
  if (argc % 2 == 0) quit("each flag needs a value");
  return flags;
}

constexpr std::size_t kLessons[] = {200, 1'000, 8'000};
constexpr float kWeights[] = {0, 0.25f, 0.5f, 0.75f, 0.9f, 1};
constexpr std::size_t kNearest[] = {1, 5, 10};

struct Figures {
  std::vector<double> share[std::size(kNearest)];   // by seed
  std::vector<double> us;                           // by query
};

Figures measure(const std::vector<specialists::IntentRow>& rows, const std::vector<retrieval::PackedVector>& vectors, std::size_t lessons, float weight, const Flags& flags) {
  Figures figures;
  for (std::size_t seed = 1; seed <= flags.seeds; ++seed) {
    SeededRandom random(seed);
    std::vector<std::size_t> order(rows.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = rows.size(); i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(random.below(i))]);
    retrieval::MixedIndex index(weight);
    std::vector<std::pair<std::uint64_t, std::string_view>> texts;
    for (std::size_t i = flags.queries; i < flags.queries + lessons; ++i) texts.emplace_back(order[i], rows[order[i]].text);
    index.add_all(texts);
    for (const auto& [row, text] : texts) {
      if (weight > 0) index.add_vector(row, vectors[row]);
    }
    std::vector<retrieval::MixedIndex::Hit> hits;
    double same[std::size(kNearest)] = {};
    for (std::size_t q = 0; q < flags.queries; ++q) {
      const std::size_t query = order[q];
      const auto begin = std::chrono::steady_clock::now();
      index.nearest(rows[query].text, vectors[query], 40, hits);   // as lessons/few_shots.cc asks
      figures.us.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count());
      for (std::size_t k = 0; k < std::size(kNearest); ++k) {
        double found = 0;
        for (std::size_t i = 0; i < std::min(kNearest[k], hits.size()); ++i) found += rows[hits[i].id].label == rows[query].label;
        same[k] += found / static_cast<double>(kNearest[k]) / static_cast<double>(flags.queries);
      }
    }
    for (std::size_t k = 0; k < std::size(kNearest); ++k) figures.share[k].push_back(same[k]);
  }
  return figures;
}

/// A row again, changed a little.
std::pair<std::string, retrieval::PackedVector> changed(const std::vector<specialists::IntentRow>& rows, const std::vector<retrieval::PackedVector>& vectors, Random& random) {
  const auto words_of = [](const std::string& text) {
    std::vector<std::string> words(1);
    for (const char c : text) c == ' ' ? (void)words.emplace_back() : words.back().push_back(c);
    return words;
  };
  const std::size_t row = random.below(rows.size());
  auto words = words_of(rows[row].text);
  for (int i = 0; i < 2; ++i) {
    const auto other = words_of(rows[random.below(rows.size())].text);
    words[random.below(words.size())] = other[random.below(other.size())];
  }
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  std::vector<float> v, noise;
  float squares = 0, length = 0;
  for (const std::int8_t value : vectors[row].values) {
    v.push_back(vectors[row].scale * static_cast<float>(value));
    float sum = 0;
    for (int i = 0; i < 4; ++i) sum += static_cast<float>(random.uniform() - 0.5);
    noise.push_back(sum);
    squares += sum * sum;
  }
  for (std::size_t d = 0; d < v.size(); ++d) {
    v[d] += 0.35f * noise[d] / std::sqrt(squares);
    length += v[d] * v[d];
  }
  for (float& x : v) x /= std::sqrt(length);
  return {std::move(text), retrieval::pack_vector(v)};
}

void measure_many(const std::vector<specialists::IntentRow>& rows, const std::vector<retrieval::PackedVector>& vectors, const Flags& flags) {
  SeededRandom random(1);
  retrieval::MixedIndex mixed;
  retrieval::VectorIndex index(vectors.front().values.size());
  std::vector<std::string> texts;
  std::vector<retrieval::PackedVector> own;
  for (std::size_t i = 0; i < flags.many; ++i) {
    auto [text, vector] = changed(rows, vectors, random);
    texts.push_back(std::move(text));
    own.push_back(std::move(vector));
  }
  std::vector<std::pair<std::uint64_t, std::string_view>> in;
  for (std::size_t i = 0; i < texts.size(); ++i) in.emplace_back(i, texts[i]);
  mixed.add_all(in);
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < own.size(); ++i) index.add(i, own[i]);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (std::size_t i = 0; i < own.size(); ++i) mixed.add_vector(i, own[i]);
  std::vector<retrieval::MixedIndex::Hit> hits, all;
  std::vector<double> us, mixed_us;
  std::size_t found = 0, wanted = 0;
  const auto timed = [](std::vector<double>& into, auto&& search) {
    const auto start = std::chrono::steady_clock::now();
    search();
    into.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  };
  for (std::size_t q = 0; q < flags.queries; ++q) {
    const auto query = changed(rows, vectors, random);
    timed(mixed_us, [&] { mixed.nearest(query.first, query.second, 20, hits); });
    timed(us, [&] { index.nearest(query.second, 20, hits); });
    index.scan(query.second, 20, all);
    wanted += all.size();
    for (const auto& hit : hits) found += hit.similarity >= all.back().similarity;
  }
  std::sort(us.begin(), us.end());
  std::sort(mixed_us.begin(), mixed_us.end());
  const auto part = [](const std::vector<double>& v, std::size_t percent) { return v[v.size() * percent / 100]; };
  fmt::print("{} texts, k 20: vectors {:.0f} us (p50) {:.0f} us (p99), recall {:.4f}, adding all {:.1f} s; words and vectors {:.0f} us (p50) {:.0f} us (p99)\n", flags.many, part(us, 50), part(us, 99),
             static_cast<double>(found) / static_cast<double>(wanted), seconds, part(mixed_us, 50), part(mixed_us, 99));
}

}  // namespace

int main(int argc, char** argv) {
  const Flags flags = parse_flags(argc, argv);
  const std::string all{std::istreambuf_iterator<char>(std::cin), {}};
  const auto rows = specialists::parse_intent_rows(all, "standard input", {.split = flags.split, .only = {}, .labelled = true});
  if (!rows) quit(rows.error().message);
  const auto encoder = neural::open_encoder({});
  if (!encoder) quit(encoder.error().message);
  std::vector<std::string_view> texts;
  for (const auto& row : rows->rows) texts.push_back(row.text);
  neural::EmbedManyOptions many;
  many.cache_folder = flags.vectors;
  const auto floats = neural::embed_many(**encoder, texts, many);
  if (!floats) quit(floats.error().message);
  const std::size_t dimension = (*encoder)->dimension();
  std::vector<retrieval::PackedVector> vectors;
  for (std::size_t i = 0; i < texts.size(); ++i) vectors.push_back(retrieval::pack_vector(std::span(*floats).subspan(i * dimension, dimension)));

  if (flags.many > 0) {
    measure_many(rows->rows, vectors, flags);
    return 0;
  }
  fmt::print("{} rows of {}, {} queries, seeds 1 to {}, {}\n", texts.size(), flags.split, flags.queries, flags.seeds, (*encoder)->identity().text());
  fmt::print("| lessons | weight of vectors | same label: nearest | of 5 | of 10 | p50 us | p99 us |\n| --- | --- | --- | --- | --- | --- | --- |\n");
  for (const std::size_t lessons : kLessons) {
    if (lessons + flags.queries > texts.size()) continue;
    for (const float weight : kWeights) {
      Figures f = measure(rows->rows, vectors, lessons, weight, flags);
      std::sort(f.us.begin(), f.us.end());
      fmt::print("| {} | {} |", lessons, weight);
      for (const auto& share : f.share) {
        const auto m = calibration::mean_interval(share);
        fmt::print(" {:.4f} ({:.4f} to {:.4f}) |", m.mean, m.low, m.high);
      }
      fmt::print(" {:.0f} | {:.0f} |\n", f.us[f.us.size() / 2], f.us[f.us.size() * 99 / 100]);
    }
  }
  return 0;
}
