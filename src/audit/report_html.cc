// One self-contained page. Colours come from custom properties, so that light and dark need one set of marks; every plot has
// its numbers beside it or in its labels. No script, nothing fetched.
#include <fmt/format.h>

#include <algorithm>

#include "audit/report.h"

namespace understudy::audit {
namespace {

constexpr std::string_view kStyle = R"CSS(
:root{color-scheme:light dark;--bg:#fbfbf9;--card:#fff;--ink:#1d2026;--soft:#5d6470;--line:#e2e4e0;--now:#b8552f;--after:#2f7d6b;
--accent:#3b5bb5;--good:#2f7d4f;--warn:#9a6b00;--bad:#b3382c;--band1:#2f7d4f22;--band2:#c9931a26;--band3:#b3382c22}
@media (prefers-color-scheme:dark){:root{--bg:#14161a;--card:#1c1f25;--ink:#e8e9ec;--soft:#a0a7b4;--line:#30343c;--now:#e58a63;--after:#62b8a3;
--accent:#8aa4f0;--good:#6cc58f;--warn:#e0b14d;--bad:#f08a7e;--band1:#6cc58f1f;--band2:#e0b14d1f;--band3:#f08a7e22}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:960px;margin:0 auto;padding:24px 16px 64px}h1{font-size:1.5rem;margin:0 0 4px}h2{font-size:1.15rem;margin:40px 0 4px}
p{margin:4px 0 12px;color:var(--soft);max-width:70ch}.lead{color:var(--ink);font-size:1.1rem}.verdict{display:inline-block;padding:1px 12px;
border-radius:999px;font-weight:600;border:1.5px solid currentColor}.healthy{color:var(--good)}.suspect{color:var(--warn)}.confirmed{color:var(--bad)}
.unknown{color:var(--soft)}.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px;margin:12px 0;overflow-x:auto}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(148px,1fr));gap:12px;margin:16px 0}.tile{background:var(--card);border:1px solid var(--line);
border-radius:10px;padding:10px 14px}.tile b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}.tile span{color:var(--soft);font-size:.85rem}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}th{color:var(--soft);font-weight:500;text-align:left}
td,th{padding:5px 10px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}td.n,th.n{text-align:right;white-space:nowrap}tr:last-child td{border-bottom:0}td.n+td:not(.n),th.n+th:not(.n){padding-left:12px}
svg{display:block;width:100%;height:auto}.narrow{display:none}svg text{fill:var(--ink);font:13px system-ui,sans-serif}svg .s{fill:var(--soft);font-size:12px}
.key{display:flex;gap:16px;flex-wrap:wrap;font-size:.85rem;color:var(--soft);margin:4px 0 8px}.key i{display:inline-block;width:11px;height:11px;border-radius:3px;
margin-right:6px;vertical-align:-1px}.warnbox{border-left:4px solid var(--warn);padding:6px 12px;background:var(--band2);border-radius:4px;margin:10px 0}
ul{padding-left:20px;color:var(--soft)}footer{margin-top:48px;color:var(--soft);font-size:.82rem;overflow-wrap:anywhere}td.w{white-space:nowrap}
@media (max-width:560px){.wide,td.x,th.x{display:none}td.w{white-space:normal;overflow-wrap:anywhere}.narrow{display:block}main{padding:16px 10px 48px}.card{padding:10px}td,th{padding-right:7px}table{font-size:.84rem}.tile b{font-size:1.15rem}}
)CSS";

std::string escape(std::string_view text, std::size_t longest = 120) {
  std::string out;
  std::size_t shown = 0;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if ((u & 0xc0) != 0x80 && ++shown > longest) {
      out += "…";
      break;
    }
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out.push_back(u < 0x20 || u == 0x7f ? '?' : c);
    }
  }
  return out;
}

std::string usd(Int128 v) {
  const Int128 magnitude = v < 0 ? -v : v;
  std::string digits = format_usd(magnitude, magnitude >= Int128{kPicousdPerUsd} || magnitude == 0 ? 2 : 4);
  for (std::size_t i = digits.find('.'); i > 3; i -= 3) digits.insert(i - 3, ",");
  return (v < 0 ? "-$" : "$") + digits;
}

