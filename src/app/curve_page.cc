#include "app/curve_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "app/curve_text.h"
#include "app/html.h"
#include "app/human.h"
#include "app/terminal.h"

namespace understudy::app {
namespace {

using store::CurvePoint;

constexpr std::string_view kStyle = R"css(
.curve{margin:.8rem 0 .4rem}
.plot{position:relative;height:19.5rem}
.plot svg{display:block;width:100%;height:100%;margin:0;border-radius:.4rem;background:none}
.plot p{position:absolute;left:0;right:0;margin:0;font-size:.85rem;line-height:1.4rem;white-space:nowrap;overflow:hidden;text-overflow:ellipsis;background:var(--card)}
.plot .l1{top:0}
.plot .l2{top:6.5rem}
.plot .l3{top:13rem}
@media(max-width:36rem){.plot p span{display:none}}
.plot path,.plot line{fill:none;vector-effect:non-scaling-stroke}
.plot .frame{fill:var(--bg)}
.plot .teacher{stroke:var(--warn);stroke-width:2}
.plot .cost{stroke:var(--good);stroke-width:2}
.plot .alone{stroke:var(--dim);stroke-width:1.5;stroke-dasharray:5 4}
.plot .agree{stroke:var(--bar);stroke-width:2}
.plot .band{fill:var(--bar);opacity:.22}
.plot .event{stroke:var(--dim);stroke-width:1;stroke-dasharray:2 3}
.plot .alarm{stroke:var(--bad);stroke-width:1.5}
.axis{display:flex;justify-content:space-between;gap:1rem;font-size:.8rem;color:var(--dim);margin:.2rem 0 .4rem}
.events{list-style:none;margin:.2rem 0;padding:0;font-size:.88rem}
.events li{padding:.1rem 0;overflow-wrap:anywhere}
.events b{color:var(--ink)}
.events .alarm b{color:var(--bad)}
.scroll{overflow-x:auto}
.curve summary{cursor:pointer;font-size:.88rem;color:var(--dim)}
.curve table{border-collapse:collapse;font-size:.82rem;font-variant-numeric:tabular-nums;width:100%}
.curve th,.curve td{text-align:right;padding:.15rem .5rem;border-bottom:1px solid var(--line);white-space:nowrap}
.curve th{color:var(--dim);font-weight:600}
.curve th:first-child,.curve td:first-child{text-align:left}
)css";

// The drawing's own units; it is stretched to whatever room there is, and lines keep their width.
constexpr double kWide = 1000;
constexpr double kLabelHigh = 30, kPlotHigh = 100, kPlotStep = kLabelHigh + kPlotHigh;   // 20 units are 1rem of the style sheet
constexpr double kHigh = 3 * kPlotStep;
constexpr std::size_t kMostEvents = 12;

using Values = std::vector<std::optional<double>>;

std::string share(double value) { return fmt::format("{:.1f} %", 100 * value); }

/// Where a bucket lies: to scale in time, or equally wide by requests.
class Axis {
 public:
  explicit Axis(const Curve& curve) : curve_(curve), from_(static_cast<double>(curve.points.front().from.us)), span_(std::max(1.0, static_cast<double>(curve.points.back().to.us) - from_)) {}
  double left(std::size_t i) const { return curve_.by_requests ? kWide * static_cast<double>(i) / size() : at(curve_.points[i].from); }
  double right(std::size_t i) const { return curve_.by_requests ? kWide * static_cast<double>(i + 1) / size() : at(curve_.points[i].to); }
  /// Of an event; by requests in its bucket's middle.
  double event(WallTime time) const {
    if (!curve_.by_requests) return std::clamp(at(time), 0.0, kWide);
    std::size_t i = 0;
    while (i + 1 < curve_.points.size() && curve_.points[i + 1].from <= time) ++i;
    return (left(i) + right(i)) / 2;
  }

 private:
  double size() const { return static_cast<double>(curve_.points.size()); }
  double at(WallTime t) const { return kWide * (static_cast<double>(t.us) - from_) / span_; }
  const Curve& curve_;
  double from_, span_;
};

/// One of the plots above each other: values from `low` at its foot to `high` at its head.
struct Plot {
  double top = 0, low = 0, high = 1;
  double y(double value) const { return top + kPlotHigh * (1 - (high > low ? std::clamp((value - low) / (high - low), 0.0, 1.0) : 0.5)); }
};

/// A line in steps, one a bucket, with gaps where nothing is known.
std::string steps(const Axis& axis, const Plot& plot, const Values& values, std::string_view of_class) {
  std::string d;
  bool drawn = false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i]) d += fmt::format("{}{:.1f} {:.1f}H{:.1f}", drawn ? "L" : "M", axis.left(i), plot.y(*values[i]), axis.right(i));
    drawn = values[i].has_value();
  }
  return fmt::format("<path class=\"{}\" d=\"{}\"/>\n", of_class, d);
}

