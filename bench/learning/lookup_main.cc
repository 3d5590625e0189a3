// What vectors of meaning give to the look-up of lessons: of the nearest examples of a text, how many have its label?
//
//     zstd -dcq banking77.jsonl.zst | understudy_lookup [--split train] [--queries 1000] [--seeds 5] [--vectors FOLDER]
//
// Rows: {"text", "label", "split"}. For each seed some rows of the split become lessons and others, none of them a lesson, queries. The
// index is the product's (retrieval/mixed_index.h) under several weights of the vectors; the encoder is the default one.
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
  std::size_t queries = 1'000, seeds = 5;
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