std::string count(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string percent(const Share& s) { return s.known() ? format_ratio(s.part * 100, s.whole, 1) + " %" : "?"; }

/// Every plot is drawn twice, for wide and for narrow screens, so that its text stays readable; the page shows one.
struct Room {
  double width;
  double label;  ///< for names on the left
  double value;  ///< for amounts on the right
  std::size_t letters;
};
constexpr Room kWide{640, 150, 150, 19};
constexpr Room kNarrow{360, 104, 92, 13};

template <typename Plot>
std::string both(const Report& r, Plot plot) {
  const std::string wide = plot(r, kWide);
  return wide.empty() ? wide : "<div class=\"wide\">" + wide + "</div><div class=\"narrow\">" + plot(r, kNarrow) + "</div>";
}

/// Bars per step: spend now above spend after, in dollars on one scale.
std::string plot_steps(const Report& r, const Room& room) {
  const std::size_t n = std::min<std::size_t>(r.steps.size(), 14);
  const double kWidth = room.width, left = room.label, right = room.value, row = 44, height = static_cast<double>(n) * row + 6;
  double most = 0;
  for (std::size_t i = 0; i < n; ++i) most = std::max({most, static_cast<double>(r.steps[i].sums.cost), static_cast<double>(r.steps[i].counterfactual)});
  if (most <= 0) return "";
  std::string out = fmt::format(R"X(<svg viewBox="0 0 {} {}" role="img" aria-label="Spend per step, now and on specialists">)X", kWidth, height);
  for (std::size_t i = 0; i < n; ++i) {
    const StepFigure& s = r.steps[i];
    const double y = static_cast<double>(i) * row + 6;
    const auto length = [&](Int128 v) { return std::max(1.5, (kWidth - left - right) * static_cast<double>(v) / most); };
    out += fmt::format(R"X(<text x="{}" y="{}" text-anchor="end">{}</text><text class="s" x="{}" y="{}" text-anchor="end">{}</text>)X", left - 10, y + 13,
                       escape(s.step, room.letters), left - 10, y + 29, percent({s.sums.cost, r.total}));
    const double now = length(s.sums.cost), after = length(s.counterfactual);
    out += fmt::format(R"X(<rect x="{0}" y="{1}" width="{2:.1f}" height="14" rx="3" fill="var(--now)"/><text class="s" x="{3:.1f}" y="{4}">{5}</text>)X", left, y + 2, now,
                       left + now + 6, y + 13, usd(s.sums.cost));
    out += fmt::format(R"X(<rect x="{0}" y="{1}" width="{2:.1f}" height="14" rx="3" fill="var(--after)"/><text class="s" x="{3:.1f}" y="{4}">{5}</text>)X", left, y + 18, after,
                       left + after + 6, y + 29, usd(s.counterfactual));
  }
  return out + "</svg>";
}

/// What is left of the bill after each step has moved.
std::string plot_ladder(const Report& r, const Room& room) {
  const std::size_t n = std::min<std::size_t>(r.ladder.size(), 10);
  if (n == 0 || r.total <= 0) return "";
  const double kWidth = room.width, left = room.label, right = room.value, row = 30;
  std::string out = fmt::format(R"X(<svg viewBox="0 0 {} {}" role="img" aria-label="Bill left after each step">)X", kWidth, static_cast<double>(n + 1) * row);
  const auto bar = [&](std::size_t i, std::string_view label, Int128 value, std::string_view colour) {
    const double y = static_cast<double>(i) * row;
    const double length = std::max(1.5, (kWidth - left - right) * Share{value, r.total}.value());
    out += fmt::format(R"X(<text x="{}" y="{}" text-anchor="end">{}</text><rect x="{}" y="{}" width="{:.1f}" height="18" rx="3" fill="{}"/>)X", left - 10, y + 18,
                       label, left, y + 4, length, colour);
    const std::string share = room.width > 400 && value != r.total ? fmt::format(" ({})", percent({value, r.total})) : std::string();
    out += fmt::format(R"X(<text class="s" x="{:.1f}" y="{}">{}{}</text>)X", left + length + 6, y + 18, usd(value), share);
  };
  bar(0, "now", r.total, "var(--now)");
  for (std::size_t i = 0; i < n; ++i) bar(i + 1, escape(fmt::format("then {}", r.ladder[i].step), room.letters), r.ladder[i].total_after, "var(--after)");
  return out + "</svg>";
}

/// The weekly fraction with its bands, interval and alarms.
std::string plot_weeks(const Report& r, const Room& room) {
  if (r.weeks.empty()) return "";
  const double kWidth = room.width, left = 44, right = 14, top = 14, bottom = 34, height = 250;
  const std::size_t most_labels = room.width > 400 ? 7 : 3;
  const std::size_t n = r.weeks.size();
  const auto x = [&](std::size_t i) { return n == 1 ? (left + kWidth - right) / 2 : left + (kWidth - left - right) * static_cast<double>(i) / static_cast<double>(n - 1); };
  const auto y = [&](double f) { return top + (height - top - bottom) * (1 - std::clamp(f, 0.0, 1.0)); };
  std::string out = fmt::format(R"X(<svg viewBox="0 0 {} {}" role="img" aria-label="Specialist-eligible fraction by week">)X", kWidth, height);
  const auto zone = [&](double from, double to, const char* fill) {
    out += fmt::format(R"X(<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}" fill="{}"/>)X", left, y(to), kWidth - left - right, y(from) - y(to), fill);
  };
  zone(0, 0.2, "var(--band1)");
  zone(0.2, 0.5, "var(--band2)");
  zone(0.5, 1, "var(--band3)");
  for (const int tick : {0, 20, 30, 50, 100}) {
    out += fmt::format(R"X(<text class="s" x="{}" y="{:.1f}" text-anchor="end">{}%</text><line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}" stroke="var(--line)"/>)X",
                       left - 6, y(tick / 100.0) + 4, tick, left, kWidth - right, y(tick / 100.0), y(tick / 100.0));
  }
  std::string upper, lower, path, up;
  for (std::size_t i = 0; i < n; ++i) {
    const WeekFigure& w = r.weeks[i];
    const double f = w.fraction().value();
    path += fmt::format("{}{:.1f} {:.1f}", i == 0 ? "M" : " L", x(i), y(f));
    up += fmt::format("{}{:.1f} {:.1f}", i == 0 ? "M" : " L", x(i), y(w.upper().value()));
    upper += fmt::format("{}{:.1f} {:.1f}", i == 0 ? "M" : " L", x(i), y(w.high.value_or(f)));
    lower = fmt::format(" L{:.1f} {:.1f}", x(i), y(w.low.value_or(f))) + lower;
  }
  if (n > 1) {
    out += fmt::format(R"X(<path d="{}{} Z" fill="var(--accent)" opacity=".18"/>)X", upper, lower);
    out += fmt::format(R"X(<path d="{}" fill="none" stroke="var(--soft)" stroke-dasharray="4 4"/>)X", up);
    out += fmt::format(R"X(<path d="{}" fill="none" stroke="var(--accent)" stroke-width="2.5"/>)X", path);
  }
  const std::size_t every = std::max<std::size_t>(1, (n + most_labels - 1) / most_labels);
  for (std::size_t i = 0; i < n; ++i) {
    const WeekFigure& w = r.weeks[i];
    out += fmt::format(R"X(<circle cx="{:.1f}" cy="{:.1f}" r="4.5" fill="{}" stroke="var(--accent)" stroke-width="2"><title>{}: {}</title></circle>)X", x(i), y(w.fraction().value()),
                       w.partial || w.thin ? "var(--card)" : "var(--accent)", w.week, percent(w.fraction()));
    if (i % every == 0) {
      const char* anchor = n > 1 && i + 1 == n ? "end" : "middle";
      out += fmt::format(R"X(<text class="s" x="{:.1f}" y="{}" text-anchor="{}">{}</text>)X", x(i), height - 10, anchor, w.week);
    }
    for (const Alarm& a : r.alarms) {
      if (a.week != w.week) continue;
      const double at = y(w.fraction().value()) - 12;
      out += fmt::format(R"X(<path d="M{0:.1f} {1:.1f} l-6 -10 h12 Z" fill="{2}"><title>{3} through {4}</title></path>)X", x(i), at, a.up ? "var(--bad)" : "var(--good)",
                         a.up ? "up" : "down", a.threshold);
    }
  }
  return out + "</svg>";
}

