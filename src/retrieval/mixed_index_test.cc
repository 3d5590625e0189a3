#include "retrieval/mixed_index.h"

#include <gtest/gtest.h>

namespace understudy::retrieval {
namespace {

using Hits = std::vector<MixedIndex::Hit>;

PackedVector packed(float x, float y) { return pack_vector(std::vector<float>{x, y}); }

TEST(MixedIndex, WithoutVectorsItIsTheIndexOfWords) {
  MixedIndex mixed;
  SparseIndex words;
  for (const auto& [id, text] : {std::pair(1u, "where is my new card"), std::pair(2u, "where is my card"), std::pair(3u, "top up by cheque")}) {
    mixed.add(id, text);
    words.add(id, text);
  }
  Hits a, b;
  mixed.nearest("where is my card", {}, 5, a);
  words.nearest("where is my card", 5, b);
  EXPECT_EQ(a, b);
  mixed.nearest("where is my card", packed(1, 0), 5, a);
  EXPECT_EQ(a, b) << "a vector, and none to compare it with";
  EXPECT_EQ(mixed.vectors(), 0u);
}

TEST(MixedIndex, MixesTheTwoCosines) {
  MixedIndex index(0.75f);
  index.add(1, "where is my card");
  index.add(2, "lost plastic");
  index.add(3, "where is my cheque");
  index.add_vector(1, packed(1, 0));
  index.add_vector(2, packed(1, 0));
  Hits words, hits;
  index.nearest("where is my card", {}, 5, words);
  ASSERT_EQ(words.size(), 2u);   // 1 and 3
  index.nearest("where is my card", packed(0.6f, 0.8f), 5, hits);
  ASSERT_EQ(hits.size(), 3u);
  EXPECT_EQ(hits[0].id, 1u);
  EXPECT_NEAR(hits[0].similarity, 0.25f * 1 + 0.75f * 0.6f, 0.01);
  EXPECT_EQ(hits[1].id, 3u);
  EXPECT_NEAR(hits[1].similarity, words[1].similarity, 1e-5) << "its vector has not come yet";
  EXPECT_EQ(hits[2].id, 2u);
  EXPECT_NEAR(hits[2].similarity, 0.75f * 0.6f, 0.01) << "no word in common";
  index.nearest("where is my card", packed(0, 1), 5, hits);
  ASSERT_EQ(hits.size(), 2u) << "nothing in common with 2";
  EXPECT_NEAR(hits[1].similarity, 0.25f, 0.01);
}

TEST(MixedIndex, LikenessOfTextsInIt) {
  MixedIndex index(0.5f);
  index.add(1, "where is my card");
  index.add(2, "lost plastic");
  index.add(3, "where is my card");
  index.add_vector(1, packed(1, 0));
  index.add_vector(2, packed(0.6f, 0.8f));
  std::vector<float> like;
  index.likeness(1, std::vector<std::uint64_t>{1, 2, 3, 4}, like);
  ASSERT_EQ(like.size(), 4u);
  EXPECT_NEAR(like[0], 1, 0.01);
  EXPECT_NEAR(like[1], 0.3, 0.01);
  EXPECT_NEAR(like[2], 1, 1e-5) << "by words: it has no vector";
  EXPECT_EQ(like[3], 0);
}

TEST(MixedIndex, WhatIsRemovedIsGoneFromBoth) {
  MixedIndex index;
  index.add(1, "where is my card");
  index.add_vector(1, packed(1, 0));
  EXPECT_TRUE(index.remove(1));
  EXPECT_FALSE(index.remove(1));
  Hits hits;
  index.nearest("where is my card", packed(1, 0), 5, hits);
  EXPECT_TRUE(hits.empty());
  EXPECT_EQ(index.size(), 0u);
  EXPECT_EQ(index.vectors(), 0u);
}

}  // namespace
}  // namespace understudy::retrieval
