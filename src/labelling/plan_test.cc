#include "labelling/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace understudy::labelling {
namespace {

std::vector<std::string> keys_of(std::size_t n) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < n; ++i) keys.push_back("key " + std::to_string(i));
  return keys;
}

TEST(Sample, IsOfSeedAndContentAndGrowsAtItsEnd) {
  const auto keys = keys_of(100);
  const auto some = sample_rows(keys, {}, 20, 7), more = sample_rows(keys, {}, 50, 7);
  EXPECT_EQ(some.size(), 20u);
  EXPECT_TRUE(std::equal(some.begin(), some.end(), more.begin()));
  EXPECT_NE(some, sample_rows(keys, {}, 20, 8));
  auto turned = keys;
  std::reverse(turned.begin(), turned.end());
  const auto same = sample_rows(turned, {}, 20, 7);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(turned[same[i]], keys[some[i]]) << "the rows' order does not matter";
}

TEST(Sample, CountsEqualContentsOnce) {
  const std::vector<std::string> keys = {"a", "b", "a", "a", "c"};
  const auto sample = sample_rows(keys, {}, 100, 1);
  EXPECT_EQ(std::set<std::size_t>(sample.begin(), sample.end()), (std::set<std::size_t>{0, 1, 4}));
}

TEST(Sample, TakesWholeGroups) {
  const auto keys = keys_of(40);
  std::vector<std::string> groups;
  for (std::size_t i = 0; i < 40; ++i) groups.push_back("query " + std::to_string(i % 8));
  std::map<std::string, std::size_t> taken;
  for (const std::size_t i : sample_rows(keys, groups, 17, 3)) ++taken[groups[i]];
  EXPECT_EQ(taken.size(), 4u) << "three groups of five, and two of a fourth";
}

TEST(Worthiest, AreTakenInOrderOfWorth) {
  const std::vector<double> worth = {0.1, 0.9, 0.5, 0.9, 1.0};
  const std::vector<std::size_t> from = {0, 1, 2, 3};
  EXPECT_EQ(worthiest_rows(worth, from, 3), (std::vector<std::size_t>{1, 3, 2}));
  EXPECT_EQ(worthiest_rows(worth, from, 10).size(), 4u);
}

TEST(Batches, KeepRowsOfOneQueryTogetherAndHoldEachRowOnce) {
  std::vector<Row> rows;
  for (int i = 0; i < 30; ++i) rows.push_back({std::to_string(i), {i % 3 == 2 ? "rare " + std::to_string(i) : "query " + std::to_string(i % 3), "doc " + std::to_string(i)}});
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < rows.size(); ++i) places.push_back(i);
  const auto batches = make_batches(Task::kRelevance, rows, places, 8);
  std::multiset<std::size_t> seen;
  std::size_t of_one_query = 0;
  for (const auto& batch : batches) {
    EXPECT_LE(batch.size(), 8u);
    seen.insert(batch.begin(), batch.end());
    of_one_query += std::all_of(batch.begin(), batch.end(), [&](std::size_t i) { return rows[i].texts[0] == rows[batch[0]].texts[0]; });
  }
  EXPECT_EQ(seen, std::multiset<std::size_t>(places.begin(), places.end()));
  EXPECT_EQ(of_one_query, 4u) << "of each of two queries 8 and 2";
}

TEST(Batches, AreSmallWhereTextsAreLong) {
  std::vector<Row> rows(6, Row{"", {std::string(20'000, 'x')}});
  const std::vector<std::size_t> places = {0, 1, 2, 3, 4, 5};
  EXPECT_EQ(make_batches(Task::kIntent, rows, places, 10).size(), 3u);
}

TEST(Cost, IsUnknownWhereThePriceIs) {
  const Question question{Task::kIntent, {"a", "b"}};
  const std::vector<Row> rows = {{"1", {"first text"}}, {"2", {"second text"}}};
  const std::vector<std::vector<std::size_t>> batches = {{0}, {1}};
  const auto priced = plan_cost(question, "m", rows, batches, [](const Usage& usage) { return std::optional(Picousd{usage.input * 10 + usage.output * 100}); });
  EXPECT_EQ(priced.rows, 2u);
  EXPECT_EQ(priced.calls, 2u);
  ASSERT_TRUE(priced.usually && priced.most);
  EXPECT_EQ(priced.usually->value, priced.usual.input * 10 + priced.usual.output * 100);
  EXPECT_GT(*priced.most, *priced.usually);
  const auto unknown = plan_cost(question, "m", rows, batches, [](const Usage&) { return std::optional<Picousd>(); });
  EXPECT_FALSE(unknown.usually);
  EXPECT_FALSE(unknown.most);
  EXPECT_GT(unknown.usual.input, 0);
}

}  // namespace
}  // namespace understudy::labelling
