#include <gtest/gtest.h>
#include <simdjson.h>

#include <limits>
#include <string>

#include "app/answer_text.h"
#include "app/explain_report.h"
#include "app/requests_report.h"
#include "app/status_report.h"
#include "app/store_report.h"

namespace understudy::app {
namespace {

constexpr WallTime kNow{1'778'457'603'000'000};  // 2026-05-11T00:00:03Z
const TextStyle kPlain;

Picousd usd(double dollars) { return {static_cast<std::int64_t>(dollars * 1e12 + (dollars < 0 ? -0.5 : 0.5))}; }
PicousdSum sum(double dollars) { return {usd(dollars).value}; }

bool is_json(const std::string& text) {
  simdjson::dom::parser parser;
  return parser.parse(text).error() == simdjson::SUCCESS;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

store::RequestDetail confident() {
  store::RequestDetail d;
  store::RequestRecord& r = d.request;
  r.finished = true;
  r.finished_at = {kNow.us - 60'000'000};
  r.request_id = "req_1";
  r.task = "ticket_intent";
  r.requested_model = "understudy/auto";
  r.route = "/v1/chat/completions";
  r.cascade = "default";
  r.mode = "live";
  r.policy_version = "5f3a";
  r.coin_probability = 0.02;
  r.served_by = Stage::kStudent;
  r.served_model = "qwen";
  r.confidence = 0.9312;
  r.threshold = 0.8;
  r.threshold_by_hand = true;
  r.reason = "confident";
  r.status = 200;
  r.complete = true;
  r.cost = usd(0.0000123);
  r.teacher_cost = usd(0.00045);
  r.teacher_cost_estimated = true;
  r.latency_us = 312'000;
  r.overhead_us = 180;
  store::AttemptRecord a;
  a.stage = Stage::kStudent;
  a.model = "qwen";
  a.upstream_model = "qwen2.5:0.5b";
  a.provider = "ollama";
  a.status = 200;
  a.served = true;
  a.usage = Usage{.input = 123, .cached_input = 100, .output = 5};
  a.cost = usd(0.0000123);
  a.latency_us = 311'000;
  a.first_byte_us = 120'000;
  a.confidence = 0.9312;
  a.feature_schema = 1;
  a.features = {
      -0.0713f, -0.01f, -0.02f, -0.1f, -0.05f, -0.02f, -0.01f, -0.005f, -0.001f, 5.0f, std::numeric_limits<float>::quiet_NaN(),
      3.5f,     0.1f,   0.4f};
  a.finish_reason = "stop";
  a.answer = {R"({"role":"assistant","content":"{\"intent\":\"lost_card\"}"})", 0, true};
  d.attempts.push_back(a);
  d.body = {R"({"model":"understudy/auto","messages":[{"role":"user","content":"I lost\nmy card"}]})", 0, true};
  return d;
}

store::RequestDetail escalated() {
  store::RequestDetail d = confident();
  store::RequestRecord& r = d.request;
  r.request_id = "req_2";
  r.served_by = Stage::kTeacher;
  r.served_model = "gpt";
  r.confidence = 0.42;
  r.escalated = true;
  r.reason = "below_threshold";
  r.cost = usd(0.0004623);
  r.teacher_cost_estimated = false;
  r.agrees = false;
  r.label_source = "escalation";
  d.attempts[0].served = false;
  d.attempts[0].confidence = 0.42;
  store::AttemptRecord teacher = d.attempts[0];
  teacher.attempt = 1;
  teacher.stage = Stage::kTeacher;
  teacher.model = "gpt";
  teacher.served = true;
  teacher.confidence = std::nullopt;
  teacher.features.clear();
  teacher.answer.text = R"({"role":"assistant","content":"card_arrival"})";
  d.attempts.push_back(teacher);
  return d;
}

store::Status sample_status() {
  store::Status s;
  s.now = kNow;
  s.first_request = WallTime{kNow.us - 3 * 86'400'000'000};
  store::Totals& t = s.all;
  t.requests = 1000;
  t.served_by = {200, 0, 0, 590, 200};
  t.failed = 10;
  t.escalated = 190;
  t.coins = 20;
  t.teacher_calls = 215;
  t.cost = sum(0.12);
  t.cost_unknown = 4;
  t.teacher_cost = sum(0.45);
  t.teacher_cost_unknown = 14;
  t.teacher_cost_estimated = 770;
  t.saved = sum(0.33);
  t.saved_n = 986;
  t.latency_us = 250'000'000;
  t.overhead_us = 210'000;
  t.labels = {{"coin", true, 20, 19}, {"escalation", false, 190, 70}};
  s.last_24h = {};
  s.tasks = {{"ticket_intent", t, {}}};
  store::ModelTotals m;
  m.model = "gpt";
  m.provider = "openai";
  m.all.calls = 215;
  m.all.errors = 2;
  m.all.cost = sum(0.11);
  m.all.cost_unknown = 2;
  m.all.usage = {.input = 50'000, .cached_input = 1'000, .output = 2'000};
  m.all.latency_us = 215 * 800'000;
  s.models = {m};
  s.database_bytes = 1 << 20;
  return s;
}

TEST(StatusText, ShowsSumsWithWhatTheyDoNotCover) {
  const std::string text = status_text({"d", sample_status(), std::nullopt}, kPlain);
  EXPECT_EQ(
      text,
      "d, since 2026-05-08 00:00 UTC\n"
      "\n"
      "               last 24 h                all\n"
      "Requests               0              1,000\n"
      "  cache                0  -             200  20.0 %\n"
      "  student              0  -             590  59.0 %\n"
      "  teacher              0  -             200  20.0 %\n"
      "  failed               0  -              10  1.0 %\n"
      "Escalated              0  -             190  19.0 %\n"
      "Teacher calls          0  -             215  21.5 %\n"
      "Spot checks            0  -              20  2.0 %\n"
      "Agreement              -  no labels  95.0 %  of 20\n"
      "Spent                 $0              $0.12  + 4 unknown\n"
      "Teacher alone         $0             ~$0.45  + 14 unknown\n"
      "Saved                 $0  -          ~$0.33  73.3 %\n"
      "Mean latency           -             250 ms\n"
      "  of it ours           -             210 us\n"
      "~ What the teacher alone would have cost is estimated for 770 requests (others answered, or it sent no usage) and measured for 216.\n"
      "The cost of 4 requests is unknown and in no sum: a model has no price, or its server sent no usage (gpt). A price is given by "
      "[models.NAME] price = { input = \"...\", output = \"...\" }.\n"
      "What the teacher would have cost is unknown for 14 requests; no saving is counted there.\n"
      "\n"
      "LABELS FROM  JUDGED ANSWER    N   AGREE\n"
      "coin         served          20  95.0 %  counts as agreement\n"
      "escalation   not served     190  36.8 %  only unsure requests: says nothing about those served\n"
      "\n"
      "TASK           REQUESTS  24 H  TEACHER  AGREEMENT         SPENT   SAVED\n"
      "ticket_intent     1,000     0   20.0 %     95.0 %  of 20  $0.12  ~$0.33\n"
      "\n"
      "MODEL  AS       PROVIDER  CALLS  24 H  ERRORS  TOKENS IN  CACHED    OUT   COST                 MEAN\n"
      "gpt    teacher  openai      215     0       2     50,000   1,000  2,000  $0.11  + 2 unknown  800 ms\n"
      "\n"
      "Store: 1.0 MiB on disk, 0 B of it texts.\n");
}

TEST(StatusText, ShadowModeSaysWhatLiveWouldHaveSaved) {
  store::Status s = sample_status();
  store::ShadowTotals shadow;
  shadow.task = "ticket_intent";
  shadow.requests = 200;
  shadow.would_serve = 120;
  shadow.judged = 100;
  shadow.agree = 95;
  shadow.teacher_cost = sum(1.0);
  shadow.live_cost = sum(0.45);
  shadow.cost_unknown = 3;
  s.shadow = {shadow};
  const std::string text = status_text({"d", s, std::nullopt}, kPlain);
  EXPECT_TRUE(contains(text,
                       "Shadow: what live mode would have done with 200 requests\n"
                       "Student would serve          120  60.0 %\n"
                       "  agree with the teacher  95.0 %  of 100\n"
                       "Would have cost            $0.45  + 3 unknown\n"
                       "Teacher alone              $1.00  + 3 unknown\n"
                       "Would have saved           $0.55  55.0 %\n"))
      << text;
  EXPECT_TRUE(contains(status_text({"d", s, "ticket_intent"}, kPlain), "Would have saved")) << "with --task, too";
  const std::string json = status_json({"d", s, std::nullopt});
  EXPECT_TRUE(contains(json, R"("shadow":{"requests":200,"would_serve":120,"agreement":0.95,"agreement_n":100,"live_cost_usd":"0.45")")) << json;
  EXPECT_TRUE(contains(json, R"("would_save_usd":"0.55")")) << json;
  s.shadow[0].cost_unknown = 200;
  EXPECT_TRUE(contains(status_text({"d", s, std::nullopt}, kPlain), "Would have saved          unknown  a model has no price\n"));
  EXPECT_TRUE(contains(status_json({"d", sample_status(), std::nullopt}), R"("shadow":null)"));
}

TEST(StatusText, CostsOfTokensThatWeCountedAreMarked) {
  store::Status s = sample_status();
  s.models[0].all.usage.estimated = true;
  EXPECT_TRUE(contains(status_text({"d", s, std::nullopt}, kPlain), "Spent                 $0             ~$0.12  + 4 unknown\n"));
}

TEST(StatusText, AnEmptyStoreSaysWhatToDo) {
  const std::string text = status_text({"some-dir", {}, std::nullopt}, kPlain);
  EXPECT_TRUE(text.starts_with("Nothing is recorded in some-dir yet. Next:\n")) << text;
  EXPECT_TRUE(contains(text, "understudy serve --student M --teacher M --data some-dir"));
}

TEST(StatusText, UnknownIsNeverZero) {
  store::Status s = sample_status();
  s.all.cost = {};
  s.all.cost_unknown = s.all.requests;
  s.all.teacher_cost = {};
  s.all.teacher_cost_unknown = s.all.requests;
  s.all.teacher_cost_estimated = 0;
  s.all.saved = {};
  s.all.saved_n = 0;
  const std::string text = status_text({"d", s, std::nullopt}, kPlain);
  EXPECT_TRUE(contains(text, "Spent                 $0             unknown\n")) << text;
  EXPECT_TRUE(contains(text, "Saved                 $0  -          unknown\n")) << text;
  const std::string json = status_json({"d", s, std::nullopt});
  EXPECT_TRUE(contains(json, R"("cost_usd":null,"cost_picousd":null,"cost_unknown":1000)")) << json;
  EXPECT_TRUE(contains(json, R"("saved_usd":null,"saved_picousd":null,"saved_n":0)")) << json;
}

TEST(StatusText, ALossIsShownAsOne) {
  store::Status s = sample_status();
  s.all.saved = {usd(-0.05).value};
  EXPECT_TRUE(contains(status_text({"d", s, std::nullopt}, kPlain), "~-$0.05")) << status_text({"d", s, std::nullopt}, kPlain);
}

TEST(StatusText, NamesLostRecordsOpenCallsAndAlarms) {
  store::Status s = sample_status();
  s.records_dropped = 3;
  s.unsettled_reservations = 2;
  s.unsettled = sum(0.01);
  s.unfinished_requests = 1;
  s.alarms = {{{kNow.us - 1'000'000}, "spend", "gpt", "a lot\x1b[2J"}};
  const std::string text = status_text({"d", s, std::nullopt}, kPlain);
  EXPECT_TRUE(contains(text, "\nAttention\n  3 records lost")) << text;
  EXPECT_TRUE(
      contains(text, "  2 upstream calls begun whose end is not recorded (running now, or cut off by a crash); $0.01 set aside"))
      << text;
  EXPECT_TRUE(contains(text, "  1 request unfinished")) << text;
  EXPECT_TRUE(contains(text, "  05-11 00:00:02 spend gpt: a lot\\x1b[2J\n")) << text;
}

TEST(StatusText, OfOneTaskShowsOnlyItsSums) {
  const std::string text = status_text({"d", sample_status(), "ticket_intent"}, kPlain);
  EXPECT_TRUE(contains(text, "task ticket_intent\n")) << text;
  EXPECT_FALSE(contains(text, "MODEL")) << text;
}

TEST(StatusJson, IsExactAndParses) {
  const std::string json = status_json({"d", sample_status(), std::nullopt});
  ASSERT_TRUE(is_json(json)) << json;
  EXPECT_TRUE(json.starts_with(
      R"({"schema":"understudy.status/1","data":"d","now":"2026-05-11T00:00:03Z","since":"2026-05-08T00:00:03Z","task":null,)"));
  EXPECT_TRUE(contains(json, R"("served_by":{"cache":200,"knn":0,"specialist":0,"student":590,"teacher":200},"failed":10)"));
  EXPECT_TRUE(contains(json, R"("agreement":0.95,"agreement_n":20)")) << json;
  EXPECT_TRUE(contains(json, R"("saved_usd":"0.33","saved_picousd":"330000000000","saved_n":986)")) << json;
  EXPECT_TRUE(contains(json, R"("last_24h":{"requests":0,)"));
  EXPECT_TRUE(contains(json, R"("agreement":null,"agreement_n":0)"));
  EXPECT_TRUE(contains(json, R"("model":"gpt","provider":"openai","stage":"teacher")"));
  EXPECT_TRUE(json.ends_with("}\n"));
}

TEST(RequestsText, IsATableWithTheNextPage) {
  store::RequestPage page;
  page.requests = {confident().request, escalated().request};
  page.requests[1].task = "";
  page.requests[1].cost = std::nullopt;
  EXPECT_EQ(requests_text(page, kNow, "understudy requests --cursor r7", kPlain),
            "TIME (UTC)      REQUEST  TASK           BY       REASON           CONF        COST       SAVED    TOOK\n"
            "05-10 23:59:03  req_1    ticket_intent  student  confident        0.93  $0.0000123  ~$0.000438  312 ms\n"
            "05-10 23:59:03  req_2    -              teacher  below_threshold  0.42     unknown     unknown  312 ms\n"
            "More: understudy requests --cursor r7\n");
  EXPECT_EQ(requests_text({}, kNow, "", kPlain), "No such requests.\n");
}

TEST(RequestsText, AFailedRequestShowsItsStatus) {
  store::RequestPage page;
  page.requests = {confident().request};
  page.requests[0].served_by = std::nullopt;
  page.requests[0].status = 502;
  page.requests[0].error = "upstream_unreachable";
  EXPECT_TRUE(contains(requests_text(page, kNow, "", kPlain), "failed  502 upstream_unreachable"))
      << requests_text(page, kNow, "", kPlain);
}

TEST(RequestsJson, HasNullForWhatIsUnknown) {
  store::RequestPage page;
  page.requests = {confident().request};
  page.requests[0].cost = std::nullopt;
  page.next = "r7";
  const std::string json = requests_json(page);
  ASSERT_TRUE(is_json(json)) << json;
  EXPECT_TRUE(json.starts_with(
      R"({"schema":"understudy.requests/1","requests":[{"request_id":"req_1","finished":true,"time":"2026-05-10T23:59:03Z",)"));
  EXPECT_TRUE(contains(json, R"("cost_usd":null,"teacher_cost_usd":"0.00045","teacher_cost_estimated":true,"saved_usd":null)"))
      << json;
  EXPECT_TRUE(contains(json, R"("tenant":null)"));
  EXPECT_TRUE(contains(json, R"("latency_ms":312)"));
  EXPECT_TRUE(contains(json, R"("next":"r7")"));
}

TEST(EscalationsText, ShowsBothAnswersAndWhy) {
  EscalationPage page;
  page.escalations.push_back({escalated().request, escalated()});
  EXPECT_EQ(escalations_text(page, kNow, "", kPlain),
            "req_2  05-10 23:59:03  ticket_intent\n"
            "  why      below_threshold: confidence 0.42 against 0.80 (by hand)\n"
            "  asked    I lost my card\n"
            "  student  {\"intent\":\"lost_card\"}\n"
            "  teacher  card_arrival\n"
            "  signals  min_logprob -0.0713, first_logprob -0.01, mean_logprob -0.02, sum_logprob -0.1, logprob_q10 -0.05, logprob_q25 -0.02, logprob_q50 -0.01, logprob_q75 -0.005, lo…\n"
            "  same?    no\n"
            "  took     312 ms: student 311 ms, teacher 311 ms\n"
            "  cost     $0.000462 (the teacher alone: $0.00045)\n"
            "\n");
  EXPECT_EQ(escalations_text({}, kNow, "", kPlain), "No such escalations.\n");
}

TEST(EscalationsText, CallsOfASignalAreNoAnswers) {
  EscalationPage plain, with_signal;
  plain.escalations.push_back({escalated().request, escalated()});
  store::RequestDetail d = escalated();
  store::AttemptRecord check = d.attempts[0];
  check.rung = "student+self_check";
  check.served = false;
  check.answer = {R"({"role":"assistant","content":"yes"})", 38, true};
  d.attempts.push_back(check);
  with_signal.escalations.push_back({d.request, d});
  EXPECT_EQ(escalations_text(with_signal, kNow, "", kPlain), escalations_text(plain, kNow, "", kPlain));
}

TEST(EscalationsText, SaysWhatIsNotThere) {
  EscalationPage page;
  store::RequestDetail d = escalated();
  d.request.confidence = std::nullopt;
  d.request.reason = "student_error";
  d.attempts[0].error = "upstream_timeout";
  d.attempts[0].status = 0;
  d.attempts[1].answer = {};
  d.body = {};
  page.escalations.push_back({d.request, d});
  page.escalations.push_back({d.request, std::nullopt});
  const std::string text = escalations_text(page, kNow, "", kPlain);
  EXPECT_TRUE(contains(text,
                       "  why      student_error\n  asked    (not stored)\n  student  failed: upstream_timeout (status 0)\n  "
                       "teacher  (not stored)\n"))
      << text;
  EXPECT_TRUE(contains(text, "  texts    (not stored)\n")) << text;
  ASSERT_TRUE(is_json(escalations_json(page)));
  EXPECT_TRUE(contains(escalations_json(page), R"("request":null,"student":null,"teacher":null)"));
}

TEST(EscalationsJson, HoldsTexts) {
  EscalationPage page;
  page.escalations.push_back({escalated().request, escalated()});
  const std::string json = escalations_json(page);
  ASSERT_TRUE(is_json(json)) << json;
  EXPECT_TRUE(contains(
      json,
      R"("student":{"model":"qwen","confidence":0.42,"cost_usd":"0.0000123","text":"{\"intent\":\"lost_card\"}","truncated":false,"rung":null,"latency_ms":311,"first_byte_ms":120,"usage":{)"))
      << json;
  EXPECT_TRUE(contains(json, R"("features":{"min_logprob":-0.0713,)")) << json;
  EXPECT_TRUE(contains(json, R"("student_agrees":false)")) << json;
}

TEST(ExplainSentence, SaysWhyTheStudentServed) {
  EXPECT_EQ(explain_sentence(confident()),
            "The student answered with confidence 0.93, at or above 0.80 (set by hand), so its answer was served; it cost "
            "$0.0000123, the "
            "teacher would have cost ~$0.00045.");
}

TEST(ExplainSentence, SaysWhyTheTeacherServed) {
  EXPECT_EQ(explain_sentence(escalated()),
            "The student answered with confidence 0.42, below 0.80 (set by hand), so the teacher (gpt) was asked and served; it "
            "cost $0.000462, "
            "the teacher alone would have cost $0.00045.");
}

TEST(ExplainSentence, KnowsEveryReason) {
  const auto with = [](std::string_view reason, auto&& change) {
    store::RequestDetail d = escalated();
    d.request.reason = reason;
    change(d);
    return explain_sentence(d);
  };
  const auto same = [](store::RequestDetail&) {};
  EXPECT_TRUE(contains(with("no_signal", same), "without logprobs"));
  EXPECT_TRUE(contains(with("student_error",
                            [](auto& d) {
                              d.attempts[0].error = "upstream_status";
                              d.attempts[0].status = 500;
                            }),
                       "The student (qwen) failed (upstream_status, status 500), so the teacher (gpt) was asked"));
  EXPECT_TRUE(contains(with("cache_hit", [](auto& d) { d.request.served_by = Stage::kCache; }), "answered before"));
  EXPECT_TRUE(contains(with("mode", [](auto& d) { d.request.mode = "teacher"; }), "The mode \"teacher\" said who answers"));
  EXPECT_TRUE(contains(with("shadow", same), "shadow mode"));
  EXPECT_TRUE(contains(with("pinned", same), "\"ticket_intent\" is pinned"));
  EXPECT_TRUE(contains(with("no_student", same), "has no student"));
  EXPECT_TRUE(contains(with("teacher_error",
                            [](auto& d) {
                              d.request.served_by = Stage::kStudent;
                              d.request.served_model = "qwen";
                            }),
                       "let the student (qwen) serve, outside the promise"));
  EXPECT_TRUE(contains(with("direct", [](auto& d) { d.request.requested_model = "gpt"; }), "named the model \"gpt\""));
  EXPECT_TRUE(contains(with("something_new", same), "Served by the teacher (gpt); reason: something_new"));
  EXPECT_TRUE(contains(with("", same), "reason: not recorded"));
}

TEST(ExplainSentence, SaysWhatIsUnknownOrUnfinished) {
  store::RequestDetail d = confident();
  d.request.cost = std::nullopt;
  d.request.teacher_cost = std::nullopt;
  EXPECT_TRUE(contains(explain_sentence(d), "what it cost is unknown; what the teacher would have cost is unknown."));
  d.request.served_by = std::nullopt;
  d.request.status = 502;
  d.request.error = "upstream_unreachable";
  EXPECT_TRUE(
      explain_sentence(d).starts_with("No answer was served: the client got an error (status 502, upstream_unreachable);"));
  d.request.finished = false;
  EXPECT_TRUE(explain_sentence(d).starts_with("The end of this request is not recorded"));
}

TEST(ExplainSentence, TellsConfidenceAndThresholdApart) {
  store::RequestDetail d = escalated();
  d.request.confidence = 0.7996;
  EXPECT_TRUE(contains(explain_sentence(d), "confidence 0.7996, below 0.8000"));
  d.request.threshold = std::nullopt;
  EXPECT_TRUE(contains(explain_sentence(d), "confidence 0.80, and no threshold keeps the promise"));
}

TEST(ExplainText, ShowsDecisionAttemptsFeaturesAndTexts) {
  const std::string text = explain_text(confident(), kNow, false, kPlain);
  EXPECT_TRUE(text.starts_with("req_1\nThe student answered with confidence 0.93")) << text;
  EXPECT_TRUE(contains(text, "  when        2026-05-10 23:59:03 UTC (60 s ago); took 312 ms, 180 us of it ours\n")) << text;
  EXPECT_TRUE(contains(text, "  confidence  0.9312, threshold 0.8 (set by hand)\n")) << text;
  EXPECT_TRUE(contains(text, "  spot check  tails: not picked (probability 0.02)\n")) << text;
  EXPECT_TRUE(contains(text, "  policy      5f3a, cascade default, mode live\n")) << text;
  EXPECT_TRUE(contains(text, "  cost        $0.0000123; the teacher alone ~$0.00045; saved ~$0.000438\n")) << text;
  EXPECT_TRUE(contains(
      text, "\nAttempt 0: student, qwen, served\n  upstream    ollama qwen2.5:0.5b\n  result      status 200, finish stop\n"))
      << text;
  EXPECT_TRUE(contains(text, "  tokens      123 in (100 cached), 5 out\n")) << text;
  EXPECT_TRUE(contains(text, "    min_logprob    -0.0713  logprob_q75   -0.005\n")) << text;
  EXPECT_TRUE(contains(text, "min_margin      none\n")) << "not computed is not zero\n" << text;
  EXPECT_TRUE(contains(text, "  answer      {\"intent\":\"lost_card\"}\n")) << text;
  EXPECT_TRUE(contains(text, "  message     I lost my card\n")) << text;
}

TEST(ExplainText, FullKeepsLinesAndTheJsonItself) {
  store::RequestDetail d = confident();
  d.attempts[0].answer.text = "a\nb\x1b";
  const std::string text = explain_text(d, kNow, true, kPlain);
  EXPECT_TRUE(contains(text, "  answer\n    a\n    b\\x1b\n")) << text;
  EXPECT_TRUE(contains(text, "  body\n    {\"model\":\"understudy/auto\"")) << text;
}

TEST(ExplainText, ShowsLabelsFeedbackAndOpenCalls) {
  store::RequestDetail d = escalated();
  d.labels = {{"coin", Stage::kStudent, true, 0.02, "choice", kNow, ""}};
  d.feedback = {{"agent", 0.5, "good", "card_lost", "", kNow}};
  d.unsettled = {{"req_2", 2, Stage::kTeacher, "gpt", std::nullopt, kNow}};
  const std::string text = explain_text(d, kNow, false, kPlain);
  EXPECT_TRUE(contains(
      text, "  coin: the student's answer agrees with the teacher's, compared by choice (asked for with probability 0.02)\n"))
      << text;
  EXPECT_TRUE(contains(text, "  from agent: score 0.5, label good\n  correction  card_lost\n")) << text;
  EXPECT_TRUE(contains(text, "  attempt 2: teacher, gpt; unknown set aside\n")) << text;
}

TEST(ExplainText, NamesThePromiseAndRungs) {
  store::RequestDetail d = confident();
  d.request.promise_version = "3.1";
  d.request.served_rung = "student+self_check";
  d.attempts[0].rung = "student+self_check";
  d.labels = {{"coin", Stage::kStudent, false, 0.5, "", kNow, "mid"}, {"coin", Stage::kTeacher, true, 0.1, "", kNow, ""}};
  const std::string text = explain_text(d, kNow, false, kPlain);
  EXPECT_TRUE(contains(text, "  served by   student, qwen, rung student+self_check\n")) << text;
  EXPECT_TRUE(contains(text, "  policy      5f3a, promise 3.1, cascade default, mode live\n")) << text;
  EXPECT_TRUE(contains(text, "\nAttempt 0: student, qwen, served, for the rung student+self_check\n")) << text;
  EXPECT_TRUE(contains(text, "  coin: the mid's answer disagrees with the teacher's (asked for with probability 0.5)\n")) << text;
  EXPECT_TRUE(contains(text, "  coin: the teacher's second answer agrees with the teacher's (asked for with probability 0.1)\n")) << text;
}

TEST(ExplainText, IsSafeToPrint) {
  store::RequestDetail d = confident();
  d.request.task = d.request.error = d.request.tags = d.request.served_model = d.request.session = "\x1b]0;x\x07";
  d.request.promise_version = d.request.served_rung = "\x1b[2J";
  d.attempts[0].model = d.attempts[0].error = d.attempts[0].finish_reason = d.attempts[0].rung = "\x1b[2J";
  d.labels = {{"\x1b[2J", Stage::kStudent, true, 1, "\x1b[2J", kNow, "\x1b[2J"}};
  d.body.text = d.attempts[0].answer.text = "\x1b[2J";
  for (const bool full : {false, true}) EXPECT_FALSE(contains(explain_text(d, kNow, full, kPlain), "\x1b"));
}

TEST(ExplainJson, NamesFeaturesAndParses) {
  const std::string json = explain_json(confident());
  ASSERT_TRUE(is_json(json)) << json;
  EXPECT_TRUE(json.starts_with(R"({"schema":"understudy.explain/1","explanation":"The student answered)"));
  EXPECT_TRUE(contains(json, R"("features":{"min_logprob":-0.0713,"first_logprob":-0.01,)")) << json;
  EXPECT_TRUE(contains(json, R"("min_margin":null)"));
  EXPECT_TRUE(contains(json, R"("coin":{"heads":false,"probability":0.02})"));
  EXPECT_TRUE(contains(json, R"("usage":{"input":123,"cached_input":100,)"));
}

TEST(ExplainJson, NamesThePromiseRungsAndPromptOrNull) {
  store::RequestDetail d = confident();
  d.labels = {{"coin", Stage::kStudent, true, 0.5, "json", kNow, ""}};
  for (const char* part : {R"("promise_version":null)", R"("served_rung":null)", R"("prompt_hash":null)", R"("model":"qwen","rung":null)",
                           R"("stage":"student","rung":null,"agrees":true)"}) {
    EXPECT_TRUE(contains(explain_json(d), part)) << part;
  }
  d.request.promise_version = "3.1";
  d.request.prompt_hash = 0xAB;
  d.request.served_rung = d.attempts[0].rung = d.labels[0].rung = "mid";
  ASSERT_TRUE(is_json(explain_json(d)));
  for (const char* part : {R"("promise_version":"3.1")", R"("served_rung":"mid")", R"("prompt_hash":"00000000000000ab")",
                           R"("model":"qwen","rung":"mid")", R"("stage":"student","rung":"mid","agrees":true)"}) {
    EXPECT_TRUE(contains(explain_json(d), part)) << part;
  }
}

TEST(ExplainJson, NumbersFeaturesOfAListThatItDoesNotKnow) {
  store::RequestDetail d = confident();
  d.attempts[0].feature_schema = 99;
  d.attempts[0].features = {1.5f};
  EXPECT_TRUE(contains(explain_json(d), R"("feature_schema":99,"features":{"feature_0":1.5})"));
  EXPECT_TRUE(
      contains(explain_text(d, kNow, false, kPlain), "  features (list 99, not known to this version)\n    feature 0  1.5\n"));
}

TEST(MessageText, ReadsContentRefusalAndToolCalls) {
  EXPECT_EQ(message_text(R"({"role":"assistant","content":"hi"})"), "hi");
  EXPECT_EQ(message_text(R"({"role":"assistant","content":null,"refusal":"no"})"), "no");
  EXPECT_EQ(
      message_text(
          R"({"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]})"),
      "f({\"a\":1})");
  EXPECT_EQ(message_text(R"({"role":"assistant","content":"cut of)"), R"({"role":"assistant","content":"cut of)");
  EXPECT_EQ(stored_answer_text({R"({"role":"assistant","content":"hi"})", 500, true}), "hi (cut: 35 of 500 bytes are stored)");
  EXPECT_EQ(stored_request_text({}), "(not stored)");
}

TEST(CheckReport, ShowsFindingsAndVerdict) {
  store::CheckReport r;
  r.segments = 3;
  EXPECT_TRUE(check_text(r, "d", kPlain).starts_with("d: no errors\n  journal segments              3\n"))
      << check_text(r, "d", kPlain);
  r.ok = false;
  r.corrupt_bytes = 2048;
  r.findings = {{store::CheckFinding::Severity::kError, "journal/0-1", "checksum"}};
  const std::string text = check_text(r, "d", kPlain);
  EXPECT_TRUE(text.starts_with("d: errors found\n")) << text;
  EXPECT_TRUE(contains(text, "corrupt bytes               2.0 KiB\n")) << text;
  EXPECT_TRUE(text.ends_with("error: journal/0-1: checksum\n")) << text;
  const std::string json = check_json(r, "d");
  ASSERT_TRUE(is_json(json));
  EXPECT_TRUE(contains(json, R"("ok":false,)"));
  EXPECT_TRUE(contains(json, R"("findings":[{"severity":"error","place":"journal/0-1","message":"checksum"}])"));
}

TEST(CompactReport, SaysWhatWasRemoved) {
  store::CompactReport r{4096, 1024, 2, 0};
  EXPECT_EQ(compact_text(r, "d"), "d: 4.0 KiB before, 1.0 KiB after; 2 blocks of old texts removed\n");
  EXPECT_EQ(compact_json(r, "d"),
            "{\"schema\":\"understudy.store_compact/"
            "1\",\"data\":\"d\",\"bytes_before\":4096,\"bytes_after\":1024,\"body_blocks_removed\":2,"
            "\"requests_removed\":0}\n");
}

}  // namespace
}  // namespace understudy::app
