/// A task's promise as people and programs see it: states, sentences, JSON, the page; and pins on a real store.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "app/explain_report.h"
#include "app/queries.h"
#include "app/status_page.h"
#include "app/tasks_report.h"
#include "store/store.h"

namespace understudy::app {
namespace {

constexpr WallTime kNow{1'778'457'603'000'000};  // 2026-05-11T00:00:03Z
const TextStyle kPlain;

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// Value at a JSON pointer, as JSON text; "" where it is missing or the text is not JSON.
std::string at(const std::string& json, std::string_view pointer) {
  simdjson::dom::parser parser;
  const auto found = parser.parse(json).at_pointer(pointer);
  return found.error() == simdjson::SUCCESS ? simdjson::minify(found.value_unsafe()) : "";
}

std::string joined(const std::vector<std::string>& lines) { return fmt::format("{}", fmt::join(lines, "\n")); }

TaskView warming() {
  TaskView task;
  task.cascade = "default";
  task.task = "ticket_intent";
  task.report.emplace();
  task.report->key = "default/ticket_intent";
  task.report->cascade = "default";
  task.report->task = "ticket_intent";
  task.report->rungs = {{"cache", 0}, {"student", 15}};
  task.report->promise.why = "the task is new";
  task.report->promise.epoch = 1;
  task.report->promise.delta_left = 0.1;
  task.report->promise.fit_rows = 30;
  task.report->promise.test_rows = 20;
  task.report->promise.labels_needed = 612;
  task.all.requests = 50;
  task.all.served_by = {0, 0, 0, 0, 50};
  task.all.teacher_calls = 50;
  task.all.cost = {Int128{2} * kPicousdPerUsd};
  task.all.teacher_cost = {Int128{1} * kPicousdPerUsd};
  task.all.saved = {-Int128{1} * kPicousdPerUsd};
  task.all.saved_n = 50;
  return task;
}

TaskView proven() {
  TaskView task = warming();
  auto policy = std::make_shared<calibration::LadderPolicy>();
  policy->version = "1.2";
  policy->rungs.resize(2);
  policy->rungs[1].threshold = 0.8312;
  policy->alpha = 0.05;
  policy->delta = 0.1;
  policy->rows = 140;
  policy->bad = 2;
  policy->upper_bound = 0.0467;
  policy->proven_at_us = kNow.us - 7'200'000'000;
  task.report->policy = std::move(policy);
  task.report->promise.state = calibration::PromiseState::kProven;
  task.report->promise.coin = 0.1;
  task.report->promise.labels_needed = 0;
  task.report->promise.watched = 40;
  task.report->promise.watched_bad = 1;
  task.report->promise.e_value = 0.7;
  task.all.requests = 1'000;
  task.all.served_by = {100, 0, 0, 500, 400};
  task.all.labels = {{"coin", true, 40, 39}};
  task.noise = {50, 1};
  return task;
}

TEST(TaskJson, TellsOfTheDistilledJudgeThatComparesAnswers) {
  TaskView task = proven();
  EXPECT_EQ(at(task_json({"d", kNow, {task}}, task), "/distilled_judge"), "null");
  calibration::JudgeCheck& judge = task.report->promise.judge;
  judge.by = "replies-v1@c12";
  judge.both = 60;
  judge.same = 57;
  judge.alone = 20;
  calibration::PredictionPowered share;
  share.rate = 0.125;
  share.interval = {0.0625, 0.1875};
  share.lambda = 0.5;
  judge.shares.push_back({"student", share, 60, 20});
  const TasksReport report{"d", kNow, {task}};
  EXPECT_EQ(at(task_json(report, task), "/distilled_judge"),
            R"({"id":"replies-v1@c12","both":60,"same":57,"alone":20,"trusted":true,"disagreement":{"student":{"share":0.125,"low":0.0625,"high":0.1875,"lambda":0.5,"judged":60,"alone":20}}})");
  const std::string text = task_text(report, task, {});
  EXPECT_NE(text.find("says the same as the judge in 57 of 60 verdicts; 20 fit rows rest on it alone"), std::string::npos) << text;
  EXPECT_NE(text.find("12.5 % disagree"), std::string::npos) << text;
}

TEST(TaskJson, HasTheKeysOfTheSpecification) {
  const TasksReport report{"d", kNow, {proven()}};
  const std::string json = task_json(report, report.tasks[0]);
  EXPECT_EQ(at(json, "/schema"), "\"understudy.task/1\"");
  EXPECT_EQ(at(json, "/task"), "\"ticket_intent\"");
  EXPECT_EQ(at(json, "/requests"), "1000");
  EXPECT_EQ(at(json, "/promise/alpha"), "0.05");
  EXPECT_EQ(at(json, "/promise/delta"), "0.1");
  EXPECT_EQ(at(json, "/promise/status"), "\"proven\"");
  EXPECT_EQ(at(json, "/promise/upper_bound"), "0.0467");
  EXPECT_EQ(at(json, "/promise/rows"), "140");
  EXPECT_EQ(at(json, "/promise/version"), "\"1.2\"");
  EXPECT_EQ(std::stod(at(json, "/promise/age_s")), 7200);
  EXPECT_EQ(at(json, "/thresholds"), R"({"cache":"never","student":0.8312})");
  EXPECT_EQ(at(json, "/coin"), "0.1");
  EXPECT_EQ(at(json, "/labels_needed"), "0");
  EXPECT_EQ(at(json, "/teacher_noise"), "0.02");
  EXPECT_EQ(at(json, "/served"), R"({"cache":100,"knn":0,"specialist":0,"student":500,"teacher":400})");
  EXPECT_EQ(at(json, "/cost_usd"), "\"2\"");
  EXPECT_EQ(at(json, "/teacher_only_usd"), "\"1\"");
  EXPECT_EQ(at(json, "/agreement/n"), "40");
  EXPECT_LT(std::stod(at(json, "/agreement/low")), 0.9);
  EXPECT_EQ(std::stod(at(json, "/watch/alarm_at")), 10);
}

TEST(TaskJson, SaysNullWhereNothingIsKnown) {
  TaskView none;
  none.all.requests = 3;
  none.all.cost_unknown = none.all.teacher_cost_unknown = 3;
  const TasksReport report{"d", kNow, {none}};
  const std::string json = task_json(report, report.tasks[0]);
  for (const char* key : {"/task", "/promise/alpha", "/promise/upper_bound", "/promise/version", "/promise/age_s", "/coin", "/labels_needed", "/teacher_noise", "/cost_usd", "/teacher_only_usd", "/watch"}) {
    EXPECT_EQ(at(json, key), "null") << key;
  }
  EXPECT_EQ(at(json, "/promise/status"), "\"warming\"");
}

TEST(TaskJson, ByHandIsOutsideThePromise) {
  TaskView task = proven();
  task.by_hand = 0.8;
  const TasksReport report{"d", kNow, {task}};
  const std::string json = task_json(report, report.tasks[0]);
  EXPECT_EQ(at(json, "/promise/status"), "\"by_hand\"");
  EXPECT_EQ(at(json, "/promise/alpha"), "null");
  EXPECT_EQ(at(json, "/promise/upper_bound"), "null");
  EXPECT_EQ(at(json, "/thresholds/student"), "0.8");
  EXPECT_EQ(at(json, "/labels_needed"), "null");
  EXPECT_TRUE(contains(state_sentence(task, kNow), "outside the promise"));
  EXPECT_TRUE(contains(state_sentence(task, kNow), "97.5 % of 40")) << "the measured risk stands beside it";
}

TEST(TaskInsight, WarmingTellsHowManyLabelsAreMissing) {
  TaskView task = warming();
  EXPECT_TRUE(contains(joined(bill_advice(task)), "612 more labels (about 612 requests at coin 1) until the first cheap answer")) << joined(bill_advice(task));
  EXPECT_TRUE(contains(joined(bill_reasons(task)), "a loss of $1.00")) << joined(bill_reasons(task));
  task.report->promise.labels_guessed = true;
  EXPECT_TRUE(contains(joined(bill_advice(task)), "a first guess"));
  task.report->promise.labels_guessed = false;
  task.report->promise.foreseen_share = 0.42;
  EXPECT_TRUE(contains(joined(bill_advice(task)), "about 42 % of requests would be served cheaply"));
  task.report->promise.fit_rows = task.report->promise.test_rows = 0;
  EXPECT_TRUE(contains(joined(bill_advice(task)), "no labels"));
}

TEST(TaskInsight, NamesWhatStandsInTheWay) {
  TaskView never = warming();
  never.report->promise.state = calibration::PromiseState::kNever;
  never.report->promise.labels_needed.reset();
  EXPECT_TRUE(contains(joined(bill_advice(never)), "a better student, a signal"));
  never.report->promise.state = calibration::PromiseState::kWarming;
  EXPECT_TRUE(contains(joined(bill_advice(never)), "As far as 50 labels tell")) << "too early to say never";
  TaskView noisy = warming();
  noisy.noise = {40, 4};
  EXPECT_TRUE(contains(joined(bill_advice(noisy)), "disagrees with itself in 10 % of 40"));
  noisy.noise = {40, 0};
  EXPECT_FALSE(contains(joined(bill_advice(noisy)), "disagrees with itself"));
  TaskView poor = warming();
  poor.label_budget = Picousd{5 * kPicousdPerUsd};
  poor.label_spent_today = Picousd{5 * kPicousdPerUsd};
  EXPECT_TRUE(contains(joined(bill_advice(poor)), "money for labels is spent"));
  poor.label_spent_today = Picousd{kPicousdPerUsd};
  EXPECT_FALSE(contains(joined(bill_advice(poor)), "money for labels is spent"));
  TaskView pinned = proven();
  pinned.pinned = true;
  EXPECT_TRUE(contains(joined(bill_advice(pinned)), "understudy tasks pin ticket_intent auto"));
  TaskView shadow = warming();
  shadow.shadow = true;
  EXPECT_TRUE(contains(joined(bill_advice(shadow)), "mode = \"live\""));
  for (const TaskView& task : {never, noisy, poor, pinned, shadow, warming(), proven(), TaskView{}}) EXPECT_FALSE(bill_advice(task).empty());
}

TEST(TaskText, SaysWhatIsProvenAndByWhatRight) {
  const TasksReport report{"d", kNow, {proven()}};
  const std::string text = task_text(report, report.tasks[0], kPlain);
  for (const char* part : {"at most 5 % of what cheap stages serve disagrees", "at 90 % confidence", "tested on 140 fresh rows that it serves, 2 bad", "at most 4.7 %", "2 h", "cache never, student 0.83",
                           "Why the bill is what it is", "60 % of 1,000 requests were answered by cheap stages", "What would lower it"}) {
    EXPECT_TRUE(contains(text, part)) << part << "\n" << text;
  }
  const std::string list = tasks_text(report, kPlain);
  EXPECT_TRUE(contains(list, "ticket_intent") && contains(list, "proven") && contains(list, "4.7 %")) << list;
  EXPECT_TRUE(contains(tasks_text({"d", kNow, {}}, kPlain), "No task has been seen yet"));
}

TEST(FindTask, TakesNamesKeysAndTheDash) {
  TaskView other = warming();
  other.cascade = "support";
  TaskView none;
  none.cascade = "default";
  const TasksReport report{"d", kNow, {other, warming(), none}};
  EXPECT_EQ((*find_task(report, "ticket_intent"))->cascade, "default");
  EXPECT_EQ((*find_task(report, "support/ticket_intent"))->cascade, "support");
  EXPECT_EQ((*find_task(report, "-"))->task, "");
  const auto missing = find_task(report, "ticket_intnt");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(contains(missing.error().message, "did you mean \"ticket_intent\"?")) << missing.error().message;
}

TEST(StatusPage, EscapesWhatComesFromRequestsAndHoldsNoScript) {
  store::Status status;
  status.now = kNow;
  status.all.requests = 1'000;
  TaskView task = proven();
  task.task = "<script>alert('x')</script>&\"";
  task.also = {"<b>other</b>"};
  status.alarms = {{kNow, "promise", "default/<img src=x>", "3 of 4 <i>disagree</i>"}};
  const std::string html = status_page_html(status, {"d", kNow, {task}}, {}, {}, true);
  EXPECT_FALSE(contains(html, "<script")) << html;
  EXPECT_FALSE(contains(html, "<img") || contains(html, "<i>")) << html;
  EXPECT_TRUE(contains(html, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"));
  EXPECT_TRUE(contains(html, "3 of 4 &lt;i&gt;disagree&lt;/i&gt;"));
  EXPECT_FALSE(contains(html, " style=\"")) << "the policy forbids it";
}

TEST(StatusPage, ShowsTheLedgerOfLessonsAndNoTexts) {
  LessonPageFigures learnt;
  learnt.figures.totals.active = 3;
  learnt.figures.totals.candidate = 1;
  store::LessonRecord lesson;
  lesson.task = "<b>ticket</b>";
  lesson.state = "active";
  lesson.provenance = "escalation";
  lesson.created = kNow;
  lesson.injected = 40, lesson.injected_judged = 30, lesson.injected_agree = 27;
  lesson.withheld = 9, lesson.withheld_judged = 8, lesson.withheld_agree = 5;
  lesson.detail = "{\"input\":\"my secret\"}";
  learnt.newest = {lesson};
  const std::string html = status_page_html({}, {"d", kNow, {}}, {}, learnt, true);
  EXPECT_TRUE(contains(html, "3 in use, 1 not agreed to by the teacher"));
  EXPECT_TRUE(contains(html, "&lt;b&gt;ticket&lt;/b&gt;, active; shown 40 times, right in 27 of 30; held back 9 times, right in 5 of 8")) << html;
  EXPECT_FALSE(contains(html, "secret"));
  EXPECT_TRUE(contains(status_page_html({}, {"d", kNow, {}}, {}, {}, true), "None yet. Where the student was unsure"));
}

TEST(StatusPage, PolicyLetsExactlyItsOwnStyleSheetIn) {
  const std::string html = status_page_html({}, {"d", kNow, {}}, {}, {}, true);
  const std::size_t begin = html.find("<style>") + 7;
  const std::string style = html.substr(begin, html.find("</style>") - begin);
  const std::string policy(status_page_policy());
  EXPECT_TRUE(policy.starts_with("default-src 'none'; style-src 'sha256-")) << policy;
  EXPECT_FALSE(contains(policy, "unsafe"));
  EXPECT_EQ(policy.find('\'', policy.find("sha256-")) - policy.find("sha256-") - 7, 44u) << "32 bytes in base64";
  EXPECT_FALSE(style.empty());
}

TEST(ExplainText, ShowsThePromiseAndTheRow) {
  store::RequestDetail detail;
  detail.request.finished = true;
  detail.request.request_id = "req_1";
  detail.request.finished_at = kNow;
  detail.request.promise_version = "1.2";
  detail.request.coin_heads = true;
  detail.request.coin_probability = 0.1;
  ExplainedPromise promise;
  promise.policy = *proven().report->policy;
  promise.rungs = {"cache", "student"};
  const std::string without = explain_text(detail, kNow, false, kPlain, promise);
  EXPECT_TRUE(contains(without, "none: its label was not made")) << without;
  promise.row.emplace();
  promise.row->use = calibration::RowUse::kTest;
  promise.row->propensity = 0.1;
  promise.row->rungs = {{}, {true, 0.97, {}, true, 0}};
  promise.row_rungs = promise.rungs;
  promise.row_fate = "used in epoch 1";
  const std::string text = explain_text(detail, kNow, false, kPlain, promise);
  for (const char* part : {"of 140 fresh rows that it serves 2 were bad: at most 4.67 % disagree", "student: 0.8312", "cache: never", "test row, probability 0.1: used in epoch 1",
                           "student: raw confidence 0.9700, disagrees with the teacher", "cache: no usable answer"}) {
    EXPECT_TRUE(contains(text, part)) << part << "\n" << text;
  }
  const std::string json = explain_json(detail, promise);
  EXPECT_EQ(at(json, "/promise/thresholds"), R"({"cache":"never","student":0.8312})");
  EXPECT_EQ(at(json, "/promise/rows"), "140");
  EXPECT_EQ(at(json, "/row/use"), "\"test\"");
  EXPECT_EQ(at(json, "/row/rungs/1/agrees"), "false");
  EXPECT_EQ(at(json, "/row/rungs/0/raw_confidence"), "null");
  EXPECT_EQ(at(json, "/row/verdicts_by"), "null");
  EXPECT_EQ(at(json, "/row/estimated"), "false");
  EXPECT_EQ(at(json, "/row/rungs/1/verdict"), "null");
  EXPECT_EQ(at(explain_json(detail), "/promise"), "null");
  promise.row->use = calibration::RowUse::kFit;
  promise.row->verdicts_by = "replies-v1@c12";
  promise.row->estimated = true;
  promise.row->rungs[1].verdict = 0.25;
  const std::string judged = explain_text(detail, kNow, false, kPlain, promise);
  EXPECT_TRUE(contains(judged, "disagrees with the teacher; replies-v1@c12 says 0.25")) << judged;
  EXPECT_TRUE(contains(judged, "so the distilled judge: the row may teach, and is no label")) << judged;
  EXPECT_EQ(at(explain_json(detail, promise), "/row/rungs/1/verdict"), "0.25");
}

class TasksOnAStore : public testing::Test {
 protected:
  TasksOnAStore() : folder_(std::filesystem::temp_directory_path() / fmt::format("understudy-tasks-test-{}", ::getpid())) {
    std::filesystem::remove_all(folder_);
    auto store = store::Store::open(folder_, {});
    if (!store) throw std::runtime_error(store.error().message);
    for (const char* task : {"refunds", ""}) {
      store::RequestEvent event;
      const std::string id = fmt::format("req_{}", task);
      event.request_id = id;
      event.task = task;
      event.cascade = "default";
      event.mode = "live";
      event.served_by = Stage::kTeacher;
      event.threshold = 0.8;
      event.threshold_by_hand = *task == '\0';
      event.reason = "below_threshold";
      (*store)->journal(0).append(event);
    }
    store->reset();
  }
  ~TasksOnAStore() override { std::filesystem::remove_all(folder_); }
  Result<std::string> show(const std::string& name) { return answer_task({folder_.string()}, name, {.json = true, .style = {}}); }
  Result<std::string> pin(const std::string& name, const std::string& to) { return answer_pin({folder_.string()}, name, to, {.json = true, .style = {}}); }

  std::filesystem::path folder_;
};

TEST_F(TasksOnAStore, AreListedAlsoBeforeTheyHaveAPromise) {
  const auto tasks = answer_tasks({folder_.string()}, {.json = true, .style = {}});
  ASSERT_TRUE(tasks) << tasks.error().message;
  EXPECT_EQ(at(*tasks, "/tasks/0/requests"), "1");
  EXPECT_EQ(at(*show("refunds"), "/promise/status"), "\"warming\"");
  EXPECT_EQ(at(*show("-"), "/promise/status"), "\"by_hand\"");
  EXPECT_EQ(at(*show("-"), "/thresholds/student"), "0.8");
  EXPECT_FALSE(show("refund_"));
}

TEST_F(TasksOnAStore, PinsAreKeptAndTakenOff) {
  ASSERT_TRUE(pin("refunds", "teacher"));
  EXPECT_EQ(at(*show("refunds"), "/pinned"), "true");
  EXPECT_EQ(at(*show("-"), "/pinned"), "false");
  ASSERT_TRUE(pin("-", "teacher"));
  EXPECT_EQ(at(*show("-"), "/pinned"), "true");
  ASSERT_TRUE(pin("refunds", "auto"));
  EXPECT_EQ(at(*show("refunds"), "/pinned"), "false");
  const auto unknown = pin("refnds", "teacher");
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(contains(unknown.error().message, "did you mean \"refunds\"?")) << "a pin that nobody meets would be trusted";
  const auto wrong = pin("refunds", "student");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace understudy::app
