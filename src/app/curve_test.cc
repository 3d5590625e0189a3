/// A curve's figures, and how it is written for terminals, programs and the page.

#include "app/curve.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "app/curve_page.h"
#include "app/curve_text.h"
#include "calibration/binomial.h"

namespace understudy::app {
namespace {

constexpr std::int64_t kHourUs = 3'600'000'000;
constexpr WallTime kBegin{494'000 * kHourUs};  // 2026-05-10T08:00:00Z

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string at(const std::string& json, std::string_view pointer) {
  simdjson::dom::parser parser;
  const auto found = parser.parse(json).at_pointer(pointer);
  return found.error() == simdjson::SUCCESS ? simdjson::minify(found.value_unsafe()) : "";
}

/// Four hours in which the teacher is needed less and less; nothing comes in the third.
Curve falling() {
  Curve curve;
  curve.task = "ticket_intent";
  for (int i = 0; i < 4; ++i) {
    store::CurvePoint p;
    p.from = WallTime{kBegin.us + i * kHourUs};
    p.to = WallTime{p.from.us + kHourUs};
    if (i != 2) {
      p.requests = 100;
      p.teacher_calls = 100 - 30 * i;
      p.served_by[4] = 90 - 30 * i;
      p.served_by[3] = 100 - p.served_by[4];
      p.escalated = 80 - 25 * i;
      p.cost = {Int128{100 - 25 * i} * 1'000'000'000};
      p.teacher_cost = {Int128{100} * 900'000'000};
      p.teacher_cost_estimated = 10;
      if (i > 0) p.labels = {{0.1, 20, 19}};
    }
    curve.points.push_back(p);
  }
  curve.events = {{WallTime{kBegin.us + 1}, "epoch", "", "default", "the task is new"},
                  {WallTime{kBegin.us + kHourUs + 5}, "test", "", "default", "passed"},
                  {WallTime{kBegin.us + kHourUs + 5}, "switch", "1.1", "default", "proven"},
                  {WallTime{kBegin.us + kHourUs + 9}, "lessons", "", "default", "40 <lessons>"},
                  {WallTime{kBegin.us + 3 * kHourUs + 5}, "alarm", "", "default", "the promise \x1b[2J is in doubt"}};
  return curve;
}

TEST(CurveFigures, AreExactAndNullWhereNothingIsKnown) {
  store::CurvePoint p;
  EXPECT_EQ(teacher_share(p), std::nullopt);
  EXPECT_EQ(cost_per_request(p), std::nullopt);
  EXPECT_FALSE(agreement(p));
  p.requests = 3;
  p.teacher_calls = 4;
  p.cost = {Int128{5}};
  p.cost_unknown = 1;
  p.teacher_cost_unknown = 3;
  EXPECT_DOUBLE_EQ(*teacher_share(p), 4.0 / 3) << "retries";
  EXPECT_EQ(cost_per_request(p), Picousd{3}) << "5 / 2, rounded half up";
  EXPECT_EQ(teacher_only_per_request(p), std::nullopt) << "unknown is not zero";
  p.cost_unknown = 0;
  p.cost = {Int128{9'000'000} * kPicousdPerUsd * 3};
  EXPECT_EQ(cost_per_request(p), (Picousd{9'000'000 * kPicousdPerUsd})) << "the sum does not fit 64 bits";
}

TEST(CurveFigures, AgreementUnderOneCoinIsClopperPearson) {
  const store::CurveLabels checks[] = {{0.1, 40, 38}};
  const auto a = agreement_of(checks);
  ASSERT_TRUE(a);
  const auto exact = calibration::clopper_pearson(38, 40);
  EXPECT_DOUBLE_EQ(a->share, 0.95);
  EXPECT_DOUBLE_EQ(a->low, exact.low);
  EXPECT_DOUBLE_EQ(a->high, exact.high);
  EXPECT_EQ(a->n, 40);
}

TEST(CurveFigures, WhereTheCoinChangedChecksCountForWhatTheyStandFor) {
  // 100 checks at 0.5 stand for 200 answers, 20 at 0.02 for 1000: of those half agree.
  const store::CurveLabels checks[] = {{0.02, 20, 10}, {0.5, 100, 100}, {0.9, 0, 0}};
  const auto a = agreement_of(checks);
  ASSERT_TRUE(a);
  EXPECT_DOUBLE_EQ(a->share, (1000 * 0.5 + 200 * 1.0) / 1200);
  EXPECT_LT(a->low, a->share);
  EXPECT_GT(a->high, a->share);
  EXPECT_EQ(a->n, 120);
  const auto plain = share_interval(110, 120);
  EXPECT_LT(a->high, plain->share) << "the plain mean would be far off, and sure of it";
}

TEST(CurveFigures, TheIntervalHoldsWhereTheCoinChanged) {
  // Answers of two halves of a bucket, the one checked at 0.5, the other at 0.1; the truth is their mean.
  std::uint64_t state = 7;
  const auto uniform = [&] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state >> 11) / 9007199254740992.0;
  };
  int held = 0;
  constexpr int kTrials = 1000;
  for (int trial = 0; trial < kTrials; ++trial) {
    store::CurveLabels checks[] = {{0.1, 0, 0}, {0.5, 0, 0}};
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 600; ++i) {
        if (uniform() >= checks[half].propensity) continue;
        ++checks[half].n;
        checks[half].agree += uniform() < (half == 0 ? 0.85 : 0.97);
      }
    }
    const auto a = agreement_of(checks);
    held += a && a->low <= 0.91 && 0.91 <= a->high;
  }
  EXPECT_GE(held, 940) << "95 % of 1000, less three standard errors";
}

