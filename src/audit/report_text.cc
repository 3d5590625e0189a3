#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "audit/report.h"

namespace understudy::audit {
namespace {

/// "$70.35", "$360.4", "$0.0012": enough digits to compare, not more.
std::string usd(Int128 v) {
  const Int128 magnitude = v < 0 ? -v : v;
  const int decimals = magnitude >= Int128{kPicousdPerUsd} ? 2 : magnitude >= Int128{kPicousdPerUsd} / 100 ? 4 : magnitude == 0 ? 2 : 6;
  std::string digits = format_usd(magnitude, decimals);
  const std::size_t point = digits.find('.');
  for (std::size_t i = point; i > 3; i -= 3) {
    if (i - 3 > 0) digits.insert(i - 3, ",");
  }
  return (v < 0 ? "-$" : "$") + digits;
}

std::string percent(const Share& s) { return s.known() ? format_ratio(s.part * 100, s.whole, 1) + " %" : "  ?  "; }

std::string count(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

/// Columns that a terminal shows: UTF-8 continuation bytes take none.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// Names come from traces: control characters never reach the terminal.
std::string clean(std::string_view text, std::size_t width) {
  std::string out;
  std::size_t shown = 0;
  for (const char c : text) {
    const bool first = (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    if (first && shown + 1 >= width) {
      out += "…";
      break;
    }
    shown += first;
    out.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c);
  }
  return out;
}

std::string left(std::string_view text, std::size_t width) {
  std::string out = clean(text, width);
  const std::size_t used = columns(out);
  if (used < width) out.append(width - used, ' ');
  return out;
}

class Text {
 public:
  Text(const Report& report, const TextOptions& options) : r_(report), o_(options) {}
  std::string write();

 private:
  std::string paint(std::string_view text, int code) const {
    return o_.colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
  }
  std::string bold(std::string_view text) const { return paint(text, 1); }
  std::string dim(std::string_view text) const { return paint(text, 2); }
  std::string band(Band b) const {
    return paint(fmt::format("{:<9}", band_name(b)), b == Band::kConfirmed ? 31 : b == Band::kSuspect ? 33 : b == Band::kHealthy ? 32 : 2);
  }
  std::string bar(double share, std::size_t width) const {
    const auto eighths = static_cast<std::size_t>(std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(width) * 8));
    static constexpr std::string_view kParts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    std::string out;
    for (std::size_t i = 0; i < eighths / 8; ++i) out += "█";
    out += kParts[eighths % 8];
    const std::size_t used = columns(out);
    if (used < width) out.append(width - used, ' ');
    return out;
  }
  void heading(std::string_view text) { out_ += "\n" + bold(text) + "\n"; }
  void line(std::string text) {
    while (!text.empty() && text.back() == ' ') text.pop_back();
    out_ += text + "\n";
  }
  void inputs();
  void verdict();
  void concentration();
  void steps();
  void counterfactual();
  void weeks();
  void extras();
  void next_step();

  const Report& r_;
  const TextOptions& o_;
  std::string out_;
};

void Text::inputs() {
  std::string when = r_.first_day.empty() ? "" : r_.first_day == r_.last_day ? ", " + r_.first_day : ", " + r_.first_day + " to " + r_.last_day;
  line(fmt::format("{} {} calls, {} requests{}", bold("understudy audit"), count(r_.calls), r_.requests > 0 ? count(r_.requests) : "no", when));
  line(dim(fmt::format("  {} file{}, read as {}{}{}", r_.input.files, r_.input.files == 1 ? "" : "s", r_.format,
                       r_.input.duplicates > 0 ? fmt::format(", {} duplicates dropped", count(r_.input.duplicates)) : "",
                       r_.input.wrapping_spans > 0 ? fmt::format(", {} agent/chain spans not counted twice", count(r_.input.wrapping_spans)) : "")));
  for (const BookInfo& b : r_.books) {
    line(dim(fmt::format("  prices: {} {} ({} models, sha256 {})", b.name, b.date, b.models, b.sha256)));
  }
  if (r_.cost == CostChoice::kLogged) line(dim("  costs are the logged ones where the trace has them"));
  if (r_.input.malformed > 0) {
    line(paint(fmt::format("  {} malformed records were skipped:", count(r_.input.malformed)), 33));
    for (const MalformedSample& s : r_.input.samples) line(fmt::format("    {} line {}: {}", clean(s.file, 80), s.line, clean(s.why, 120)));
  }
  if (r_.unpriced.calls > 0) {
    std::string names;
    for (std::size_t i = 0; i < r_.unpriced_models.size() && i < 6; ++i) names += (i == 0 ? "" : ", ") + clean(r_.unpriced_models[i].first, 60);
    line(paint(fmt::format("  no price: {} calls, {} tokens ({} of all tokens) are in no dollar below: {}{}", count(r_.unpriced.calls),
                           count(r_.unpriced.tok_in + r_.unpriced.tok_out), percent(r_.unpriced_tokens), names,
                           r_.unpriced_models.size() > 6 ? ", ..." : ""), r_.too_much_unpriced() ? 31 : 33));
  }
}

void Text::verdict() {
  heading("Verdict");
  const int code = r_.verdict == "confirmed" ? 31 : r_.verdict == "suspect" ? 33 : 32;
  std::string what;
  if (r_.verdict == "confirmed") what = "a frontier model is paid for work that small specialists do";
  else if (r_.verdict == "suspect") what = "some of the bill looks misplaced";
  else if (r_.verdict == "healthy") what = "the money goes where a frontier model is needed";
  else what = "nothing here could be priced";
  line(fmt::format("  {}  {}", paint(r_.verdict, code), what));
  std::string eligible;
  if (r_.eligible().known()) eligible = fmt::format("; {} of it on steps a specialist can do", percent(r_.eligible()));
  if (r_.eligible().known() && r_.unattributed > 0) eligible += fmt::format(" (up to {} if the unattributed spend is such)", percent(r_.eligible_upper()));
  line(fmt::format("  {} spent{}", bold(usd(r_.total)), eligible));
  if (r_.retry_spend > 0) line(fmt::format("  {} of it on retries", usd(r_.retry_spend)));
  if (r_.errors_billed + r_.errors_unbilled > 0) line(fmt::format("  {} failed calls, {} of them paid for", count(r_.errors_billed + r_.errors_unbilled), count(r_.errors_billed)));
  out_ += "\n";
  const auto row = [&](std::string_view name, const std::string& value, Band b, std::string_view healthy) {
    if (b == Band::kUnknown) return;
    line(fmt::format("  {}{:>12}  {} {}", left(name, 34), value, band(b), dim(healthy)));
  };
  row("concentration on one model", percent(r_.concentration), r_.concentration_band, "healthy < 40 %");
  row("specialist-eligible fraction", percent(r_.eligible()), r_.eligible_band, "healthy < 20 %");
  if (r_.frontier_calls.known()) {
    row("frontier calls per request", format_ratio(r_.frontier_calls.part, r_.frontier_calls.whole, 2), r_.frontier_band,
        fmt::format("healthy 1; p50 {}, p95 {}", r_.frontier_p50, r_.frontier_p95));
    row("tokens per request", format_ratio(r_.tokens_per_request.part, r_.tokens_per_request.whole, 0), r_.tokens_band, "healthy < 5,000");
  }
  row(r_.rerank_share.part >= r_.faithfulness_share.part ? "rerank share" : "faithfulness share",
      percent(r_.rerank_share.part >= r_.faithfulness_share.part ? r_.rerank_share : r_.faithfulness_share), r_.check_band, "healthy < 5 %");
  row("generate share", percent(r_.generate_share), r_.generate_band, "healthy > 70 %");
}

void Text::concentration() {
  if (r_.models.empty()) return;
  heading("Test 1. Which model gets the money");
  line(dim(fmt::format("  {}{:>12}{:>14}{:>9}", left("model", 36), "calls", "cost", "share")));
  for (std::size_t i = 0; i < r_.models.size() && i < 12; ++i) {
    const ModelFigure& m = r_.models[i];
    std::string gap;
    if (m.logged_calls > 0 && m.logged != m.cost_where_logged) {
      gap = fmt::format("  logged {} {}", usd(m.logged > m.cost_where_logged ? m.logged - m.cost_where_logged : m.cost_where_logged - m.logged),
                        m.logged > m.cost_where_logged ? "more" : "less");
    }
    line(fmt::format("  {}{:>12}{:>14}{:>9}  {}{}", left(fmt::format("{} ({})", m.model, m.tier ? tier_name(*m.tier) : "no price"), 36),
                     count(m.sums.calls), usd(m.sums.cost), percent({m.sums.cost, r_.total}), bar(Share{m.sums.cost, r_.total}.value(), 14), gap));
  }
  if (r_.models.size() > 12) line(dim(fmt::format("  and {} more", r_.models.size() - 12)));
  if (r_.accounts.size() > 1) {
    line(fmt::format("  by account: {} has {}", clean(r_.accounts[0].first, 40), percent({r_.accounts[0].second, r_.total})));
  }
}

void Text::steps() {
  if (r_.steps.empty() || r_.only_bills) return;
  heading("Test 2. Which step spends it");
  line(dim(fmt::format("  {}{:>12}{:>16}{:>14}{:>9}", left("step", 20), "calls", "tokens", "cost", "share")));
  for (std::size_t i = 0; i < r_.steps.size() && i < 20; ++i) {
    const StepFigure& s = r_.steps[i];
    line(fmt::format("  {}{:>12}{:>16}{:>14}{:>9}  {} {}", left(s.step, 20), count(s.sums.calls), count(s.sums.tok_in + s.sums.tok_out),
                     usd(s.sums.cost), percent({s.sums.cost, r_.total}), bar(Share{s.sums.cost, r_.total}.value(), 14),
                     s.candidate ? paint("specialise", 36) : s.kind == StepKind::kOpen ? dim("open-ended") : ""));
  }
  std::string sources;
  for (std::size_t i = 0; i < kStepSources; ++i) {
    if (r_.sources[i] > 0) sources += fmt::format("{}{} {}", sources.empty() ? "" : ", ", kStepSourceNames[i], count(r_.sources[i]));
  }
  line(dim("  steps were told by: " + sources));
  std::size_t named = 0;
  for (const TemplateGuess& g : r_.guesses) named += !g.step.empty();
  if (!r_.guesses.empty()) {
    line(dim(fmt::format("  {} prompt templates found, {} with a step; correct them once with --write-steps FILE, --steps FILE", r_.guesses.size(), named)));
  }
}

void Text::counterfactual() {
  if (r_.steps.empty() || r_.only_bills) return;
  heading("Test 3. What it would cost on specialists");
  line(dim(fmt::format("  {}{:>14}{:>14}{:>14}   {}", left("step", 20), "now", "after", "saved", "where")));
  for (const StepFigure& s : r_.steps) {
    line(fmt::format("  {}{:>14}{:>14}{:>14}   {}", left(s.step, 20), usd(s.sums.cost), usd(s.counterfactual), usd(s.saved()), clean(s.target, 40)));
  }
  line(fmt::format("  {}{:>14}{:>14}{:>14}   {}", left("total", 20), usd(r_.total), usd(r_.counterfactual), usd(r_.total - r_.counterfactual),
                   bold(percent({r_.total - r_.counterfactual, r_.total}) + " less")));
  if (!r_.ladder.empty()) {
    line(dim("  one step at a time, largest saving first:"));
    for (std::size_t i = 0; i < r_.ladder.size() && i < 8; ++i) {
      const Rung& rung = r_.ladder[i];
      line(fmt::format("  {}{}{:>14}  {}", left(fmt::format("{}. {}", i + 1, rung.step), 20), left("", 14), usd(rung.total_after),
                       bar(Share{rung.total_after, r_.total}.value(), 30)));
    }
  }
  line(dim("  a price is not a measurement: how often a specialist would have agreed is not known from prices"));
}

void Text::weeks() {
  if (r_.weeks.empty()) return;
  heading("Test 4. Week by week");
  line(dim(fmt::format("  {}{:>12}{:>14}{:>10}{:>10}{:>10}  {:<15}{}", left("week", 12), "calls", "cost", "eligible", "upper", "generate", "95 %", "band")));
  const std::size_t first = o_.weekly || r_.weeks.size() <= 6 ? 0 : r_.weeks.size() - 6;
  if (first > 0) line(dim(fmt::format("  ({} earlier weeks; --weekly shows all)", first)));
  for (std::size_t i = first; i < r_.weeks.size(); ++i) {
    const WeekFigure& w = r_.weeks[i];
    line(fmt::format("  {}{:>12}{:>14}{:>10}{:>10}{:>10}  {:<15}{}{}", left(w.week, 12), count(w.calls), usd(w.total), percent(w.fraction()), percent(w.upper()),
                     percent(w.generate()), w.low ? fmt::format("{:.1f}-{:.1f} %", *w.low * 100, *w.high * 100) : "", band(w.band),
                     w.partial ? dim(" this week, partial") : w.thin ? dim(" few calls") : ""));
  }
  for (const Alarm& a : r_.alarms) {
    line(paint(fmt::format("  alarm: {} the fraction went {} through {}", a.week, a.up ? "up" : "down", a.threshold), a.up ? 31 : 32));
  }
  if (r_.trend_per_quarter) line(dim(fmt::format("  trend: {:+.1f} points a quarter", *r_.trend_per_quarter * 100)));
}

void Text::extras() {
  if (r_.waterfall.requests > 0) {
    heading("Inside a request");
    line(fmt::format("  {:.2f} frontier calls one after another (p95 {}), over {} sampled requests", r_.waterfall.mean_serial_frontier,
                     r_.waterfall.p95_serial_frontier, count(r_.waterfall.requests)));
    std::string parts;
    for (const auto& [step, share] : r_.waterfall.latency_share) parts += fmt::format("{}{} {:.0f} %", parts.empty() ? "" : ", ", clean(step, 30), share * 100);
    line("  time spent in: " + parts);
    if (r_.waterfall.has_resent) line(fmt::format("  at most {:.0f} % of later calls' input was in an earlier call of the request", r_.waterfall.resent_share * 100));
  }
  if (r_.projection) {
    const Projection& p = *r_.projection;
    heading(fmt::format("At {} users, {} requests each", count(p.users), count(p.requests_per_user)));
    if (!p.now) {
      line("  unknown: the trace has no request ids");
    } else {
      line(fmt::format("  now {}; steps on specialists {}", usd(*p.now), usd(*p.specialised)));
      if (p.cascade) {
        line(fmt::format("  with {} answering first, {:.0f} % escalated and lessons leaving {:.0f} % of those: {}", p.student, p.escalation * 100,
                         p.lessons * 100, usd(*p.cascade)));
      }
    }
  }
  if (r_.reconcile) {
    const Reconcile& c = *r_.reconcile;
    heading("Against the bill");
    line(fmt::format("  bill {}, trace {}: {} covered", usd(c.bill), usd(c.trace), percent(c.coverage())));
    if (c.coverage().compare_percent(95) < 0) line(paint("  below 95 %: every share above is of a sample of the bill", 33));
    if (c.coverage().compare_percent(105) > 0) line(paint("  the trace costs more than the bill: are account, days and prices the same?", 33));
    for (std::size_t i = 0; i < c.lines.size() && i < 10; ++i) {
      const ReconcileLine& l = c.lines[i];
      if (l.bill == l.trace) continue;
      line(fmt::format("  {}{:>12} bill {:>12} trace {:>12}", left(l.model, 34), l.day == kNoDay ? "" : iso_date(l.day), usd(l.bill), usd(l.trace)));
    }
  }
  heading("Sister patterns");
  for (const Sister& s : r_.sisters) {
    const std::string mark = !s.fired ? dim("?") : *s.fired ? paint("!", 31) : paint("-", 32);
    line(fmt::format("  {} {}{}", mark, left(s.title, 49), !s.fired ? dim("no data: " + s.message) : clean(s.message, 200)));
  }
  if (!r_.missing.empty()) {
    heading("What was missing");
    for (const std::string& m : r_.missing) line("  " + m);
  }
}

void Text::next_step() {
  heading("Next");
  const StepFigure* best = nullptr;
  for (const StepFigure& s : r_.steps) {
    if (s.candidate && (best == nullptr || s.saved() > best->saved())) best = &s;
  }
  if (r_.verdict == "unknown") {
    line("  give the prices of these models with --prices FILE (docs/formats/prices.md), or take the trace's own with --cost logged");
  } else if (r_.only_bills) {
    line("  export the calls too (docs/guide/audit.md): a bill cannot tell which step spent it");
  } else if (best != nullptr) {
    line(fmt::format("  start with {}: {} of {} saved. Put the gateway in front of it in shadow mode:", bold(best->step), usd(best->saved()), usd(best->sums.cost)));
    line("    understudy serve --shadow");
  } else if (r_.unattributed * 2 > r_.total) {
    line("  label the calls (a `step` on each, or export with prompts): without steps nobody can say what to move");
  } else {
    line("  nothing stands out; run this again next month, or in CI with --fail-on confirmed");
  }
}

std::string Text::write() {
  inputs();
  verdict();
  concentration();
  steps();
  counterfactual();
  weeks();
  extras();
  next_step();
  return std::move(out_);
}

}  // namespace

std::string report_text(const Report& report, const TextOptions& options) { return Text(report, options).write(); }

}  // namespace understudy::audit
