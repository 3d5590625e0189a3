#include "app/curve_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "app/human.h"

namespace understudy::app {
namespace {

using store::CurvePoint;

constexpr std::size_t kNameWidth = 16;
constexpr std::size_t kLeastBars = 10;
/// What the values behind a line may take; narrow terminals get the least and greatest alone.
constexpr std::size_t kLabelWidth = 56, kShortLabelWidth = 36, kNarrow = 90;
constexpr std::size_t kMostEvents = 8;
constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

/// One character a value, from `low` to `high`; a gap where there is none.
std::string bars(std::span<const double> values, double low, double high, bool utf8) {
  static constexpr std::string_view kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static constexpr std::string_view kAscii[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
  std::string out;
  for (const double value : values) {
    if (!std::isfinite(value)) {
      out += ' ';
      continue;
    }
    const double scaled = high > low ? std::clamp((value - low) / (high - low), 0.0, 1.0) * 7 : value > 0 ? 7 : 0;
    const auto level = static_cast<std::size_t>(std::lround(scaled));
    out += utf8 ? kBlocks[level] : kAscii[level];
  }
  return out;
}

std::string share_text(double share) { return fmt::format("{:.1f} %", 100 * share); }

struct Range {
  double first = kNothing, last = kNothing, least = kNothing, most = kNothing;
};
Range range_of(std::span<const double> values) {
  Range r;
  for (const double v : values) {
    if (!std::isfinite(v)) continue;
    if (!std::isfinite(r.first)) r = {v, v, v, v};
    r.last = v;
    r.least = std::min(r.least, v);
    r.most = std::max(r.most, v);
  }
  return r;
}

/// What stands behind a line. `text_of` makes a value readable.
template <typename TextOf>
std::string labels(const Range& r, TextOf text_of, bool narrow) {
  if (!std::isfinite(r.first)) return "not known";
  const std::string ends = fmt::format("min {}, max {}", text_of(r.least), text_of(r.most));
  return narrow ? ends : fmt::format("{} to {} ({})", text_of(r.first), text_of(r.last), ends);
}

std::string agreement_label(const std::optional<ShareInterval>& a, const Range& r, bool narrow) {
  if (!a) return narrow ? "no spot checks yet" : "no spot check of a cheap answer yet";
  const std::string whole = fmt::format("{} ({:.1f} to {:.1f}) of {}", share_text(a->share), 100 * a->low, 100 * a->high, human_count(a->n));
  return narrow ? whole : fmt::format("{}; min {}, max {}", whole, share_text(r.least), share_text(r.most));
}

std::string line(std::string_view name, const std::string& drawn, std::size_t columns, const std::string& behind, Ink ink, const TextStyle& style) {
  return fmt::format("{:<{}}{}  {}\n", name, kNameWidth, paint(style, ink, pad_right(drawn, columns)), behind);
}

/// The bucket that an event falls into: the last one that begins at or before it.
std::size_t bucket_of(const std::vector<CurvePoint>& points, WallTime time) {
  const auto behind = std::upper_bound(points.begin(), points.end(), time, [](WallTime t, const CurvePoint& p) { return t < p.from; });
  return behind == points.begin() ? 0 : static_cast<std::size_t>(behind - points.begin() - 1);
}

int weight(const CurveEvent& e) { return e.kind == "alarm" ? 3 : e.kind == "switch" ? 2 : e.kind == "epoch" ? 0 : 1; }

std::string marks(const std::vector<CurvePoint>& points, const std::vector<const CurveEvent*>& events) {
  std::vector<const CurveEvent*> shown(points.size(), nullptr);
  for (const CurveEvent* e : events) {
    const CurveEvent*& there = shown[bucket_of(points, e->time)];
    if (there == nullptr || weight(*e) >= weight(*there)) there = e;
  }
  std::string out;
  for (const CurveEvent* e : shown) out += e == nullptr ? ' ' : event_mark(*e);
  return out;
}

std::string events_text(const std::vector<const CurveEvent*>& events, WallTime last, std::size_t routine, const TextStyle& style) {
  std::string out;
  const std::size_t first = events.size() > kMostEvents ? events.size() - kMostEvents : 0;
  if (first > 0 || routine > 0) {
    std::string more = first > 0 ? fmt::format("{} earlier", counted(static_cast<std::int64_t>(first), "event")) : "";
    if (routine > 0) more += fmt::format("{}{}", more.empty() ? "" : ", ", counted(static_cast<std::int64_t>(routine), "test record"));
    out += "  " + paint(style, Ink::kDim, more + ": --json lists all") + "\n";
  }
  for (std::size_t i = first; i < events.size(); ++i) {
    const CurveEvent& e = *events[i];
    std::string text = fmt::format("  {} {}  {}", event_mark(e), short_time(e.time, last), printable(e.kind));
    if (!e.version.empty() && e.message.find(e.version) == std::string::npos) text += " " + printable(e.version);
    if (!e.message.empty()) text += ": " + printable(e.message);
    if (style.width > 0) text = truncate(text, style.width);
    out += paint(style, e.kind == "alarm" ? Ink::kRed : Ink::kNone, text) + "\n";
  }
  return out;
}

}  // namespace

std::string span_text(std::int64_t us) {
  constexpr std::pair<std::int64_t, const char*> kUnits[] = {{86'400, "d"}, {3'600, "h"}, {60, "min"}, {1, "s"}};
  for (const auto& [seconds, name] : kUnits) {
    if (us > 0 && us % (seconds * 1'000'000) == 0) return fmt::format("{} {}", us / (seconds * 1'000'000), name);
  }
  return human_duration(us);
}

char event_mark(const CurveEvent& event) {
  if (event.kind == "alarm") return '!';
  const char first = event.kind.empty() ? '?' : event.kind[0];
  return first >= 'a' && first <= 'z' ? static_cast<char>(first - 'a' + 'A') : first > ' ' && first < 0x7f ? first : '?';
}

std::string curve_text(const Curve& curve, const TextStyle& style) {
  if (curve.points.empty()) return {};
  std::vector<CurvePoint> points = curve.points;
  const bool narrow = style.width > 0 && style.width < kNarrow;
  const std::size_t beside = kNameWidth + 2 + (narrow ? kShortLabelWidth : kLabelWidth);
  const std::size_t room = style.width == 0 ? points.size() : std::max(kLeastBars, style.width - std::min(style.width, beside));
  if (points.size() > room) {
    const std::size_t group = (points.size() + room - 1) / room;
    std::vector<CurvePoint> fewer;
    for (std::size_t i = 0; i < points.size(); i += group) fewer.push_back(merged(points, i, group));
    points = std::move(fewer);
  }
  std::vector<double> teacher, cost, alone, agree;
  bool estimated = false;
  for (const CurvePoint& p : points) {
    teacher.push_back(teacher_share(p).value_or(kNothing));
    const auto c = cost_per_request(p), t = teacher_only_per_request(p);
    cost.push_back(c ? static_cast<double>(c->value) : kNothing);
    alone.push_back(t ? static_cast<double>(t->value) : kNothing);
    estimated = estimated || p.teacher_cost_estimated > 0;
    const auto a = agreement(p);
    agree.push_back(a ? a->share : kNothing);
  }
  const CurvePoint whole = merged(points, 0, points.size());
  const auto usd = [](double picousd) { return human_usd(static_cast<Int128>(std::llround(picousd))); };
  const Range money = range_of(cost), without = range_of(alone), shares = range_of(teacher), agreeing = range_of(agree);
  const double most_money = std::max(std::isfinite(money.most) ? money.most : 0, std::isfinite(without.most) ? without.most : 0);

  std::string bucket = curve.by_requests ? fmt::format("of {} each", counted(points.front().requests, "request")) : "of " + span_text(points.front().to.us - points.front().from.us);
  std::string out = paint(style, Ink::kBold, "Curve");
  out += fmt::format(": {} {}, {} to {} UTC\n", counted(static_cast<std::int64_t>(points.size()), "point"), bucket, human_time(points.front().from).substr(0, 16), short_time(points.back().to, points.front().from));
  out += line("Teacher calls", bars(teacher, 0, std::max(1.0, std::isfinite(shares.most) ? shares.most : 0), style.utf8), points.size(), labels(shares, share_text, narrow), Ink::kYellow, style);
  out += line("Cost a request", bars(cost, 0, most_money, style.utf8), points.size(), labels(money, usd, narrow), Ink::kGreen, style);
  if (const auto mean = teacher_only_per_request(whole)) {
    out += line("  teacher alone", bars(alone, 0, most_money, style.utf8), points.size(), human_usd(Int128{mean->value}, estimated) + " on average", Ink::kDim, style);
  }
  const double floor = std::isfinite(agreeing.least) ? std::floor(std::max(0.0, agreeing.least - 0.05) * 10) / 10 : 0;
  out += line("Agreement", bars(agree, floor, 1, style.utf8), points.size(), agreement_label(agreement(whole), agreeing, narrow), Ink::kNone, style);

  std::vector<const CurveEvent*> events;
  for (const CurveEvent& e : curve.events) {
    if (!e.routine()) events.push_back(&e);
  }
  if (!events.empty()) out += line("Events", marks(points, events), points.size(), "", Ink::kNone, style);
  while (out.ends_with(" \n")) out.erase(out.size() - 2, 1);
  out += events_text(events, points.back().to, curve.events.size() - events.size(), style);
  if (whole.cost_unknown > 0) out += paint(style, Ink::kDim, wrap(fmt::format("The cost of {} is unknown; the line is the mean of the others.", counted(whole.cost_unknown, "request")), style.width)) + "\n";
  return out;
}

}  // namespace understudy::app
