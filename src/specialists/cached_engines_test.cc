#include "specialists/cached_engines.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <set>

#include "neural/encoder_pool.h"
#include "specialists/small_pairs_test_util.h"
#include "specialists/word_encoder_test_util.h"

namespace understudy::specialists {
namespace {

/// Says how long both texts are together, times a factor; counts what it was asked.
class Lengths final : public neural::PairScorer {
 public:
  explicit Lengths(float factor, std::string weights = "w") : factor_(factor), identity_{"lengths", std::move(weights), "t", "s", "fp32", "avx2", "none"} {}
  const neural::EncoderIdentity& identity() const override { return identity_; }
  std::size_t max_tokens() const override { return 16; }
  const neural::WordPiece& tokenizer() const override { std::abort(); }
  Result<void> score(std::span<const neural::TextPair> pairs, std::span<float> scores) const override {
    asked += pairs.size();
    largest = std::max(largest, pairs.size());
    for (std::size_t i = 0; i < pairs.size(); ++i) scores[i] = factor_ * static_cast<float>(pairs[i].first.size() + 100 * pairs[i].second.size());
    if (after) after();
    return {};
  }
  mutable std::size_t asked = 0, largest = 0;
  std::function<void()> after;

 private:
  float factor_;
  neural::EncoderIdentity identity_;
};

std::vector<float> ask(const neural::PairScorer& scorer, std::span<const neural::TextPair> pairs) {
  std::vector<float> out(pairs.size());
  const auto done = scorer.score(pairs, out);
  EXPECT_TRUE(done) << done.error().message;
  return out;
}

const std::vector<neural::TextPair> kPairs = {{"q", "one"}, {"q", "three"}, {"qq", "one"}, {"", "one"}, {"q", ""}};

TEST(ScoreCache, TellsScopesAndTheBordersOfTextsApart) {
  std::set<std::pair<std::uint64_t, std::uint64_t>> keys;
  for (const auto& [scope, first, second] : {std::tuple("s", "ab", "c"), {"s", "a", "bc"}, {"sa", "b", "c"}, {"s", "abc", ""}, {"s", "", "abc"}, {"t", "ab", "c"}}) {
    const Hash128 key = ScoreCache::key_of(scope, first, second);
    EXPECT_TRUE(keys.emplace(key.high, key.low).second) << scope << first << second;
  }
}

TEST(ScoreCache, KeepsWhatWasUsedLastWithinItsBytes) {
  ScoreCache cache(16 * 4'096);   // some 24 texts of 8 numbers in each of its parts
  std::vector<float> value(8), read(8);
  const Hash128 used = ScoreCache::key_of("s", "used again and again", "");
  cache.put(used, value);
  for (int i = 0; i < 5'000; ++i) {
    value[0] = static_cast<float>(i);
    cache.put(ScoreCache::key_of("s", std::to_string(i), ""), value);
    ASSERT_TRUE(cache.find(used, read)) << i;
  }
  EXPECT_LE(cache.counts().bytes, 16u * 4'096);
  EXPECT_GT(cache.counts().bytes, 16u * 2'048);
  EXPECT_LT(cache.counts().entries, 1'000u);
  EXPECT_FALSE(cache.find(ScoreCache::key_of("s", "0", ""), read));
  ASSERT_TRUE(cache.find(ScoreCache::key_of("s", "4999", ""), read));
  EXPECT_EQ(read[0], 4'999);
  std::vector<float> longer(9);
  EXPECT_FALSE(cache.find(used, longer)) << "another number of values";
  ScoreCache none(0);
  none.put(used, value);
  EXPECT_FALSE(none.find(used, read));
}

TEST(CachedEngines, APairIsComputedOnceAndAnsweredAlikeAfterwards) {
  const Lengths lengths(1);
  ScoreCache cache(1 << 20);
  const auto plain = ask(lengths, kPairs);
  lengths.asked = 0;
  for (int round = 0; round < 3; ++round) EXPECT_EQ(ask(CachedPairScorer(lengths, "v1", &cache, {}), kPairs), plain);
  EXPECT_EQ(lengths.asked, kPairs.size());
  const std::vector<neural::TextPair> mixed = {{"new", "pair"}, kPairs[1], kPairs[0]};
  EXPECT_EQ(ask(CachedPairScorer(lengths, "v1", &cache, {}), mixed), ask(lengths, mixed));
  EXPECT_EQ(cache.counts().hits, 2 * kPairs.size() + 2);
  EXPECT_EQ(cache.counts().misses, kPairs.size() + 1);
}

TEST(CachedEngines, NoVersionSeesAnothersScores) {
  const Lengths first(1), second(2, "other weights");
  ScoreCache cache(1 << 20);
  const auto old_scores = ask(CachedPairScorer(first, "v1", &cache, {}), kPairs);
  EXPECT_EQ(ask(CachedPairScorer(second, "v1", &cache, {}), kPairs), ask(second, kPairs)) << "other weights";
  const Lengths again(3);   // the same identity: then the version alone tells them apart
  EXPECT_EQ(ask(CachedPairScorer(again, "v2", &cache, {}), kPairs), ask(again, kPairs));
  EXPECT_EQ(ask(CachedPairScorer(first, "v1", &cache, {}), kPairs), old_scores);
}

TEST(CachedEngines, WorkIsDoneInPiecesAndEndsWhenNobodyWaits) {
  const std::vector<neural::TextPair> many(100, kPairs[0]);
  std::vector<std::string> texts;
  std::vector<neural::TextPair> pairs;
  for (int i = 0; i < 100; ++i) texts.push_back(std::to_string(i));
  for (const std::string& text : texts) pairs.push_back({"q", text});
  std::stop_source stop;
  Lengths lengths(1);
  ScoreCache cache(1 << 20);
  lengths.after = [&] {
    if (lengths.asked >= 32) stop.request_stop();
  };
  std::vector<float> scores(pairs.size());
  const auto done = CachedPairScorer(lengths, "v1", &cache, stop.get_token()).score(pairs, scores);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(lengths.asked, 32u);
  EXPECT_EQ(lengths.largest, 16u);
  lengths.after = nullptr;
  EXPECT_EQ(ask(CachedPairScorer(lengths, "v1", &cache, {}), pairs).size(), 100u);
  EXPECT_EQ(lengths.asked, 100u) << "what was computed until then is kept";
}

/// Two words that stand side by side in its vocabulary mean the same to it: "violin" and "maker", "harbour" and "lantern".
class Synonyms final : public testing::WordEncoder {
 public:
  Result<std::vector<float>> token_vectors(const neural::Tokens& tokens) const override {
    auto out = WordEncoder::token_vectors(tokens);
    for (std::size_t token = 0; token < out->size(); token += dimension())
      for (std::size_t word = 4; word + 1 < dimension(); word += 2) (*out)[token + word] += std::exchange((*out)[token + word + 1], 0.0f);
    return out;
  }
};

/// Words tell it nothing: the relevant document has the query's word by another name.
NamedSpecialist late_interaction_reranker() {
  constexpr std::array kAsked{"violin", "harbour", "glacier", "the", "made"}, kSaid{"maker", "lantern", "of", "who", "somebody"};
  std::string lines;
  for (std::size_t q = 0; q < 60; ++q)
    for (std::size_t d = 0; d < 4; ++d) lines += fmt::format(R"({{"qid":"{}","query":"{} {}","did":"d{}","doc":"{}","rel":{}}})", q, kAsked[q % 5], q, d, kSaid[(q + (d + q / 5) % 4) % 5], (d + q / 5) % 4 == 0 ? 1 : 0) + "\n";
  const auto rows = parse_rerank_rows(lines, "synonyms.jsonl", {});
  EXPECT_TRUE(rows) << rows.error().message;
  const Synonyms encoder;
  RerankTraining training;
  training.encoder = &encoder;
  training.why_not = "a test";
  auto made = train_rerank(*rows, nullptr, training, {});
  EXPECT_TRUE(made) << made.error().message;
  EXPECT_TRUE(made->calibration().vectors) << "late interaction is no rung";
  NamedSpecialist named;
  named.name = "rank";
  named.kind = "rerank";
  named.rerank = std::make_shared<const RerankSpecialist>(std::move(*made));
  return named;
}

TEST(CachedEngines, ATextIsReadTokenByTokenOnceForAllRequests) {
  const NamedSpecialist named = late_interaction_reranker();
  const std::vector<std::string_view> documents{"maker", "lantern", "of", "who"};
  const auto ask = [&](ScorePool& pool, std::string_view query, std::stop_token stop = {}) {
    const CachedEngines engines(named, pool, std::move(stop));
    return named.rerank->score(query, documents, engines.all());
  };
  const auto reads = [](const ScorePool& pool) { return dynamic_cast<const Synonyms*>(pool.encoder())->reads(); };
  ScorePool pool(std::make_shared<neural::EncoderPool>(std::make_unique<Synonyms>()));
  const auto first = ask(pool, "violin 900");
  ASSERT_TRUE(first) << first.error().message;
  const std::size_t read = reads(pool);
  EXPECT_GT(read, 1u);
  const auto again = ask(pool, "violin 900");
  ASSERT_TRUE(again);
  EXPECT_EQ(reads(pool), read) << "the encoder is not asked again";
  for (std::size_t i = 0; i < documents.size(); ++i) EXPECT_EQ((*again)[i].raw, (*first)[i].raw);
  EXPECT_GT(pool.kept().bytes, 0u);
  ASSERT_TRUE(ask(pool, "harbour 901"));
  EXPECT_LE(reads(pool), read + 2 + documents.size() - 1) << "its query, and documents that the gate let on now only";

  std::stop_source stop;
  stop.request_stop();
  const auto stopped = ask(pool, "glacier 902", stop.get_token());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::kCancelled);

  ScorePool none(std::make_shared<neural::EncoderPool>(std::make_unique<Synonyms>()), {.cache_bytes = 0});
  EXPECT_EQ(none.memory(), nullptr);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(ask(none, "violin 900"));
  EXPECT_EQ(reads(none), 2 * read);
  EXPECT_EQ(none.kept().bytes, 0u);
}

TEST(CachedEngines, WhatReadsNoVectorsSeesNoMemoryOfTexts) {
  NamedSpecialist words;
  words.kind = "rerank";
  const auto rows = parse_rerank_rows(testing::small_rerank_rows(40), "small.jsonl", {});
  RerankTraining training;
  training.why_not = "a test";
  words.rerank = std::make_shared<const RerankSpecialist>(*train_rerank(*rows, nullptr, training, {}));
  ScorePool pool(std::make_shared<neural::EncoderPool>(std::make_unique<Synonyms>()));
  ASSERT_NE(pool.memory(), nullptr);
  const CachedEngines engines(words, pool, {});
  EXPECT_TRUE(engines.none());
  EXPECT_EQ(engines.all().memory, nullptr);
}

}  // namespace
}  // namespace understudy::specialists
