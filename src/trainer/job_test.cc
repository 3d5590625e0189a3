#include "trainer/job.h"

#include <gtest/gtest.h>

#include <set>

#include <fmt/format.h>

#include "trainer/step_plan.h"

namespace understudy::trainer {
namespace {

Job small_job() {
  Job job;
  job.encoder = "model";
  job.rows = "rows.jsonl";
  return job;
}

std::vector<PairRow> rows_of_groups(std::size_t groups, std::size_t good, std::size_t bad) {
  std::vector<PairRow> rows;
  for (std::size_t g = 0; g < groups; ++g)
    for (std::size_t i = 0; i < good + bad; ++i) rows.push_back({fmt::format("q{}", g), "a", "b", i < good ? 1.0 : 0.0, 1});
  return rows;
}

TEST(Job, ReadsBackWhatItWrites) {
  Job job = small_job();
  job.loss = Loss::kMargin;
  job.head = neural::PairHeadKind::kInteraction;
  job.seed = 7;
  job.learning_rate = 3e-5;
  job.max_tokens = 128;
  job.threads = 2;
  const auto again = parse_job(job.to_json(), "job.json");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->to_json(), job.to_json());
}

TEST(Job, SaysWhatIsWrongWithIt) {
  const auto message = [](std::string_view rest) {
    const auto job = parse_job(fmt::format(R"({{"schema":"understudy.trainer-job/1","encoder":"m","rows":"r"{}}})", rest), "job.json");
    return job ? std::string("none") : job.error().message;
  };
  EXPECT_EQ(message(""), "none");
  EXPECT_EQ(message(R"(,"epochs":0)"), "job.json: epochs must be a whole number from 1 to 1000");
  EXPECT_EQ(message(R"(,"dropout":1)"), "job.json: dropout must be a number from 0 to 0.9");
  EXPECT_EQ(message(R"(,"loss":"best")"), "job.json: loss must be pointwise, margin, listwise or labels");
  EXPECT_EQ(message(R"(,"head":"cls")"), "job.json: head must be hybrid or interaction");
  EXPECT_EQ(message(R"(,"epoch":3)"), "job.json: epoch is no setting of a training; docs/formats/trainer-job.md has them");
  EXPECT_EQ(parse_job("{}", "job.json").error().message, "job.json: schema must be \"understudy.trainer-job/1\"");
  EXPECT_EQ(parse_job("[]", "job.json").error().kind, ErrorKind::kConfig);
}

TEST(PairRows, ReadBackWhatIsWrittenAndNamePlaces) {
  std::string text;
  append_pair_row(text, {"q1", "who \"x\"?", "it was\ny", 0.5, 2});
  append_pair_row(text, {"", "a", "", 0, 1});
  append_pair_row(text, {"", "where is it?", "", 0, 1, "card_arrival"});
  const auto rows = parse_pair_rows(text, "rows.jsonl");
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 3u);
  EXPECT_EQ((*rows)[2].label, "card_arrival");
  EXPECT_EQ((*rows)[0].first, "who \"x\"?");
  EXPECT_EQ((*rows)[0].second, "it was\ny");
  EXPECT_EQ((*rows)[0].target, 0.5);
  EXPECT_EQ((*rows)[0].weight, 2);
  EXPECT_EQ((*rows)[1].group, "");
  const auto message = [](std::string_view line) { return parse_pair_rows(fmt::format("\n{}", line), "rows.jsonl").error().message; };
  EXPECT_EQ(message("[]"), "rows.jsonl, line 2: is no JSON object");
  EXPECT_EQ(message(R"({"first":"a"})"), "rows.jsonl, line 2: \"second\" must be a text");
  EXPECT_EQ(message(R"({"first":"a","second":"b"})"), "rows.jsonl, line 2: \"target\" is missing: how well the texts belong together, 0 or more");
  EXPECT_EQ(message(R"({"first":"a","second":"b","target":-1})"), "rows.jsonl, line 2: \"target\" must be a number from 0 to 1,000,000");
  EXPECT_EQ(message(R"({"first":"a","second":"b","target":1,"weight":0})"), "rows.jsonl, line 2: \"weight\" must be a number above 0 and at most 1,000,000");
  EXPECT_EQ(message(R"({"first":"a","second":"","label":""})"), "rows.jsonl, line 2: \"label\" must be a text, and not empty");
  EXPECT_TRUE(parse_pair_rows(R"({"first":"a","second":"b"})", "rows.jsonl", false));
}

