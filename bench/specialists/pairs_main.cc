// Scores of a cross-encoder for comparisons outside: pairs with "first" and "second" on standard input, one line each out: token ids, where the second text begins in them, score.
//   understudy_pairs FOLDER [fp32|int8|int8_weights [LIST ROUNDS]] < pairs.jsonl > scored.jsonl
// With LIST the pairs are scored in lists of so many, each in one call on one thread, as a request would ask, ROUNDS times; standard error gets every list's milliseconds as JSON.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include "base/json_writer.h"
#include "neural/pair_scorer.h"

namespace {

[[noreturn]] void quit(const std::string& what) {
  fmt::print(stderr, "understudy_pairs: {}\n", what);
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace understudy;
  if (argc != 2 && argc != 3 && argc != 5) quit("takes FOLDER [PRECISION [LIST ROUNDS]]");
  const auto precision = neural::parse_precision(argc > 2 ? argv[2] : "fp32");
  const std::size_t list = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 0, rounds = argc > 4 ? std::strtoul(argv[4], nullptr, 10) : 1;
  if (!precision || (argc > 3 && (list == 0 || rounds == 0))) quit("takes fp32, int8 or int8_weights, and numbers above 0");
  neural::EncoderOptions options;
  options.folder = argv[1];
  options.precision = *precision;
  const auto scorer = neural::open_pair_scorer(options);
  if (!scorer) quit(scorer.error().message);
  std::vector<std::pair<std::string, std::string>> texts;
  simdjson::dom::parser parser;
  for (std::string line; std::getline(std::cin, line);) {
    simdjson::dom::element row;
    std::string_view first, second;
    if (parser.parse(line).get(row) || row["first"].get(first) || row["second"].get(second)) quit(fmt::format("line {} is no pair", texts.size() + 1));
    texts.emplace_back(first, second);
  }
  std::vector<neural::TextPair> pairs;
  for (const auto& [first, second] : texts) pairs.push_back({first, second});
  std::vector<float> scores(pairs.size());
  std::vector<double> millis;
  const std::size_t step = list == 0 ? pairs.size() : list;
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::size_t at = 0; at < pairs.size(); at += step) {
      const std::size_t n = std::min(step, pairs.size() - at);
      const auto start = std::chrono::steady_clock::now();
      if (auto done = (*scorer)->score(std::span(pairs).subspan(at, n), std::span(scores).subspan(at, n)); !done) quit(done.error().message);
      millis.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    }
  }
  std::string out;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const neural::Tokens tokens = (*scorer)->tokenizer().encode_pair(pairs[i].first, pairs[i].second, (*scorer)->max_tokens());
    JsonWriter w(out);
    w.begin_object().key("ids").begin_array();
    for (const std::int32_t id : tokens.ids) w.integer(id);
    w.end_array().field("second", tokens.second).field("score", static_cast<double>(scores[i])).end_object();
    out += '\n';
  }
  if (list != 0) fmt::print(stderr, "[{:.3f}]\n", fmt::join(millis, ", "));
  return std::fwrite(out.data(), 1, out.size(), stdout) == out.size() && std::fflush(stdout) == 0 ? 0 : 1;
}