TEST(CurveText, DrawsALineEachWithEventsUnderThem) {
  EXPECT_EQ(curve_text(falling(), {}),
            "Curve: 4 points of 1 h, 2026-05-10 08:00 to 05-10 12:00:00 UTC\n"
            "Teacher calls   █▆ ▂  100.0 % to 10.0 % (min 10.0 %, max 100.0 %)\n"
            "Cost a request  █▆ ▃  $0.001 to $0.00025 (min $0.00025, max $0.001)\n"
            "  teacher alone ▇▇ ▇  ~$0.0009 on average\n"
            "Agreement        ▄ ▄  95.0 % (83.1 to 99.4) of 40; min 95.0 %, max 95.0 %\n"
            "Events          ES !\n"
            "  1 test record: --json lists all\n"
            "  E 05-10 08:00:00  epoch: the task is new\n"
            "  S 05-10 09:00:00  switch 1.1: proven\n"
            "  L 05-10 09:00:00  lessons: 40 <lessons>\n"
            "  ! 05-10 11:00:00  alarm: the promise \\x1b[2J is in doubt\n");
}

TEST(CurveText, IsPlainAsciiWhereTheTerminalIs) {
  TextStyle style;
  style.utf8 = false;
  const std::string text = curve_text(falling(), style);
  for (const char c : text) ASSERT_TRUE(static_cast<unsigned char>(c) < 0x80) << text;
  EXPECT_TRUE(contains(text, "Teacher calls   #+ .  100.0 %")) << text;
}

TEST(CurveText, FitsItsWidthByMergingPoints) {
  Curve curve = falling();
  for (int i = 0; i < 96; ++i) {
    store::CurvePoint p = curve.points[static_cast<std::size_t>(i % 4)];
    p.from = curve.points.back().to;
    p.to = WallTime{p.from.us + kHourUs};
    curve.points.push_back(p);
  }
  TextStyle style;
  style.width = 100;  // 26 for the bars
  style.color = true;
  const std::string text = curve_text(curve, style);
  EXPECT_TRUE(contains(text, "25 points of 4 h")) << text;
  EXPECT_TRUE(contains(text, "\x1b[31m"));
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    std::string line = text.substr(begin, end - begin);
    for (std::size_t escape = line.find('\x1b'); escape != std::string::npos; escape = line.find('\x1b')) line.erase(escape, line.find('m', escape) - escape + 1);
    EXPECT_LE(display_width(line), 100u) << line;
    begin = end + 1;
  }
  EXPECT_EQ(curve_text(Curve(), style), "");
  style.width = 60;
  EXPECT_TRUE(contains(curve_text(curve, style), "  min ")) << "the ends give way";
}

