#include "specialists/cached_engines.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <set>

#include "specialists/small_pairs_test_util.h"

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

}  // namespace
}  // namespace understudy::specialists
