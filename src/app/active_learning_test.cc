#include "app/active_learning.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "labelling/plan.h"

namespace understudy::app {
namespace {

TeacherRows pairs(std::size_t queries, std::size_t documents) {
  TeacherRows rows;
  rows.task = labelling::Task::kRelevance;
  for (std::size_t q = 0; q < queries; ++q) {
    for (std::size_t d = 0; d < documents; ++d) {
      rows.rows.push_back({"", {"query " + std::to_string(q), "doc " + std::to_string(d)}});
      rows.groups.push_back(std::to_string(q));
    }
  }
  return rows;
}

std::vector<std::size_t> all(const TeacherRows& rows) {
  std::vector<std::size_t> out(rows.rows.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = i;
  return out;
}

Opinion yes(double p) {
  Opinion out;
  out.yes = p;
  out.sure = std::max(p, 1 - p);
  return out;
}

TEST(ActiveLearning, OneModelAloneAsksWhereItIsUnsure) {
  const std::vector<Opinion> first = {yes(0.99), yes(0.52), yes(0.03), yes(0.4)};
  const std::vector<std::size_t> pool = {0, 1, 2, 3};
  EXPECT_EQ(labelling::worthiest_rows(worth_asking(first, {}), pool, 2), (std::vector<std::size_t>{1, 3}));
}

TEST(ActiveLearning, TwoModelsAskWhereTheyDisagree) {
  const std::vector<Opinion> first = {yes(0.99), yes(0.52), yes(0.03), yes(0.4)}, other = {yes(0.05), yes(0.5), yes(0.9), yes(0.41)};
  const std::vector<std::size_t> pool = {0, 1, 2, 3};
  EXPECT_EQ(labelling::worthiest_rows(worth_asking(first, other), pool, 2), (std::vector<std::size_t>{0, 2})) << "both sure, and of different minds";
}

TEST(ActiveLearning, CalibrationRowsAreRandomOnesAndShareNothingWithTheOthers) {
  const TeacherRows rows = pairs(100, 5);
  const ActivePlan plan = plan_active(rows, all(rows), 300, 0.5, 7);
  EXPECT_EQ(plan.random.size(), 150u);
  EXPECT_EQ(plan.choose, 150u);
  const auto aside = rows_for_calibration(rows, 7, 0.4);
  std::set<std::string> held, others;
  for (const std::size_t i : plan.calibration) {
    EXPECT_TRUE(aside[i]);
    EXPECT_NE(std::find(plan.random.begin(), plan.random.end(), i), plan.random.end()) << "a chosen row would make it wrong";
    held.insert(rows.rows[i].texts[0]);
  }
  for (const std::size_t i : plan.pool) others.insert(rows.rows[i].texts[0]);
  for (const std::size_t i : plan.random) {
    if (!aside[i]) others.insert(rows.rows[i].texts[0]);
  }
  EXPECT_GT(held.size(), 5u);
  for (const auto& query : held) EXPECT_EQ(others.count(query), 0u);
}

TEST(ActiveLearning, TheBorderIsOfSeedAndText) {
  const TeacherRows rows = pairs(500, 1);
  const auto a = rows_for_calibration(rows, 1, 0.4);
  EXPECT_EQ(a, rows_for_calibration(rows, 1, 0.4));
  EXPECT_NE(a, rows_for_calibration(rows, 2, 0.4));
  EXPECT_NEAR(static_cast<double>(std::count(a.begin(), a.end(), true)), 200, 45);
}

}  // namespace
}  // namespace understudy::app