TEST(CurveText, SaysWhatIsNotKnown) {
  Curve curve = falling();
  for (store::CurvePoint& p : curve.points) {
    p.cost = p.teacher_cost = {};
    p.cost_unknown = p.teacher_cost_unknown = p.requests;
    p.labels.clear();
  }
  curve.events.clear();
  const std::string text = curve_text(curve, {});
  EXPECT_TRUE(contains(text, "Cost a request        not known\n")) << text;
  EXPECT_TRUE(contains(text, "no spot check of a cheap answer yet\n")) << text;
  EXPECT_TRUE(contains(text, "The cost of 300 requests is unknown")) << text;
}

TEST(CurveJson, IsExactAndNullWhereNothingIsKnown) {
  Curve curve = falling();
  curve.points[3].cost_unknown = 100;
  const std::string json = curve_json(curve);
  EXPECT_EQ(at(json, "/schema"), "\"understudy.curve/1\"") << json;
  EXPECT_EQ(at(json, "/task"), "\"ticket_intent\"");
  EXPECT_EQ(at(json, "/points/0/from"), "\"2026-05-10T08:00:00Z\"");
  EXPECT_EQ(at(json, "/points/0/teacher_share"), "1");
  EXPECT_EQ(at(json, "/points/0/teacher_served_share"), "0.9");
  EXPECT_EQ(at(json, "/points/0/escalation_rate"), "0.8");
  EXPECT_EQ(at(json, "/points/0/cost_per_request_usd"), "\"0.001\"");
  EXPECT_EQ(at(json, "/points/0/cost_picousd"), "\"100000000000\"");
  EXPECT_EQ(at(json, "/points/0/teacher_only_per_request_usd"), "\"0.0009\"");
  EXPECT_EQ(at(json, "/points/0/agreement"), "null");
  EXPECT_EQ(at(json, "/points/1/agreement/n"), "20");
  EXPECT_EQ(at(json, "/points/1/checks/0"), R"({"propensity":0.1,"n":20,"agree":19})");
  EXPECT_EQ(at(json, "/points/2/teacher_share"), "null") << "nothing came";
  EXPECT_EQ(at(json, "/points/3/cost_per_request_usd"), "null");
  EXPECT_EQ(at(json, "/events/2"), R"({"time":"2026-05-10T09:00:00.000005Z","kind":"switch","version":"1.1","cascade":"default","message":"proven"})");
  EXPECT_EQ(at(json, "/events/3/kind"), "\"lessons\"") << "kinds that this version does not know";
}

TEST(CurvePage, HasItsTextsAndNothingFromOutside) {
  Curve curve = falling();
  curve.task = "<script>";
  const std::string html = curve_html(curve, "curve0");
  for (const char* part : {"<svg viewBox=\"0 0 1000 390\"", "role=\"img\" aria-labelledby=\"curve0-t curve0-d\"", "<title id=\"curve0-t\">Curve of &lt;script&gt;</title>", "<desc id=\"curve0-d\">Teacher calls per request 100.0 % to 10.0 %",
                           "<details><summary>The figures as a table</summary>", "<th scope=\"col\">requests</th>", "<b>!</b>", "lessons: 40 &lt;lessons&gt;", "class=\"band\""}) {
    EXPECT_TRUE(contains(html, part)) << part << "\n" << html;
  }
  EXPECT_FALSE(contains(html, "<script")) << html;
  EXPECT_FALSE(contains(html, " style=")) << "the page's policy forbids it";
  EXPECT_FALSE(contains(html, "http")) << html;
  EXPECT_FALSE(contains(html, "nan") || contains(html, "inf")) << html;
  // Nothing came in the third hour: the line has a gap there.
  EXPECT_TRUE(contains(html, "<path class=\"teacher\" d=\"M0.0 30.0H250.0L250.0 60.0H500.0M750.0 120.0H1000.0\"/>")) << html;
  curve.by_requests = true;
  EXPECT_TRUE(contains(curve_html(curve, "c"), "100 requests a step"));
  curve.points.resize(1);
  EXPECT_EQ(curve_html(curve, "c"), "") << "one point is no curve";
}

}  // namespace
}  // namespace understudy::app