TEST(StepPlan, TakesEachRowWithALabelOnceAnEpoch) {
  std::vector<PairRow> rows;
  for (int i = 0; i < 10; ++i) rows.push_back({"", fmt::format("text {}", i), "", 0, 1, i < 5 ? "a" : "b"});
  Job job = small_job();
  job.loss = Loss::kLabels;
  job.rows_per_step = 4;
  job.epochs = 2;
  const auto plan = StepPlan::create(rows, job);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->steps(), 6u);
  for (std::size_t epoch = 0; epoch < 2; ++epoch) {
    std::multiset<std::uint32_t> taken;
    for (std::size_t step = 3 * epoch; step < 3 * epoch + 3; ++step) {
      const auto groups = plan->rows_of(step);
      ASSERT_EQ(groups.size(), 1u);
      taken.insert(groups[0].begin(), groups[0].end());
    }
    EXPECT_EQ(taken, (std::multiset<std::uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }
  rows[3].label.clear();
  EXPECT_EQ(StepPlan::create(rows, job).error().message, "row 4 has no label, and the labels loss learns from nothing else");
}

TEST(StepPlan, TakesEachGroupOnceAnEpochAndDrawsAnewFromIt) {
  const auto rows = rows_of_groups(10, 5, 20);
  Job job = small_job();
  job.epochs = 2;
  const auto plan = StepPlan::create(rows, job);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->groups(), 10u);
  EXPECT_EQ(plan->steps_per_epoch(), 3u);
  EXPECT_EQ(plan->steps(), 6u);
  std::set<std::set<std::uint32_t>> drawn;
  for (const std::size_t epoch : {0u, 1u}) {
    std::set<std::string> seen;
    for (std::size_t step = 0; step < 3; ++step) {
      const auto groups = plan->rows_of(epoch * 3 + step);
      EXPECT_EQ(groups.size(), step < 2 ? 4u : 2u);
      EXPECT_EQ(groups, plan->rows_of(epoch * 3 + step));
      for (const auto& group : groups) {
        ASSERT_EQ(group.size(), 10u);
        EXPECT_TRUE(seen.insert(rows[group[0]].group).second);
        for (std::size_t i = 0; i < group.size(); ++i) {
          EXPECT_EQ(rows[group[i]].group, rows[group[0]].group);
          EXPECT_EQ(rows[group[i]].target, i < 3 ? 1 : 0);
        }
        drawn.emplace(group.begin(), group.end());
      }
    }
    EXPECT_EQ(seen.size(), 10u);
  }
  EXPECT_GT(drawn.size(), 15u) << "both epochs took the same rows";
  job.seed = 2;
  EXPECT_NE(StepPlan::create(rows, job)->rows_of(0), plan->rows_of(0));
}

TEST(StepPlan, LeavesOutGroupsThatTeachNothing) {
  auto rows = rows_of_groups(2, 1, 1);
  rows.push_back({"alike", "a", "b", 1, 1});
  rows.push_back({"alike", "a", "c", 1, 1});
  rows.push_back({"", "a", "b", 1, 1});
  const auto plan = StepPlan::create(rows, small_job());
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->groups(), 2u);
  EXPECT_FALSE(StepPlan::create(rows_of_groups(3, 2, 0), small_job()));
}

TEST(StepPlan, PointwiseTakesEveryRowOnceAnEpoch) {
  const auto rows = rows_of_groups(5, 1, 2);
  Job job = small_job();
  job.loss = Loss::kPointwise;
  job.rows_per_step = 4;
  const auto plan = StepPlan::create(rows, job);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->steps_per_epoch(), 4u);
  std::multiset<std::uint32_t> seen;
  for (std::size_t step = 0; step < 4; ++step) {
    const auto groups = plan->rows_of(step);
    ASSERT_EQ(groups.size(), 1u);
    seen.insert(groups[0].begin(), groups[0].end());
  }
  EXPECT_EQ(seen.size(), 15u);
  EXPECT_EQ(std::set<std::uint32_t>(seen.begin(), seen.end()).size(), 15u);
}

}  // namespace
}  // namespace understudy::trainer
