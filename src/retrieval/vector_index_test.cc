#include "retrieval/vector_index.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <map>
#include <set>
#include <thread>

#include "base/random.h"

namespace understudy::retrieval {
namespace {

using Hits = std::vector<VectorIndex::Hit>;
constexpr std::size_t kDimension = 48;

/// Near one of `topics` directions, as texts are.
PackedVector topical(Random& random, std::size_t topics) {
  SeededRandom topic(1 + random.below(topics));
  std::vector<float> v(kDimension);
  float squares = 0;
  for (float& x : v) {
    x = static_cast<float>(topic.uniform() - 0.5) + static_cast<float>(random.uniform() - 0.5);
    squares += x * x;
  }
  for (float& x : v) x /= std::sqrt(squares);
  return pack_vector(v);
}

TEST(VectorIndex, TheNearestComeFirstAndEqualsByTheirIds) {
  VectorIndex index(2);
  index.add(5, pack_vector(std::vector<float>{1, 0}));
  index.add(3, pack_vector(std::vector<float>{1, 0}));
  index.add(4, pack_vector(std::vector<float>{0.6f, 0.8f}));
  index.add(9, pack_vector(std::vector<float>{0, 1}));
  Hits hits;
  index.nearest(pack_vector(std::vector<float>{1, 0}), 3, hits);
  ASSERT_EQ(hits.size(), 3u);
  EXPECT_EQ(hits[0].id, 3u);
  EXPECT_EQ(hits[1].id, 5u);
  EXPECT_EQ(hits[2].id, 4u);
  EXPECT_NEAR(hits[0].similarity, 1, 1e-6);
  EXPECT_NEAR(hits[2].similarity, 0.6, 0.01);
  index.nearest(pack_vector(std::vector<float>{1, 0}), 0, hits);
  EXPECT_TRUE(hits.empty());
  index.nearest(pack_vector(std::vector<float>{1, 0, 0}), 3, hits);
  EXPECT_TRUE(hits.empty()) << "a vector of another encoder";
}

TEST(VectorIndex, CosinesOfWhatIsInIt) {
  VectorIndex index(2);
  index.add(1, pack_vector(std::vector<float>{1, 0}));
  index.add(2, pack_vector(std::vector<float>{0.6f, 0.8f}));
  std::vector<float> out;
  index.cosines(index.find(1), std::vector<std::uint64_t>{2, 7, 1}, out);
  ASSERT_EQ(out.size(), 3u);
  EXPECT_NEAR(out[0], 0.6, 0.01);
  EXPECT_TRUE(std::isnan(out[1]));
  EXPECT_NEAR(out[2], 1, 1e-6);
  EXPECT_TRUE(index.find(7).empty());
}

/// Whatever was added, replaced and removed, through several findings of the centres: what is in it is found, nothing else is.
TEST(VectorIndex, FollowsItsWriter) {
  SeededRandom random(2);
  VectorIndex index(kDimension, {.scanned = 64, .reads = 1u << 30, .list_length = 16});
  std::map<std::uint64_t, PackedVector> in;
  for (int step = 0; step < 4'000; ++step) {
    const auto id = random.below(1'000);
    if (random.coin(0.3)) {
      EXPECT_EQ(index.remove(id), in.erase(id) > 0);
    } else {
      in[id] = topical(random, 20);
      index.add(id, in[id]);
    }
    if (step % 100 != 0 || in.empty()) continue;
    ASSERT_EQ(index.size(), in.size());
    const PackedVector query = topical(random, 20);
    std::vector<std::pair<float, std::uint64_t>> all;
    for (const auto& [known, v] : in) {
      std::int32_t dot = 0;
      for (std::size_t d = 0; d < kDimension; ++d) dot += v.values[d] * query.values[d];
      all.emplace_back(-static_cast<float>(dot) * v.scale * query.scale, known);
    }
    std::sort(all.begin(), all.end());
    Hits hits, scanned;
    index.nearest(query, 10, hits);
    index.scan(query, 10, scanned);
    EXPECT_EQ(hits, scanned) << "it was told to read everything";
    ASSERT_EQ(hits.size(), std::min<std::size_t>(10, all.size()));
    for (std::size_t i = 0; i < hits.size(); ++i) EXPECT_NEAR(hits[i].similarity, -all[i].first, 1e-5) << step;
  }
}

TEST(VectorIndex, ReadingAPartItMissesLittle) {
  SeededRandom random(3);
  VectorIndex index(kDimension, {.scanned = 512, .reads = 1'500, .list_length = 64});
  for (std::uint64_t id = 0; id < 12'000; ++id) index.add(id, topical(random, 200));
  std::size_t found = 0, wanted = 0;
  Hits hits, scanned;
  for (int i = 0; i < 100; ++i) {
    const PackedVector query = topical(random, 200);
    index.nearest(query, 10, hits);
    index.scan(query, 10, scanned);
    wanted += scanned.size();
    for (const auto& hit : hits) found += hit.similarity >= scanned.back().similarity;
  }
  EXPECT_GE(static_cast<double>(found), 0.95 * static_cast<double>(wanted));
}

TEST(VectorIndex, SearchesWhileOthersWrite) {
  VectorIndex index(kDimension, {.scanned = 64, .reads = 200, .list_length = 16});
  SeededRandom first(1);
  const PackedVector stays = topical(first, 5);
  index.add(1'000'000, stays);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    SeededRandom random(2);
    for (int i = 0; i < 1'000; ++i) {
      index.add(random.below(500), topical(random, 20));
      index.remove(random.below(500));
    }
    done = true;
  });
  Hits hits;
  std::vector<float> out;
  while (!done) {
    index.nearest(stays, 5, hits);
    ASSERT_FALSE(hits.empty());
    EXPECT_EQ(hits[0].id, 1'000'000u);
    index.cosines(stays, std::vector<std::uint64_t>{1'000'000}, out);
    EXPECT_NEAR(out[0], 1, 0.01);
  }
  writer.join();
}

}  // namespace
}  // namespace understudy::retrieval