class Page {
 public:
  explicit Page(const Report& r) : r_(r) {}

  std::string write() {
    out_ = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
           "<title>Spend audit</title><style>";
    out_ += kStyle;
    out_ += "</style></head><body><main>";
    head();
    test_two_and_three();
    ladder();
    weekly();
    models();
    signals();
    rest();
    footer();
    return std::move(out_) + "</main></body></html>\n";
  }

 private:
  void head() {
    out_ += fmt::format("<h1>Where the money goes <span class=\"verdict {0}\">verdict: {0}</span></h1>", r_.verdict);
    const std::string when = r_.first_day.empty() ? "" : r_.first_day == r_.last_day ? " on " + r_.first_day : " from " + r_.first_day + " to " + r_.last_day;
    out_ += fmt::format("<p class=\"lead\">{} in {} calls{}.", usd(r_.total), count(r_.calls), when);
    if (r_.eligible().known()) {
      out_ += fmt::format(" {} of it paid for steps that a small specialist can do; on specialists the same work would cost {}.", percent(r_.eligible()), usd(r_.counterfactual));
    }
    out_ += "</p>";
    out_ += "<div class=\"tiles\">";
    const auto tile = [&](std::string_view value, std::string_view name) { out_ += fmt::format("<div class=\"tile\"><b>{}</b><span>{}</span></div>", value, name); };
    tile(usd(r_.total), "spent");
    if (r_.eligible().known()) tile(percent({r_.total - r_.counterfactual, r_.total}), "less on specialists");
    if (r_.eligible().known()) tile(percent(r_.eligible()), r_.unattributed > 0 ? fmt::format("eligible (up to {})", percent(r_.eligible_upper())) : "specialist-eligible");
    if (r_.frontier_calls.known()) tile(format_ratio(r_.frontier_calls.part, r_.frontier_calls.whole, 2), "frontier calls a request");
    out_ += "</div>";
    if (r_.unpriced.calls > 0) {
      out_ += fmt::format("<div class=\"warnbox\">{} calls ({} of all tokens) have no price and are in no figure here: ", count(r_.unpriced.calls), percent(r_.unpriced_tokens));
      for (std::size_t i = 0; i < r_.unpriced_models.size() && i < 8; ++i) out_ += (i == 0 ? "" : ", ") + escape(r_.unpriced_models[i].first, 60);
      out_ += "</div>";
    }
    if (r_.input.malformed > 0) out_ += fmt::format("<div class=\"warnbox\">{} malformed records were skipped.</div>", count(r_.input.malformed));
  }

