// Vectors of the sentence encoder for comparisons outside: rows with a "text" each on standard input, numbers out as 32-bit floats, row by row.
//   understudy_vectors [fp32|int8|int8_weights] < rows.jsonl > vectors.f32
#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "neural/embed_many.h"
#include "neural/encoder.h"
#include "specialists/intent_rows.h"

namespace {

[[noreturn]] void quit(const std::string& what) {
  fmt::print(stderr, "understudy_vectors: {}\n", what);
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace understudy;
  const auto precision = neural::parse_precision(argc > 1 ? argv[1] : "fp32");
  if (!precision || argc > 2) quit("takes fp32, int8 or int8_weights");
  neural::EncoderOptions options;
  options.precision = *precision;
  const auto encoder = neural::open_encoder(options);
  if (!encoder) quit(encoder.error().message);
  const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
  const auto rows = specialists::parse_intent_rows(input, "standard input", {std::nullopt, "", false});
  if (!rows) quit(rows.error().message);
  std::vector<std::string_view> texts;
  for (const specialists::IntentRow& row : rows->rows) texts.push_back(row.text);
  const auto vectors = neural::embed_many(**encoder, texts, {});
  if (!vectors) quit(vectors.error().message);
  const std::size_t written = std::fwrite(vectors->data(), sizeof(float), vectors->size(), stdout);
  return written == vectors->size() && std::fflush(stdout) == 0 ? 0 : 1;
}