std::string frame(const Plot& plot) { return fmt::format("<rect class=\"frame\" x=\"0\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n", plot.top, kWide, kPlotHigh); }

/// The first, last, least and greatest known value.
struct Ends {
  std::optional<double> first, last, least, most;
  std::string known(std::string (*text_of)(double)) const { return first ? fmt::format("{} to {}", text_of(*first), text_of(*last)) : "not known"; }
  std::string between(std::string (*text_of)(double)) const { return first ? fmt::format(" (min {}, max {})", text_of(*least), text_of(*most)) : ""; }
};
Ends ends_of(const Values& values) {
  Ends e;
  for (const auto& v : values) {
    if (!v) continue;
    if (!e.first) e.first = e.least = e.most = v;
    e.last = v;
    e.least = std::min(*e.least, *v);
    e.most = std::max(*e.most, *v);
  }
  return e;
}

std::string from_to(const Values& values, std::string (*text_of)(double)) { return ends_of(values).known(text_of) + ends_of(values).between(text_of); }

std::string usd(double picousd) { return human_usd(static_cast<Int128>(std::llround(picousd))); }

struct Figures {
  Values teacher, cost, alone, agree;
  std::vector<std::optional<ShareInterval>> agreement;
  CurvePoint whole;
};

Figures figures_of(const Curve& curve) {
  Figures f;
  const auto money = [](const std::optional<Picousd>& p) { return p ? std::optional(static_cast<double>(p->value)) : std::nullopt; };
  for (const CurvePoint& p : curve.points) {
    f.teacher.push_back(teacher_share(p));
    f.cost.push_back(money(cost_per_request(p)));
    f.alone.push_back(money(teacher_only_per_request(p)));
    f.agreement.push_back(agreement(p));
    f.agree.push_back(f.agreement.back() ? std::optional(f.agreement.back()->share) : std::nullopt);
  }
  f.whole = merged(curve.points, 0, curve.points.size());
  return f;
}

double most_of(const Values& values) {
  double most = 0;
  for (const auto& v : values) most = std::max(most, v.value_or(0));
  return most;
}

std::string agreement_text(const std::optional<ShareInterval>& a) {
  return a ? fmt::format("{} ({} to {}, {} checks)", share(a->share), share(a->low), share(a->high), human_count(a->n)) : "no spot check of a cheap answer yet";
}

std::string event_text(const CurveEvent& e) {
  std::string text = e.kind;
  if (!e.version.empty() && e.message.find(e.version) == std::string::npos) text += " " + e.version;
  if (!e.message.empty()) text += ": " + e.message;
  return html_escaped(printable(text));
}

std::string svg(const Curve& curve, const Figures& f, const std::vector<const CurveEvent*>& events, std::string_view id) {
  const Axis axis(curve);
  double least = 1;
  for (const auto& a : f.agreement) least = a ? std::min(least, a->low) : least;
  const Plot teacher{kLabelHigh, 0, std::max(1.0, most_of(f.teacher))};
  const Plot cost{kPlotStep + kLabelHigh, 0, 1.05 * std::max(most_of(f.cost), most_of(f.alone))};
  const Plot agree{2 * kPlotStep + kLabelHigh, std::floor(least * 20) / 20, 1};
  std::string out = fmt::format("<svg viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" role=\"img\" aria-labelledby=\"{}-t {}-d\">\n", kWide, kHigh, id, id);
  out += fmt::format("<title id=\"{}-t\">Curve of {}</title>\n", id, html_escaped(printable(curve.task.empty() ? "requests without a task" : curve.task)));
  out += fmt::format("<desc id=\"{}-d\">Teacher calls per request {}. Cost of a request {}, by the teacher alone {}. Agreement {}. The table below has every figure.</desc>\n", id,
                     from_to(f.teacher, share), from_to(f.cost, usd), from_to(f.alone, usd), agreement_text(agreement(f.whole)));
  for (const Plot& plot : {teacher, cost, agree}) out += frame(plot);
  for (std::size_t i = 0; i < f.agreement.size(); ++i) {
    if (!f.agreement[i]) continue;
    const double head = agree.y(f.agreement[i]->high), foot = agree.y(f.agreement[i]->low);
    out += fmt::format("<rect class=\"band\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>\n", axis.left(i), head, axis.right(i) - axis.left(i), foot - head);
  }
  for (const CurveEvent* e : events) {
    const double x = axis.event(e->time);
    out += fmt::format("<line class=\"{}\" x1=\"{:.1f}\" y1=\"0\" x2=\"{:.1f}\" y2=\"{}\"><title>{}</title></line>\n", e->kind == "alarm" ? "alarm" : "event", x, x, kHigh, event_text(*e));
  }
  out += steps(axis, teacher, f.teacher, "teacher") + steps(axis, cost, f.alone, "alone") + steps(axis, cost, f.cost, "cost") + steps(axis, agree, f.agree, "agree");
  return out + "</svg>\n";
}