  void test_two_and_three() {
    if (r_.steps.empty() || r_.only_bills) return;
    out_ += "<h2>Spend per step, now and on specialists</h2><p>Open-ended steps stay where they are; every other step is priced at the target shown.</p>"
            "<div class=\"card\"><div class=\"key\"><span><i style=\"background:var(--now)\"></i>now</span><span><i style=\"background:var(--after)\"></i>after</span></div>";
    out_ += both(r_, plot_steps) + "</div><div class=\"card\"><table><tr><th>step</th><th class=\"n x\">calls</th><th class=\"n x\">tokens</th><th class=n>now</th><th class=n>share</th>"
            "<th class=n>saved</th><th>runs on</th></tr>";
    for (const StepFigure& s : r_.steps) {
      out_ += fmt::format("<tr><td class=w>{}{}</td><td class=\"n x\">{}</td><td class=\"n x\">{}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td><td class=w>{}</td></tr>",
                          escape(s.step, 60), s.candidate ? " <b>•</b>" : "", count(s.sums.calls), count(s.sums.tok_in + s.sums.tok_out), usd(s.sums.cost),
                          percent({s.sums.cost, r_.total}), usd(s.saved()), escape(s.target, 60));
    }
    out_ += "</table></div><p>• specialisation candidate: above 10 % of the spend and closed-form.</p>";
  }

  void ladder() {
    const std::string plot = both(r_, plot_ladder);
    if (!plot.empty()) out_ += "<h2>One step at a time</h2><p>The bill left as steps move, largest saving first.</p><div class=\"card\">" + plot + "</div>";
  }

