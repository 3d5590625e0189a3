#pragma once
/// Small trained rerankers and judges for the tests of whoever serves them.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>

#include "neural/pair_scorer.h"
#include "neural/tiny_model_test_util.h"
#include "specialists/answer_judge.h"
#include "specialists/judge_specialist.h"
#include "specialists/rerank_specialist.h"

namespace understudy::specialists::testing {

inline constexpr std::array kSmallThings{"lantern", "harbour", "violin", "glacier", "compass"};

/// "who made the lantern of 3": of four documents the one that names the thing is relevant.
inline std::string small_rerank_rows(std::size_t queries) {
  std::string out;
  for (std::size_t q = 0; q < queries; ++q) {
    for (std::size_t d = 0; d < 4; ++d) {
      out += fmt::format(R"({{"qid":"{0}","query":"who made the {1} of {0}","did":"d{2}","doc":"Somebody made the {3} once.","rel":{4}}})", q, kSmallThings[q % 5], d, kSmallThings[(q + d) % 5], d == 0 ? 1 : 0) + "\n";
    }
  }
  return out;
}

/// Trains one by words alone on them and writes its folder. Another number of queries makes another version.
inline void write_small_reranker(const std::filesystem::path& folder, std::size_t queries = 40) {
  const auto rows = parse_rerank_rows(small_rerank_rows(queries), "small.jsonl", {});
  ASSERT_TRUE(rows) << rows.error().message;
  RerankTraining training;
  training.why_not = "no cross-encoder: a test";
  const auto trained = train_rerank(*rows, nullptr, training, {});
  ASSERT_TRUE(trained) << trained.error().message;
  const auto saved = trained->save(folder);
  ASSERT_TRUE(saved) << saved.error().message;
}

/// Whose evidence names another thing or year is not supported.
inline std::string small_judge_rows(std::size_t rows) {
  std::string out;
  for (std::size_t i = 0; i < rows; ++i) {
    const bool right = i % 2 == 0;
    const std::size_t thing = i / 2 % 5, year = 1800 + i * 7 % 200;
    out += fmt::format(R"({{"id":"{0}","claim":"Somebody{0} made the {1} in {2}.","evidence":"This is about {0}. In {3} somebody{0} made the {4}. Nobody knows why.","label":{5}}})", i, kSmallThings[thing], year,
                       right || i % 4 == 1 ? year : year + 3, kSmallThings[right || i % 4 == 3 ? thing : (thing + 1) % 5], right ? 1 : 0) + "\n";
  }
  return out;
}

inline void write_small_judge(const std::filesystem::path& folder, std::size_t rows = 200) {
  const auto parsed = parse_judge_rows(small_judge_rows(rows), "small.jsonl", {});
  ASSERT_TRUE(parsed) << parsed.error().message;
  JudgeTraining training;
  training.why_not = "no cross-encoder: a test";
  const auto trained = train_judge(*parsed, nullptr, training, {});
  ASSERT_TRUE(trained) << trained.error().message;
  const auto saved = trained->save(folder);
  ASSERT_TRUE(saved) << saved.error().message;
}

/// Of five things that the prompt names a response says something of some: the more, the better.
inline std::string small_response(std::size_t good) {
  std::string out;
  for (std::size_t i = 0; i < kSmallThings.size(); ++i) out += i < good ? fmt::format("The {} is useful. ", kSmallThings[i]) : std::string("Nothing here is useful. ");
  return out;
}
inline std::string small_prompt(std::size_t number) { return fmt::format("Say something of the lantern, harbour, violin, glacier and compass, number {}.", number); }

/// Rows of a judge that scores responses from 1 to 6, or compares two.
inline std::string small_answer_rows(JudgeForm form, std::size_t rows) {
  std::string out;
  for (std::size_t i = 0; i < rows; ++i) {
    const std::size_t a = i % 6, b = i / 6 % 6;
    out += form == JudgeForm::kScore
               ? fmt::format(R"({{"id":"{}","prompt":"{}","response":"{}","teacher_score":{}}})", i, small_prompt(i), small_response(a), a + 1)
               : fmt::format(R"({{"id":"{}","prompt":"{}","a":"{}","b":"{}","gold":{}}})", i, small_prompt(i), small_response(a), small_response(b), a == b ? 0 : a > b ? 1 : 2);
    out += '\n';
  }
  return out;
}

inline void write_small_answer_judge(const std::filesystem::path& folder, JudgeForm form, std::size_t rows = 144, const neural::TextEncoder* encoder = nullptr) {
  const auto parsed = parse_answer_rows(small_answer_rows(form, rows), "small.jsonl", {});
  ASSERT_TRUE(parsed) << parsed.error().message;
  AnswerTraining training;
  training.encoder = encoder;
  const auto trained = train_answers(*parsed, nullptr, training, {});
  ASSERT_TRUE(trained) << trained.error().message;
  const auto saved = trained->save(folder);
  ASSERT_TRUE(saved) << saved.error().message;
}

/// Trains a reranker whose cross-encoder is a tiny random network, on what that network itself says of words which it knows: so it orders better than
/// any words. @return "", or why there is no runtime here
/// Another `intermediate` makes another network.
inline std::string write_small_cross_reranker(const std::filesystem::path& folder, const std::string& model_name, std::size_t intermediate = 64) {
  neural::testing::TinyModel tiny;
  tiny.pair_tokens = 24;
  tiny.intermediate = intermediate;
  neural::EncoderOptions options;
  options.folder = tiny.write(model_name);
  options.precision = neural::Precision::kFloat32;
  auto scorer = neural::open_pair_scorer(options);
  if (!scorer) return scorer.error().message;
  constexpr std::array kWords{"where", "is", "my", "card", "pin", "the", "lost", "a", "b", "money", "transfer", "why", "not"};
  SeededRandom random(5);
  const auto words = [&](std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += (i == 0 ? "" : " ") + std::string(kWords[random.below(kWords.size())]);
    return text;
  };
  std::string lines;
  for (std::size_t q = 0; q < 60; ++q) {
    const std::string query = words(4) + fmt::format(" {}", q);
    std::array<std::string, 6> documents;
    std::array<neural::TextPair, 6> pairs;
    for (std::size_t d = 0; d < documents.size(); ++d) {
      documents[d] = words(6);
      pairs[d] = {query, documents[d]};
    }
    std::array<float, 6> scores{};
    const auto done = (*scorer)->score(pairs, scores);
    EXPECT_TRUE(done);
    std::array<float, 6> sorted = scores;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t d = 0; d < documents.size(); ++d) {
      lines += fmt::format(R"({{"qid":"{}","query":"{}","did":"d{}","doc":"{}","rel":{}}})", q, query, d, documents[d], scores[d] > sorted[3] ? 1 : 0) + "\n";
    }
  }
  const auto rows = parse_rerank_rows(lines, "tiny.jsonl", {});
  EXPECT_TRUE(rows) << rows.error().message;
  RerankTraining training;
  training.make_cross_encoder = [&](const RerankRows&, const RerankRows&) -> Result<CrossEncoder> { return CrossEncoder{std::move(*scorer), options.folder, "a tiny network"}; };
  const auto trained = train_rerank(*rows, nullptr, training, {});
  EXPECT_TRUE(trained) << trained.error().message;
  EXPECT_TRUE(trained->cross_encoder()) << "it was not kept";
  const auto saved = trained->save(folder);
  EXPECT_TRUE(saved) << saved.error().message;
  std::filesystem::remove_all(options.folder);
  return "";
}

}  // namespace understudy::specialists::testing
