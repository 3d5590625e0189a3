#include "app/status_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/curve_page.h"
#include "app/html.h"
#include "app/human.h"
#include "base/base64.h"
#include "gateway/key_ring.h"

namespace understudy::app {
namespace {

/// The last week, in hours where there is a week of them.
constexpr std::int64_t kCurveUs = std::int64_t{7} * 86'400'000'000;
constexpr std::size_t kCurvePoints = 60;

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--bg:#f7f7f5;--card:#fff;--ink:#1d1f21;--dim:#62666b;--line:#dedfdc;--good:#17653a;--good-bg:#ddf1e4;--warn:#7a5000;--warn-bg:#fbecc8;--bad:#96201d;--bad-bg:#f9dedc;--plain-bg:#e8eaed;--bar:#2f6f9f}
@media(prefers-color-scheme:dark){:root{--bg:#16181a;--card:#1f2225;--ink:#e6e7e8;--dim:#a0a5aa;--line:#35393d;--good:#8ddcac;--good-bg:#173826;--warn:#f0c674;--warn-bg:#40320f;--bad:#f2a09b;--bad-bg:#48201e;--plain-bg:#2e3236;--bar:#6fb3e0}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:66rem;margin:0 auto;padding:1rem}
h1{font-size:1.35rem;margin:.4rem 0 0}
h2{font-size:1.1rem;margin:1.8rem 0 .6rem}
h3{font-size:1.05rem;margin:0;overflow-wrap:anywhere}
p{margin:.35rem 0}
.dim{color:var(--dim)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem;margin:.9rem 0}
.figure,.task{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.75rem .9rem}
.figure b{display:block;font-size:1.15rem;font-weight:650;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.figure span{color:var(--dim);font-size:.88rem}
.task{margin:0 0 .9rem}
.head{display:flex;flex-wrap:wrap;gap:.35rem .6rem;align-items:baseline;margin-bottom:.3rem}
.state{border-radius:1rem;padding:.05rem .65rem;font-size:.85rem;font-weight:600;background:var(--plain-bg)}
.proven{color:var(--good);background:var(--good-bg)}
.warming,.pinned{color:var(--warn);background:var(--warn-bg)}
.never{color:var(--bad);background:var(--bad-bg)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));gap:.15rem 1.6rem;margin:.6rem 0}
dl div{display:flex;justify-content:space-between;gap:1rem;border-bottom:1px solid var(--line);padding:.18rem 0}
dt{color:var(--dim);white-space:nowrap}
dd{margin:0;text-align:right;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.lower{border-left:3px solid var(--bar);padding-left:.7rem;margin-top:.6rem}
svg.bar{display:block;width:100%;height:.6rem;margin:.5rem 0 .2rem;border-radius:.3rem;background:var(--plain-bg)}
svg.bar rect{fill:var(--bar)}
ul.alarms{list-style:none;margin:0;padding:0}
ul.alarms li{border-bottom:1px solid var(--line);padding:.4rem 0;overflow-wrap:anywhere}
code{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:.9em}
footer{margin:2rem 0 1rem;font-size:.88rem}
)css";

std::string share(double value) { return fmt::format("{:.1f} %", 100 * value); }

std::string interval(const std::optional<ShareInterval>& i) {
  return i ? fmt::format("{} of {} ({} to {})", share(i->share), human_count(i->n), share(i->low), share(i->high)) : "not measured yet";
}

std::string money(PicousdSum sum, std::int64_t covered, std::int64_t requests, bool estimated) {
  return covered > 0 || requests == 0 ? human_usd(sum.value, estimated) : "unknown";
}

class Page {
 public:
  void raw(std::string_view html) { out_ += html; }
  void text(std::string_view text) { out_ += html_escaped(printable(text)); }
  void paragraph(std::string_view words, std::string_view of_class = {}) {
    out_ += of_class.empty() ? "<p>" : fmt::format("<p class=\"{}\">", of_class);
    text(words);
    out_ += "</p>\n";
  }
  void figure(std::string_view value, std::string_view name) {
    raw("<div class=\"figure\"><b>");
    text(value);
    raw("</b><span>");
    text(name);
    raw("</span></div>\n");
  }
  void fact(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    raw("<div><dt>");
    text(name);
    raw("</dt><dd>");
    text(value);
    raw("</dd></div>\n");
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

void bill(Page& page, const store::Status& status) {
  const store::Totals& t = status.all;
  const bool estimated = t.teacher_cost_estimated > 0;
  page.raw("<div class=\"figures\">\n");
  page.figure(money(t.cost, t.requests - t.cost_unknown, t.requests, false), "spent, labels included");
  page.figure(money(t.teacher_cost, t.requests - t.teacher_cost_unknown, t.requests, estimated), "the teacher alone would have cost");
  page.figure(money(t.saved, t.saved_n, t.requests, estimated), "saved");
  page.figure(human_count(t.requests), "requests");
  const auto teacher = t.teacher_share();
  page.figure(teacher ? share(*teacher) : "-", "teacher calls per request");
  const store::Totals& d = status.last_24h;
  page.figure(money(d.saved, d.saved_n, d.requests, d.teacher_cost_estimated > 0), fmt::format("saved in the last 24 hours, over {}", counted(d.requests, "request")));
  page.raw("</div>\n");
  if (estimated) page.paragraph("~ is an estimate: where a cheap stage answered, nobody asked the teacher what it would have cost.", "dim");
  if (t.cost_unknown > 0) page.paragraph(fmt::format("The cost of {} is unknown and in no sum: a model has no price, or sent no usage.", counted(t.cost_unknown, "request")), "dim");
}

/// Both parts of the style sheet.
const std::string& style() {
  static const std::string both = std::string(kStyle) + std::string(curve_style());
  return both;
}

std::string style_hash() {
  const auto hash = gateway::hash_key(style());
  return base64(std::string_view(reinterpret_cast<const char*>(hash.data()), hash.size()));
}

/// The task's curve, which cascades share; nullptr where there is none.
const Curve* curve_of(const std::vector<Curve>& curves, const TaskView& task) {
  const auto found = std::find_if(curves.begin(), curves.end(), [&](const Curve& c) { return c.task == task.task; });
  return found == curves.end() ? nullptr : &*found;
}

void task_card(Page& page, const TaskView& task, const std::string& curve, WallTime now) {
  const store::Totals& t = task.all;
  page.raw("<section class=\"task\"><div class=\"head\"><h3>");
  page.text(task_label(task));
  page.raw(fmt::format("</h3><span class=\"state {}\">{}</span>", task.status(), task.by_hand ? std::string_view("by hand") : task.status()));
  if (task.pinned) page.raw("<span class=\"state pinned\">pinned to the teacher</span>");
  if (task.shadow) page.raw("<span class=\"state\">shadow</span>");
  if (!task.also.empty()) {
    page.raw("<span class=\"dim\">cascade ");
    page.text(task.cascade);
    page.raw("</span>");
  }
  page.raw("</div>\n");
  page.paragraph(state_sentence(task, now));
  if (const auto cheap = task.cheap_share()) {
    page.raw(fmt::format("<svg class=\"bar\" viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{} served by cheap stages\"><rect width=\"{:.2f}\" height=\"1\"/></svg>\n", share(*cheap), 100 * *cheap));
    page.paragraph(fmt::format("{} of {} served by cheap stages", share(*cheap), counted(t.requests, "request")), "dim");
  }
  page.raw(curve);
  page.raw("<dl>\n");
  if (task.alpha()) page.fact("promise", fmt::format("alpha {:.3g}, delta {:.3g}", *task.alpha(), *task.delta()));
  if (const calibration::LadderPolicy* policy = task.policy()) {
    page.fact("proof", fmt::format("{} bad of {} rows", policy->bad, human_count(static_cast<std::int64_t>(policy->rows))));
    page.fact("upper bound", fmt::format("{:.2f} %", 100 * policy->upper_bound));
    page.fact("version", fmt::format("{}, {}", policy->version, human_ago(WallTime{policy->proven_at_us}, now)));
  }
  if (task.report && !task.by_hand) {
    const calibration::PromiseReport& p = task.report->promise;
    page.fact("labels", fmt::format("{} to fit, {} to test", human_count(static_cast<std::int64_t>(p.fit_rows)), human_count(static_cast<std::int64_t>(p.test_rows))));
    if (const auto needed = task.labels_needed()) page.fact("labels needed", fmt::format("{}{}", p.labels_guessed && *needed > 0 ? "about " : "", human_count(static_cast<std::int64_t>(*needed))));
  }
  page.fact("thresholds", threshold_list(task, ", "));
  if (task.coin()) page.fact("spot-check coin", fmt::format("{:.3g}", *task.coin()));
  page.fact("agreement measured", interval(measured_agreement(task)));
  page.fact("teacher's noise floor", interval(noise_floor(task)));
  page.fact("spent", money(t.cost, t.requests - t.cost_unknown, t.requests, false));
  page.fact("teacher alone", money(t.teacher_cost, t.requests - t.teacher_cost_unknown, t.requests, t.teacher_cost_estimated > 0));
  page.fact("saved", money(t.saved, t.saved_n, t.requests, t.teacher_cost_estimated > 0));
  if (task.label_budget && task.label_spent_today) page.fact("labels today", fmt::format("{} of {}", human_usd(task.label_spent_today), human_usd(task.label_budget)));
  page.raw("</dl>\n");
  const auto sentences = [&](const std::vector<std::string>& lines) { return fmt::format("{}", fmt::join(lines, " ")); };
  page.raw("<p><b>Why the bill is what it is.</b> ");
  page.text(sentences(bill_reasons(task)));
  page.raw("</p>\n<p class=\"lower\"><b>What would lower it.</b> ");
  page.text(sentences(bill_advice(task)));
  page.raw("</p>\n</section>\n");
}

std::string judged(std::int64_t times, std::int64_t judged, std::int64_t agree) {
  if (times == 0) return "never";
  return judged == 0 ? counted(times, "time") : fmt::format("{}, right in {} of {}", counted(times, "time"), human_count(agree), human_count(judged));
}

void lessons(Page& page, const LessonPageFigures& l) {
  page.raw("<h2>Lessons</h2>\n");
  const std::string summary = lessons_summary(l.figures);
  page.paragraph(summary.empty() ? "None yet. Where the student was unsure or wrong, the teacher's answer becomes one." : summary, summary.empty() ? "dim" : "");
  if (l.newest.empty()) return;
  page.paragraph("The newest, with how often each was shown to a student, and held back by a coin although it was chosen. The whole ledger: understudy lessons list.", "dim");
  page.raw("<dl>\n");
  for (const store::LessonRecord& lesson : l.newest) {
    std::string ledger = fmt::format("{}, {}", lesson.task.empty() ? "no task" : lesson.task, lesson.state);
    if (lesson.injected + lesson.withheld > 0) {
      ledger += fmt::format("; shown {}; held back {}", judged(lesson.injected, lesson.injected_judged, lesson.injected_agree),
                            judged(lesson.withheld, lesson.withheld_judged, lesson.withheld_agree));
    }
    page.fact(fmt::format("{} {}", human_time(lesson.created).substr(0, 16), lesson.provenance), ledger);
  }
  page.raw("</dl>\n");
}

void alarms(Page& page, const store::Status& status) {
  page.raw("<h2>Alarms</h2>\n");
  if (status.alarms.empty()) {
    page.paragraph("None so far.", "dim");
    return;
  }
  page.raw("<ul class=\"alarms\">\n");
  for (const store::AlarmRecord& alarm : status.alarms) {
    page.raw("<li><b>");
    page.text(alarm.name);
    page.raw("</b> <code>");
    page.text(alarm.subject);
    page.raw("</code> <span class=\"dim\">");
    page.text(human_time(alarm.time) + " UTC");
    page.raw("</span><br>");
    page.text(alarm.message);
    page.raw("</li>\n");
  }
  page.raw("</ul>\n");
}

}  // namespace

std::string_view status_page_policy() {
  static const std::string policy = fmt::format("default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", style_hash());
  return policy;
}

std::string status_page_html(const store::Status& status, const TasksReport& tasks, const std::vector<Curve>& curves, const LessonPageFigures& learnt, bool running) {
  Page page;
  page.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>understudy</title>\n<style>");
  page.raw(style());
  page.raw("</style></head><body><main>\n<h1>understudy</h1>\n");
  page.paragraph(fmt::format("As of {} UTC{}. This page only shows; reload it for newer figures.", human_time(status.now),
                             status.first_request ? fmt::format(", everything since {} UTC", human_time(*status.first_request)) : ", nothing recorded yet"),
                 "dim");
  page.raw("<h2>The bill</h2>\n");
  bill(page, status);
  if (status.records_dropped > 0) page.paragraph(fmt::format("{} were lost because the journal was full: look at the disk.", counted(static_cast<std::int64_t>(status.records_dropped), "record")), "lower");
  page.raw("<h2>Tasks</h2>\n");
  if (tasks.tasks.empty()) page.paragraph("No task has been seen yet. Requests name theirs in the header x-understudy-task or in metadata.task.", "dim");
  constexpr std::size_t kMostShown = 100;
  for (std::size_t i = 0; i < std::min(kMostShown, tasks.tasks.size()); ++i) {
    const Curve* curve = curve_of(curves, tasks.tasks[i]);
    task_card(page, tasks.tasks[i], curve != nullptr ? curve_html(*curve, fmt::format("curve{}", i)) : "", status.now);
  }
  if (tasks.tasks.size() > kMostShown) page.paragraph(fmt::format("... and {} more with fewer requests: understudy tasks lists them all.", tasks.tasks.size() - kMostShown), "dim");
  lessons(page, learnt);
  alarms(page, status);
  page.raw("<footer class=\"dim\"><p>");
  page.text(running ? "On a terminal: " : "The gateway is not running. On a terminal: ");
  page.raw("<code>understudy tasks show TASK</code>, <code>understudy explain REQUEST_ID</code>. As JSON: <a href=\"/admin/api/openapi.json\">/admin/api/...</a></p></footer>\n</main></body></html>\n");
  return page.take();
}

Result<std::string> status_page(const Source& source) {
  auto reader = store::StoreReader::open(source.data);
  if (!reader) return fail(std::move(reader.error()));
  const auto status = reader->status();
  if (!status) return fail(status.error());
  const auto tasks = collect_tasks(source.data, source.live);
  if (!tasks) return fail(tasks.error());
  store::CurveQuery query;
  query.since = WallTime{status->now.us - kCurveUs};
  query.points = kCurvePoints;
  const auto curves = read_curves(*reader, query);
  if (!curves) return fail(curves.error());
  auto figures = read_lesson_figures(*reader, source, status->now);
  if (!figures) return fail(figures.error());
  store::LessonFilter newest;
  newest.limit = 10;
  auto listed = reader->lessons(newest);
  if (!listed) return fail(listed.error());
  return status_page_html(*status, *tasks, *curves, {std::move(*figures), std::move(listed->lessons)}, source.live != nullptr);
}

}  // namespace understudy::app
