// A task over time: the same from wherever the events are, from rows and from hourly sums, and in sum what status says.
#include "store/curve.h"

#include <fmt/format.h>

#include "store/internal/test_support.h"

namespace understudy::store {
namespace {

constexpr std::int64_t kMinuteMs = 60'000, kHourMs = 60 * kMinuteMs;
const std::string kTask = "intent";

struct Traffic {
  TempDir dir;
  SharedClock clock;
  std::unique_ptr<Store> store;
  std::uint64_t next = 1;

  Traffic() { store = open_store(dir.data(), slow_writer(&clock)); }
  StoreReader reader() { return open_reader(dir.data(), &clock); }

  /// The student serves; with a coin of `p` the teacher is asked behind it, a minute later, and agrees or not.
  void cheap(const std::string& task = kTask, double p = 0, bool agrees = true) {
    SampleRequest r(next++, task);
    AttemptEvent student = r.attempt();
    student.rung = "small";
    store->journal(0).append(student);
    RequestEvent request = r.request();
    request.coin = {p, p > 0};
    request.teacher_cost_estimated = true;
    store->journal(0).append(request);
    if (p <= 0) return;
    clock.advance_ms(kMinuteMs);
    AttemptEvent teacher = r.attempt(1, Stage::kTeacher);
    teacher.served = false;
    teacher.off_path = true;
    teacher.cost = Picousd{30'000};
    store->journal(0).append(teacher);
    LabelEvent label;
    label.request_id = r.id;
    label.source = "coin";
    label.stage = Stage::kStudent;
    label.agrees = agrees;
    label.propensity = p;
    label.rung = "small";
    store->journal(0).append(label);
    label.rung = "other";   // a rung that did not serve
    label.agrees = !agrees;
    store->journal(0).append(label);
  }
  void escalated(const std::string& task = kTask, bool known_cost = true) {
    SampleRequest r(next++, task);
    AttemptEvent student = r.attempt();
    student.served = false;
    store->journal(0).append(student);
    store->journal(0).append(r.attempt(1, Stage::kTeacher));
    RequestEvent request = r.request();
    request.served_by = Stage::kTeacher;
    request.escalated = true;
    request.cost = known_cost ? std::optional(Picousd{31'000}) : std::nullopt;
    request.teacher_cost = known_cost ? std::optional(Picousd{30'000}) : std::nullopt;
    request.reason = "below_threshold";
    store->journal(0).append(request);
  }

  void lesson(std::int64_t spent, const std::string& task = kTask) {
    LessonEvent e;
    const std::string id = fmt::format("les_{}", next++);
    e.lesson_id = id;
    e.request_id = id;
    e.task = task;
    e.state = "candidate";
    e.spent = Picousd{spent};
    e.detail = "{}";
    store->journal(0).append(e);
  }

  std::vector<TaskCurve> all(CurveQuery query) {
    auto curves = reader().curves(query);
    EXPECT_TRUE(curves) << curves.error().message;
    return curves ? std::move(*curves) : std::vector<TaskCurve>();
  }
  TaskCurve curve(std::size_t points = 40, bool by_requests = false, std::optional<std::string> task = kTask) {
    CurveQuery query;
    query.task = std::move(task);
    query.points = points;
    query.by_requests = by_requests;
    auto curves = all(query);
    EXPECT_EQ(curves.size(), 1u);
    return curves.empty() ? TaskCurve() : std::move(curves.front());
  }
};

std::string labels_text(const CurvePoint& p) {
  std::string text;
  for (const CurveLabels& l : p.labels) text += fmt::format(" {}:{}/{}", l.propensity, l.agree, l.n);
  return text;
}

std::string text_of(const CurvePoint& p) {
  return fmt::format("{} teacher {} calls {} esc {} coins {} cost {}/{} alone {}/{}/{}{}", p.requests, p.served_by[4], p.teacher_calls, p.escalated, p.coins, to_string(p.cost.value), p.cost_unknown,
                     to_string(p.teacher_cost.value), p.teacher_cost_unknown, p.teacher_cost_estimated, labels_text(p));
}

std::string text_of(const TaskCurve& curve) {
  std::string text;
  for (const CurvePoint& p : curve.points) text += text_of(p) + "\n";
  return text;
}

CurvePoint sum(const TaskCurve& curve) {
  CurvePoint s;
  for (const CurvePoint& p : curve.points) {
    s.requests += p.requests;
    for (std::size_t i = 0; i < kStageCount; ++i) s.served_by[i] += p.served_by[i];
    s.escalated += p.escalated;
    s.coins += p.coins;
    s.teacher_calls += p.teacher_calls;
    s.cost += p.cost;
    s.cost_unknown += p.cost_unknown;
    s.teacher_cost += p.teacher_cost;
    s.teacher_cost_unknown += p.teacher_cost_unknown;
    s.teacher_cost_estimated += p.teacher_cost_estimated;
    for (const CurveLabels& l : p.labels) {
      if (s.labels.empty()) s.labels.push_back({1, 0, 0});
      s.labels[0].n += l.n;
      s.labels[0].agree += l.agree;
    }
  }
  return s;
}

TEST(Curve, IsTheSameFromWhereverTheEventsAre) {
  const char* const expected =
      "2 teacher 2 calls 2 esc 2 coins 0 cost 31000/1 alone 30000/1/0\n"
      "0 teacher 0 calls 0 esc 0 coins 0 cost 0/0 alone 0/0/0\n"
      "2 teacher 0 calls 1 esc 0 coins 1 cost 32000/0 alone 60000/0/2 0.5:1/1\n"
      "2 teacher 0 calls 2 esc 0 coins 2 cost 62000/0 alone 60000/0/2 0.1:0/1 0.5:1/1\n";
  for (int flush_after = -1; flush_after < 6; ++flush_after) {
    SCOPED_TRACE(flush_after);
    Traffic t;
    t.clock.advance_ms(kHourMs - t.clock.wall().us / 1000 % kHourMs);   // a whole hour: buckets begin with it
    int step = 0;
    const auto stepped = [&] {
      if (step++ == flush_after) { ASSERT_TRUE(t.store->flush()); }
    };
    stepped();
    t.escalated();
    stepped();
    t.escalated(kTask, false);
    t.clock.advance_ms(30 * kMinuteMs);
    t.cheap("another");
    stepped();
    t.cheap(kTask, 0.5);
    stepped();
    t.cheap();
    t.clock.advance_ms(14 * kMinuteMs);
    t.cheap(kTask, 0.1, false);
    stepped();
    t.cheap(kTask, 0.5);
    stepped();
    const TaskCurve curve = t.curve(4);
    EXPECT_EQ(text_of(curve), expected);
    EXPECT_FALSE(curve.hourly);
    ASSERT_EQ(curve.points.size(), 4u);
    EXPECT_EQ(curve.points[1].from, curve.points[0].to);
    EXPECT_EQ(curve.points[1].from.us - curve.points[0].from.us, 15 * kMinuteMs * 1000);
    const std::vector<TaskCurve> every = t.all({});
    ASSERT_EQ(every.size(), 2u);
    EXPECT_EQ(every[0].task, kTask) << "most requests first";
    EXPECT_EQ(every[1].task, "another");
    EXPECT_EQ(text_of(sum(every[0])), text_of(sum(curve)));
  }
}

TEST(Curve, BetweenBatchesWhatARequestBeganWithIsFound) {
  Traffic t;
  SampleRequest r(1);
  t.store->journal(0).append(r.attempt(0, Stage::kTeacher));
  ASSERT_TRUE(t.store->flush());   // the request goes on in the tail
  RequestEvent request = r.request();
  request.served_by = Stage::kTeacher;
  t.store->journal(0).append(request);
  EXPECT_EQ(text_of(t.curve()), "1 teacher 1 calls 1 esc 0 coins 0 cost 1000/0 alone 30000/0/0\n");
  ASSERT_TRUE(t.store->flush());
  EXPECT_EQ(text_of(t.curve()), "1 teacher 1 calls 1 esc 0 coins 0 cost 1000/0 alone 30000/0/0\n");
}

TEST(Curve, ByRequestsHasEquallyMany) {
  for (const bool stored : {false, true}) {
    Traffic t;
    for (int i = 0; i < 10; ++i) {
      if (i == 5 && stored) { ASSERT_TRUE(t.store->flush()); }
      i < 4 ? t.escalated() : t.cheap(kTask, i == 8 ? 0.5 : 0);
      t.cheap("another");
      t.clock.advance_ms(i < 4 ? 100 : 50'000'000);   // hours between them: the hourly sums have no part in it
    }
    const TaskCurve curve = t.curve(4, true);
    EXPECT_FALSE(curve.hourly);
    ASSERT_EQ(curve.points.size(), 4u);
    EXPECT_EQ(curve.points[0].requests, 3);
    EXPECT_EQ(curve.points[0].teacher_calls, 3);
    EXPECT_EQ(curve.points[1].teacher_calls, 1);
    EXPECT_EQ(curve.points[2].teacher_calls, 1) << "the label's call came later, and counts to its request";
    EXPECT_EQ(labels_text(curve.points[2]), " 0.5:1/1");
    EXPECT_EQ(curve.points[3].requests, 1) << "the remainder";
    EXPECT_LT(curve.points[2].from, curve.points[2].to);
  }
}

TEST(Curve, HourlySumsAndRowsAgreeWithEachOtherAndWithStatus) {
  Traffic t;
  for (int i = 0; i < 60; ++i) {
    if (i == 40) { ASSERT_TRUE(t.store->flush()); }
    i % 3 == 0 ? t.escalated(kTask, i % 9 != 0) : t.cheap(kTask, i % 5 == 0 ? 0.25 : 0, i % 4 != 0);
    t.clock.advance_ms(13 * kMinuteMs);
  }
  const TaskCurve rows = t.curve(60), hours = t.curve(5);
  EXPECT_FALSE(rows.hourly);
  EXPECT_TRUE(hours.hourly);
  EXPECT_GT(rows.points.size(), 20u);
  EXPECT_LE(rows.points.size(), 60u);
  EXPECT_LE(hours.points.size(), 5u);
  EXPECT_GE(hours.points.size(), 3u);
  EXPECT_EQ(text_of(sum(rows)), text_of(sum(hours)));
  const auto status = t.reader().status();
  ASSERT_TRUE(status);
  const Totals& all = status->all;
  const CurvePoint total = sum(rows);
  EXPECT_EQ(total.requests, all.requests);
  EXPECT_EQ(total.teacher_calls, all.teacher_calls);
  EXPECT_EQ(total.cost, all.cost);
  EXPECT_EQ(total.cost_unknown, all.cost_unknown);
  EXPECT_EQ(total.teacher_cost, all.teacher_cost);
  ASSERT_EQ(total.labels.size(), 1u);
  EXPECT_EQ(total.labels[0].n, all.agreement_n());
  EXPECT_DOUBLE_EQ(static_cast<double>(total.labels[0].agree) / static_cast<double>(total.labels[0].n), *all.agreement());
}

TEST(Curve, LessonsArePartOfTheCost) {
  Traffic t;
  t.clock.advance_ms(2 * kHourMs - t.clock.wall().us / 1000 % (2 * kHourMs));
  for (int i = 0; i < 3; ++i) t.cheap();
  t.clock.advance_ms(30 * kMinuteMs);
  t.cheap();
  t.lesson(1'001);
  t.lesson(5'000, "another");
  ASSERT_TRUE(t.store->flush());
  t.lesson(-1);                          // less was needed than had been set aside
  t.clock.advance_ms(kHourMs);           // an hour with lessons and without requests
  t.lesson(7'000);
  t.clock.advance_ms(kHourMs);
  t.cheap();
  const auto lessons_of = [](const TaskCurve& curve) {
    std::string text;
    for (const CurvePoint& p : curve.points) {
      if (p.requests > 0 || p.lesson_cost.value != 0) text += fmt::format("{}:{} ", p.requests, to_string(p.lesson_cost.value));
    }
    return text;
  };
  const TaskCurve fine = t.curve(12);   // of 15 minutes
  EXPECT_FALSE(fine.hourly);
  EXPECT_EQ(lessons_of(fine), "3:750 1:250 0:7000 1:0 ") << "1,000 shared by the requests of the hour";
  EXPECT_EQ(lessons_of(t.curve(2)), "4:8000 1:0 ") << "by the hour";
  EXPECT_TRUE(t.curve(2).hourly);
  EXPECT_EQ(lessons_of(t.curve(5, true)), "1:250 1:250 1:250 1:7250 1:0 ") << "by requests, the idle hour's to the last bucket before";
  const auto status = t.reader().status();
  ASSERT_TRUE(status);
  for (const TaskTotals& task : status->tasks) {
    EXPECT_EQ(sum(fine).cost, task.all.cost) << task.task;
  }
}

TEST(Curve, HoldsToItsPeriodAndPoints) {
  Traffic t;
  const WallTime begin = t.clock.wall();
  for (int i = 0; i < 30; ++i) {
    t.cheap();
    t.clock.advance_ms(1'000);
  }
  CurveQuery query;
  query.task = kTask;
  query.since = WallTime{begin.us + 10'000'000};
  query.until = WallTime{begin.us + 20'000'000};
  for (const bool by_requests : {false, true}) {
    query.by_requests = by_requests;
    const auto curves = t.all(query);
    ASSERT_EQ(curves.size(), 1u);
    EXPECT_EQ(sum(curves[0]).requests, 10);
  }
  for (const std::size_t points : {1u, 2u, 7u, 29u}) {
    EXPECT_LE(t.curve(points).points.size(), points);
    EXPECT_LE(t.curve(points, true).points.size(), points);
    EXPECT_EQ(sum(t.curve(points)).requests, 30);
  }
  query.since = WallTime{begin.us + 3'600'000'000'000};
  query.until = std::nullopt;
  EXPECT_TRUE(t.all(query).empty());
  query = {};
  query.task = "nobody";
  EXPECT_TRUE(t.all(query).empty());
}

TEST(Curve, RequestsWithoutATaskHaveOne) {
  Traffic t;
  t.cheap("");
  t.cheap("", 0.5);
  t.cheap();
  for (const bool stored : {false, true}) {
    if (stored) { ASSERT_TRUE(t.store->flush()); }
    const TaskCurve curve = t.curve(40, false, "");
    EXPECT_EQ(curve.task, "");
    EXPECT_EQ(sum(curve).requests, 2);
    EXPECT_EQ(sum(curve).labels.size(), 1u);
  }
}

}  // namespace
}  // namespace understudy::store