std::string table(const Curve& curve, const Figures& f) {
  std::string out = "<details><summary>The figures as a table</summary><div class=\"scroll\"><table>\n<tr><th scope=\"col\">from (UTC)</th><th scope=\"col\">requests</th><th scope=\"col\">teacher calls</th>"
                    "<th scope=\"col\">by the teacher</th><th scope=\"col\">cost a request</th><th scope=\"col\">teacher alone</th><th scope=\"col\">agreement (95 %)</th><th scope=\"col\">checks</th></tr>\n";
  for (std::size_t i = 0; i < curve.points.size(); ++i) {
    const CurvePoint& p = curve.points[i];
    const auto part = [](const std::optional<double>& v) { return v ? share(*v) : std::string("-"); };
    const auto money = [&](const std::optional<Picousd>& v, bool estimated) { return p.requests == 0 ? std::string("-") : human_usd(v, estimated); };
    const auto& a = f.agreement[i];
    out += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n", human_time(p.from).substr(0, 19), human_count(p.requests), part(teacher_share(p)),
                       part(teacher_served_share(p)), money(cost_per_request(p), false), money(teacher_only_per_request(p), p.teacher_cost_estimated > 0),
                       a ? fmt::format("{} ({} to {})", share(a->share), share(a->low), share(a->high)) : "-", a ? human_count(a->n) : "0");
  }
  return out + "</table></div></details>\n";
}

}  // namespace

std::string_view curve_style() { return kStyle; }

std::string curve_html(const Curve& curve, std::string_view id) {
  if (curve.points.size() < 2) return {};
  const Figures f = figures_of(curve);
  std::vector<const CurveEvent*> events;
  for (const CurveEvent& e : curve.events) {
    if (!e.routine()) events.push_back(&e);
  }
  if (events.size() > kMostEvents) events.erase(events.begin(), events.end() - static_cast<std::ptrdiff_t>(kMostEvents));
  std::string out = "<div class=\"curve\"><div class=\"plot\">\n" + svg(curve, f, events, id);
  const auto label = [&](int place, std::string_view name, const Values& values, std::string (*text_of)(double)) {
    const Ends e = ends_of(values);
    out += fmt::format("<p class=\"l{}\"><b>{}</b> {}<span class=\"dim\">{}</span></p>\n", place, name, e.known(text_of), e.between(text_of));
  };
  label(1, "Teacher calls per request", f.teacher, share);
  label(2, "Cost of a request", f.cost, usd);
  out += fmt::format("<p class=\"l3\"><b>Agreement</b> {}</p></div>\n", agreement_text(agreement(f.whole)));
  const CurvePoint &first = curve.points.front(), &last = curve.points.back();
  const std::string width = curve.by_requests ? counted(first.requests, "request") + " a step" : span_text(first.to.us - first.from.us) + " a step";
  out += fmt::format("<div class=\"axis\"><span>{}</span><span>{}{}</span><span>{} UTC</span></div>\n", human_time(first.from).substr(0, 16), width, f.alone.empty() ? "" : "; dashed: the teacher alone", short_time(last.to, first.from).substr(0, 11));
  if (!events.empty()) {
    out += "<ul class=\"events\">\n";
    for (const CurveEvent* e : events) out += fmt::format("<li{}><b>{}</b> <span class=\"dim\">{}</span> {}</li>\n", e->kind == "alarm" ? " class=\"alarm\"" : "", html_escaped(std::string(1, event_mark(*e))), short_time(e->time, last.to), event_text(*e));
    out += "</ul>\n";
  }
  return out + table(curve, f) + "</div>\n";
}

}  // namespace understudy::app