  void weekly() {
    if (r_.weeks.empty()) return;
    out_ += "<h2>Week by week</h2><p>Specialist-eligible fraction (line, with a 95 % interval by request where there are enough), its upper bound (dashed), the bands "
            "healthy, suspect and confirmed, and alarms (triangles). Hollow points are partial or thin weeks.</p><div class=\"card\">";
    out_ += both(r_, plot_weeks);
    for (const Alarm& a : r_.alarms) out_ += fmt::format("<p>{}: {} through {}</p>", a.week, a.up ? "up" : "down", a.threshold);
    out_ += "</div>";
  }

  void models() {
    out_ += "<h2>Per model</h2><div class=\"card\"><table><tr><th>model</th><th>tier</th><th class=\"n x\">calls</th><th class=n>cost</th><th class=n>share</th><th class=n>logged gap</th></tr>";
    for (std::size_t i = 0; i < r_.models.size() && i < 40; ++i) {
      const ModelFigure& m = r_.models[i];
      out_ += fmt::format("<tr><td class=w>{}</td><td>{}</td><td class=\"n x\">{}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td></tr>", escape(m.model, 80),
                          m.tier ? tier_name(*m.tier) : "?", count(m.sums.calls), usd(m.sums.cost), percent({m.sums.cost, r_.total}),
                          m.logged_calls > 0 ? usd(m.logged - m.cost_where_logged) : "");
    }
    out_ += "</table></div>";
  }

  void signals() {
    out_ += "<h2>Numbers that matter</h2><div class=\"card\"><table><tr><th>signal</th><th class=n>value</th><th>band</th></tr>";
    const auto row = [&](std::string_view name, const std::string& value, Band b) {
      if (b != Band::kUnknown) out_ += fmt::format("<tr><td>{0}</td><td class=n>{1}</td><td class={2}>{2}</td></tr>", name, value, band_name(b));
    };
    row("concentration on one frontier model", percent(r_.concentration), r_.concentration_band);
    row("specialist-eligible fraction", percent(r_.eligible()), r_.eligible_band);
    if (r_.frontier_calls.known()) {
      row("frontier calls per request", format_ratio(r_.frontier_calls.part, r_.frontier_calls.whole, 2), r_.frontier_band);
      row("tokens per request", format_ratio(r_.tokens_per_request.part, r_.tokens_per_request.whole, 0), r_.tokens_band);
    }
    row("rerank or faithfulness share", percent(r_.rerank_share.part >= r_.faithfulness_share.part ? r_.rerank_share : r_.faithfulness_share), r_.check_band);
    row("generate share", percent(r_.generate_share), r_.generate_band);
    out_ += "</table></div>";
  }

  void rest() {
    out_ += "<h2>Sister patterns</h2><div class=\"card\"><table>";
    for (const Sister& s : r_.sisters) {
      out_ += fmt::format("<tr><td class={}>{}</td><td>{}</td><td>{}</td></tr>", !s.fired ? "unknown" : *s.fired ? "confirmed" : "healthy",
                          !s.fired ? "no data" : *s.fired ? "fired" : "quiet", escape(s.title, 80), escape(s.message, 300));
    }
    out_ += "</table></div>";
    if (r_.reconcile) {
      out_ += fmt::format("<h2>Against the bill</h2><p>Bill {}, trace {}: {} covered.</p>", usd(r_.reconcile->bill), usd(r_.reconcile->trace), percent(r_.reconcile->coverage()));
    }
    if (!r_.missing.empty()) {
      out_ += "<h2>What was missing</h2><ul>";
      for (const std::string& m : r_.missing) out_ += "<li>" + escape(m, 400) + "</li>";
      out_ += "</ul>";
    }
  }

  void footer() {
    out_ += "<footer>Prices: ";
    for (const BookInfo& b : r_.books) out_ += fmt::format("{} {} (sha256 {}). ", escape(b.name), escape(b.date), b.sha256);
    out_ += fmt::format("Read as {} from {} file(s), {} duplicates, {} malformed. Price books may be wrong; nothing left this machine.</footer>", r_.format, r_.input.files,
                        r_.input.duplicates, r_.input.malformed);
  }

  const Report& r_;
  std::string out_;
};

}  // namespace

std::string report_html(const Report& report) { return Page(report).write(); }

}  // namespace understudy::audit
