#include "retrieval/dense_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace understudy::retrieval {
namespace {

std::vector<float> unit_vector(Random& random, std::size_t dimension) {
  std::vector<float> v(dimension);
  float squares = 0;
  for (float& x : v) {
    x = static_cast<float>(random.uniform() - 0.5);
    squares += x * x;
  }
  for (float& x : v) x /= std::sqrt(squares);
  return v;
}

TEST(DenseIndex, PackedDotsAreNearTheRealOnes) {
  SeededRandom random(3);
  for (int i = 0; i < 100; ++i) {
    const auto a = unit_vector(random, 384), b = unit_vector(random, 384);
    const PackedVector p = pack_vector(a), q = pack_vector(b);
    double real = 0, packed = 0;
    for (std::size_t d = 0; d < a.size(); ++d) {
      real += static_cast<double>(a[d] * b[d]);
      packed += static_cast<double>(p.scale * q.scale) * p.values[d] * q.values[d];
    }
    EXPECT_NEAR(packed, real, 0.01);
  }
  EXPECT_EQ(pack_vector(std::vector<float>(4, 0.0f)).scale, 0);
}

TEST(DenseIndex, TheNearestTenVoteByTheirCosines) {
  SeededRandom random(4);
  DenseIndex index(64);
  std::vector<PackedVector> vectors;
  for (std::uint32_t i = 0; i < 200; ++i) {
    vectors.push_back(pack_vector(unit_vector(random, 64)));
    index.add(vectors.back(), i % 7);
  }
  DenseIndex::Scratch scratch;
  std::vector<DenseIndex::Vote> votes;
  float best = 0;
  for (int round = 0; round < 20; ++round) {
    const PackedVector query = pack_vector(unit_vector(random, 64));
    index.vote(query, scratch, votes, best);
    std::vector<std::pair<double, std::uint32_t>> all;
    for (std::uint32_t i = 0; i < vectors.size(); ++i) {
      double dot = 0;
      for (std::size_t d = 0; d < 64; ++d) dot += query.values[d] * vectors[i].values[d];
      all.emplace_back(dot * static_cast<double>(vectors[i].scale * query.scale), i % 7);
    }
    std::sort(all.rbegin(), all.rend());
    EXPECT_NEAR(best, all[0].first, 1e-5);
    std::vector<double> shares(7, 0);
    double sum = 0, told = 0;
    for (std::size_t i = 0; i < 10; ++i) sum += std::exp(20 * (all[i].first - all[0].first));
    for (std::size_t i = 0; i < 10; ++i) shares[all[i].second] += std::exp(20 * (all[i].first - all[0].first)) / sum;
    for (const auto& vote : votes) {
      EXPECT_NEAR(vote.share, shares[vote.label], 1e-4);
      told += static_cast<double>(vote.share);
    }
    EXPECT_NEAR(told, 1, 1e-5);
    EXPECT_TRUE(std::is_sorted(votes.begin(), votes.end(), [](const auto& a, const auto& b) { return a.share > b.share; }));
  }
  index.vote(pack_vector(unit_vector(random, 32)), scratch, votes, best);
  EXPECT_TRUE(votes.empty()) << "a vector of another encoder";
}

}  // namespace
}  // namespace understudy::retrieval
