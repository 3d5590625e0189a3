#include "retrieval/sparse_index.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "base/random.h"

namespace understudy::retrieval {
namespace {

using Hits = std::vector<TextIndex::Hit>;

Terms terms_of(std::string_view text) {
  TermExtractor extractor;
  Terms terms;
  extractor.extract(text, terms);
  return terms;
}

std::string message(Random& random, std::size_t words) {
  std::string text;
  for (std::uint64_t n = 1 + random.below(8); n > 0; --n) text += std::to_string((random.below(words) + 17) * 7'919'777) + ' ';
  return text;
}

TEST(SparseIndex, FindsEqualTextsAndOrdersByLikeness) {
  SparseIndex index;
  index.add(1, "Where is my new card?");
  index.add(2, "where is my card");
  index.add(3, "How do I top up by cheque");
  index.add(4, "");
  EXPECT_EQ(index.size(), 4u);
  Hits hits;
  index.nearest("WHERE IS MY CARD", 10, hits);
  ASSERT_EQ(hits.size(), 2u);   // nothing is shared with 3, and nothing is in 4
  EXPECT_EQ(hits[0].id, 2u);
  EXPECT_NEAR(hits[0].similarity, 1, 1e-5);
  EXPECT_EQ(hits[1].id, 1u);
  EXPECT_LT(hits[1].similarity, 1);
  index.nearest("zzz", 10, hits);
  EXPECT_TRUE(hits.empty());
  index.nearest("", 10, hits);
  EXPECT_TRUE(hits.empty());
  index.nearest("card", 0, hits);
  EXPECT_TRUE(hits.empty());
}

TEST(SparseIndex, ReplacesAndRemoves) {
  SparseIndex index;
  index.add(7, "lost my passport");
  index.add(7, "change the pin");
  EXPECT_EQ(index.size(), 1u);
  Hits hits;
  index.nearest("lost passport", 5, hits);
  EXPECT_TRUE(hits.empty());
  index.nearest("the pin", 5, hits);
  EXPECT_EQ(hits.size(), 1u);
  EXPECT_TRUE(index.remove(7));
  EXPECT_FALSE(index.remove(7));
  index.nearest("the pin", 5, hits);
  EXPECT_TRUE(hits.empty());
  EXPECT_EQ(index.size(), 0u);
}

TEST(SparseIndex, EqualTextsComeInTheOrderOfTheirIds) {
  SparseIndex index;
  for (const std::uint64_t id : {9u, 3u, 5u}) index.add(id, "same words here");
  Hits hits;
  index.nearest("same words here", 2, hits);
  ASSERT_EQ(hits.size(), 2u);
  EXPECT_EQ(hits[0].id, 3u);
  EXPECT_EQ(hits[1].id, 5u);
}

TEST(SparseIndex, LikenessOfTextsInIt) {
  SparseIndex index;
  index.add(1, "where is my new card");
  index.add(2, "where is my card");
  index.add(3, "top up by cheque");
  std::vector<float> like;
  const std::vector<std::uint64_t> of{1, 2, 3, 4};
  index.likeness(1, of, like);
  ASSERT_EQ(like.size(), 4u);
  EXPECT_NEAR(like[0], 1, 1e-5);
  Hits hits;
  index.nearest("where is my new card", 2, hits);
  EXPECT_NEAR(like[1], hits[1].similarity, 1e-5);
  EXPECT_EQ(like[2], 0);
  EXPECT_EQ(like[3], 0);
}

TEST(SparseIndex, VeryLongTextsAreFoundAndAreQueries) {
  SeededRandom random(3);
  std::string longest;
  while (longest.size() < 200'000) longest += message(random, 10'000);
  SparseIndex index;
  index.add(1, "short one");
  index.add(2, longest);
  Hits hits;
  index.nearest(longest, 3, hits);
  ASSERT_FALSE(hits.empty());
  EXPECT_EQ(hits[0].id, 2u);
}

/// As long as no budget is passed, a search is a full scan, whatever was added, replaced and removed before.
TEST(SparseIndex, IsAFullScanWhereNothingIsLeftOut) {
  for (const std::uint64_t seed : {1, 2, 3, 4}) {
    SCOPED_TRACE(seed);
    SeededRandom random(seed);
    SparseIndexOptions all;
    all.entries_in = all.entries_more = all.candidates = all.longest_list = 1u << 30;
    SparseIndex index(all);
    std::set<std::uint64_t> in;
    for (int step = 0; step < 3'000; ++step) {
      const auto id = random.below(1'200);
      if (random.coin(0.25)) {
        EXPECT_EQ(index.remove(id), in.erase(id) > 0);
      } else {
        index.add(id, message(random, 60 + seed * 200));
        in.insert(id);
      }
      if (step % 30 != 0) continue;
      EXPECT_EQ(index.size(), in.size());
      const Terms query = terms_of(message(random, 60 + seed * 200));
      Hits found, scanned;
      index.nearest(query, 10, found);
      index.scan(query, 10, scanned);
      ASSERT_EQ(found.size(), scanned.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        ASSERT_NEAR(found[i].similarity, scanned[i].similarity, 1e-4) << step;
        EXPECT_TRUE(in.contains(found[i].id));
      }
    }
  }
}

TEST(SparseIndex, UnderItsBudgetsItMissesLittle) {
  SeededRandom random(11);
  std::vector<std::string> texts;
  for (int i = 0; i < 20'000; ++i) texts.push_back(message(random, 3'000));
  std::vector<std::pair<std::uint64_t, std::string_view>> in;
  for (std::size_t i = 0; i < texts.size(); ++i) in.emplace_back(i, texts[i]);
  SparseIndexOptions tight;
  tight.entries_in = 1 << 10;
  tight.entries_more = 1 << 12;
  tight.candidates = 128;
  SparseIndex index(tight);
  index.add_all(in);
  std::size_t hits = 0, wanted = 0;
  for (int i = 0; i < 50; ++i) {
    const Terms query = terms_of(message(random, 3'000));
    Hits found, scanned;
    index.nearest(query, 10, found);
    index.scan(query, 10, scanned);
    wanted += scanned.size();
    for (const auto& hit : found) hits += hit.similarity >= scanned.back().similarity - 1e-5f;
  }
  EXPECT_GE(static_cast<double>(hits), 0.8 * static_cast<double>(wanted));
  EXPECT_GT(wanted, 300u);
}

TEST(SparseIndex, ManyAtOnceIsTheSameAsOneByOne) {
  SeededRandom random(5);
  std::vector<std::string> texts;
  for (int i = 0; i < 500; ++i) texts.push_back(message(random, 300));
  std::vector<std::pair<std::uint64_t, std::string_view>> in;
  SparseIndex one, all;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    in.emplace_back(i, texts[i]);
    one.add(i, texts[i]);
  }
  all.add_all(in);
  // Weighed at different moments, so only nearly alike; a text's own copy comes first in both.
  Hits a, b;
  for (std::size_t i = 0; i < texts.size(); i += 7) {
    one.nearest(texts[i], 1, a);
    all.nearest(texts[i], 1, b);
    ASSERT_EQ(a.size(), 1u);
    EXPECT_NEAR(a[0].similarity, 1, 1e-4);
    EXPECT_NEAR(b[0].similarity, 1, 1e-4);
  }
}

TEST(SparseIndex, SearchesWhileOthersWrite) {
  SparseIndex index;
  index.add(1'000'000, "the one that always stays");
  std::atomic<bool> done{false};
  std::thread writer([&] {
    SeededRandom random(1);
    for (int i = 0; i < 1'000; ++i) {
      index.add(random.below(800), message(random, 100));
      index.remove(random.below(800));
    }
    done = true;
  });
  std::vector<std::thread> readers;
  std::atomic<int> missed{0};
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      Hits hits;
      do {
        index.nearest("the one that always stays", 3, hits);
        if (hits.empty() || hits[0].id != 1'000'000) ++missed;
      } while (!done);
    });
  }
  writer.join();
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(missed, 0);
}

}  // namespace
}  // namespace understudy::retrieval
