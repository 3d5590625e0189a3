#include "monitors/recheck.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "base/random.h"

namespace understudy::monitors {
namespace {

using labelling::Task;
using labelling::Verdict;

/// Rows on which a specialist says `p` and the teacher says yes with that chance, moved by `drift` towards no.
struct Simulated {
  std::vector<Opinion> opinions;
  std::vector<bool> truth;
  std::vector<std::size_t> sampled;
  std::vector<Verdict> verdicts;
};
Simulated simulate(std::size_t rows, std::size_t sample, double drift, std::uint64_t seed) {
  SeededRandom random(seed);
  Simulated s;
  for (std::size_t i = 0; i < rows; ++i) {
    Opinion o;
    o.yes = random.uniform();
    o.sure = std::max(o.yes, 1 - o.yes);
    s.truth.push_back(random.coin(o.yes * (1 - drift)));
    s.opinions.push_back(o);
  }
  for (std::size_t i = 0; i < sample; ++i) {
    Verdict v;
    v.score = s.truth[i] ? 0.9 : 0.1;
    s.sampled.push_back(i);
    s.verdicts.push_back(v);
  }
  return s;
}

TEST(Recheck, IsSilentWhereTheSpecialistIsWhatItPromises) {
  std::size_t alarms = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const Simulated s = simulate(400, 200, 0, seed);
    Recheck r;
    ASSERT_TRUE(compare_with_teacher(r, Task::kFaithfulness, s.opinions, s.sampled, s.verdicts));
    alarms += !r.alarm.empty();
  }
  EXPECT_LE(alarms, 12u) << "of 200: at most 2.5 % are expected";
}

TEST(Recheck, AlarmsWhereTheTeacherHasChanged) {
  std::size_t alarms = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const Simulated s = simulate(400, 200, 0.5, seed);
    Recheck r;
    ASSERT_TRUE(compare_with_teacher(r, Task::kFaithfulness, s.opinions, s.sampled, s.verdicts));
    alarms += !r.alarm.empty();
  }
  EXPECT_GE(alarms, 45u);
}

TEST(Recheck, CorrectsTheShareOfAllRows) {
  std::size_t held = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const Simulated s = simulate(3'000, 300, 0.4, seed);
    Recheck r;
    ASSERT_TRUE(compare_with_teacher(r, Task::kFaithfulness, s.opinions, s.sampled, s.verdicts));
    ASSERT_TRUE(r.yes && r.disagreement);
    const double truth = static_cast<double>(std::count(s.truth.begin(), s.truth.end(), true)) / 3'000;
    held += r.yes->interval.low <= truth && truth <= r.yes->interval.high;
    EXPECT_LT(r.yes->rate, 0.42) << "the specialist alone says a half";
  }
  EXPECT_GE(held, 88u);
}

TEST(Recheck, AtLeastIsAskedOfTheLowerEnd) {
  Simulated s = simulate(100, 50, 0, 3);
  for (std::size_t i = 0; i < 50; ++i) s.verdicts[i].score = s.opinions[i].yes >= 0.5 ? 1 : 0;
  Recheck r;
  r.at_least = 0.9;
  ASSERT_TRUE(compare_with_teacher(r, Task::kRelevance, s.opinions, s.sampled, s.verdicts));
  EXPECT_EQ(r.alarm, "") << "50 of 50 show .929";
  Recheck more;
  more.at_least = 0.95;
  ASSERT_TRUE(compare_with_teacher(more, Task::kRelevance, s.opinions, s.sampled, s.verdicts));
  EXPECT_NE(more.alarm.find("is not shown"), std::string::npos);
  EXPECT_EQ(more.surest.size(), 2u);
  EXPECT_EQ(more.surest[1].rows, 35u);
}

TEST(Recheck, LabelsThatNoneFitsAreNotComparedAndFewRowsSayNothing) {
  Simulated s = simulate(40, 30, 0, 3);
  for (auto& opinion : s.opinions) opinion.label = "a";
  for (std::size_t i = 0; i < 30; ++i) s.verdicts[i].label = i < 5 ? "" : "a";
  Recheck r;
  ASSERT_TRUE(compare_with_teacher(r, Task::kIntent, s.opinions, s.sampled, s.verdicts));
  EXPECT_EQ(r.none_fits, 5u);
  EXPECT_EQ(r.all.rows, 25u);
  EXPECT_EQ(r.all.agree, 25u);
  EXPECT_FALSE(r.yes);
  for (std::size_t i = 0; i < 15; ++i) s.verdicts[i].label = "";
  Recheck few;
  const auto refused = compare_with_teacher(few, Task::kIntent, s.opinions, s.sampled, s.verdicts);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kInvalidRequest);
}

TEST(Recheck, ALineReadsBack) {
  const Simulated s = simulate(400, 100, 0.5, 1);
  Recheck r;
  r.at = WallTime{1'760'000'000'000'000};
  r.specialist = "judge \"v1\"";
  r.version = "j1";
  r.teacher = "big";
  r.data = "rows.jsonl";
  r.data_hash = "00ff";
  r.seed = 7;
  r.rows = 400;
  r.at_least = 0.875;
  r.cost = Picousd{1'230'000'000};
  ASSERT_TRUE(compare_with_teacher(r, Task::kFaithfulness, s.opinions, s.sampled, s.verdicts));
  ASSERT_FALSE(r.alarm.empty());
  const std::string line = recheck_json(r);
  const auto read = parse_recheck(line);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(recheck_json(*read), line);
  for (const std::string bad : {"", "[]", R"({"schema":"understudy.recheck/2"})", R"({"schema":"understudy.recheck/1","at":"yesterday"})",
                                R"({"schema":"understudy.recheck/1","at":"2026-05-11T00:00:00Z","agreement":{"rows":1}})"}) {
    const auto refused = parse_recheck(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().kind, ErrorKind::kCorrupt);
  }
}

TEST(Recheck, TheHistoryTellsTheLastOneAndTheNextSeed) {
  EXPECT_EQ(history_of("a/judge/"), "a/judge.rechecks.jsonl");
  EXPECT_EQ(next_seed(""), 1u);
  EXPECT_FALSE(last_recheck(""));
  Simulated s = simulate(100, 50, 0, 3);
  Recheck first, second;
  first.seed = 1;
  second.seed = 2;
  ASSERT_TRUE(compare_with_teacher(first, Task::kRelevance, s.opinions, s.sampled, s.verdicts));
  ASSERT_TRUE(compare_with_teacher(second, Task::kRelevance, s.opinions, s.sampled, s.verdicts));
  const std::filesystem::path file = std::filesystem::temp_directory_path() / ("rechecks-" + std::to_string(::getpid()) + ".jsonl");
  std::filesystem::remove(file);
  ASSERT_TRUE(append_recheck(file, first));
  ASSERT_TRUE(append_recheck(file, second));
  std::string text = file_text(file);
  EXPECT_EQ(next_seed(text), 3u);
  EXPECT_EQ(last_recheck(text)->seed, 2u);
  EXPECT_EQ(last_recheck(text + "{\"schema\":\"understudy.rech")->seed, 2u) << "a line that was cut";
  std::filesystem::remove(file);
  const auto refused = append_recheck(std::filesystem::path("/nowhere") / "judge.rechecks.jsonl", first);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kIo);
}

}  // namespace
}  // namespace understudy::monitors
