#include "evaluation/plot_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace understudy::evaluation {

namespace {

constexpr double kWidth = 640, kHeight = 400, kLeft = 60, kRight = 20, kTop = 20, kBottom = 50;
constexpr std::array<std::string_view, 5> kColours{"#1b6ca8", "#c2410c", "#737373", "#15803d", "#7e22ce"};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

struct Axis {
  double low, high;
  double share(double v) const { return high > low ? (v - low) / (high - low) : 0.5; }
};

Axis axis_of(const Plot& plot, bool x) {
  Axis axis{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (const Series& s : plot.series) {
    for (const auto& [px, py] : s.points) {
      const double v = x ? px : py;
      if (!std::isfinite(v)) continue;
      axis.low = std::min(axis.low, v);
      axis.high = std::max(axis.high, v);
    }
  }
  if (!(axis.low <= axis.high)) return {0, 1};
  if (x) axis.low = std::min(axis.low, 0.0);
  return axis;
}

std::string svg(const Plot& plot) {
  const Axis x = axis_of(plot, true), y = axis_of(plot, false);
  const auto px = [&](double v) { return kLeft + x.share(v) * (kWidth - kLeft - kRight); };
  const auto py = [&](double v) { return kHeight - kBottom - y.share(v) * (kHeight - kTop - kBottom); };
  std::string out = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", kWidth, kHeight, escaped(plot.title));
  constexpr int kTicks = 5;
  for (int t = 0; t <= kTicks; ++t) {
    const double vx = x.low + (x.high - x.low) * t / kTicks, vy = y.low + (y.high - y.low) * t / kTicks;
    out += fmt::format("<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/><text x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4:.4g}</text>\n",
                       px(vx), kTop, kHeight - kBottom, kHeight - kBottom + 18, vx);
    out += fmt::format("<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/><text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:.3g}</text>\n", kLeft,
                       kWidth - kRight, py(vy), kLeft - 6, py(vy) + 4, vy);
  }
  out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", (kLeft + kWidth - kRight) / 2, kHeight - 10, escaped(plot.x_label));
  out += fmt::format("<text transform=\"rotate(-90 14 {0})\" x=\"14\" y=\"{0}\" text-anchor=\"middle\">{1}</text>\n", kHeight / 2, escaped(plot.y_label));
  for (std::size_t s = 0; s < plot.series.size(); ++s) {
    const auto colour = kColours[s % kColours.size()];
    std::string points;
    for (const auto& [vx, vy] : plot.series[s].points) {
      if (!std::isfinite(vx) || !std::isfinite(vy)) continue;
      points += fmt::format("{:.1f},{:.1f} ", px(vx), py(vy));
      if (plot.series[s].points.size() <= 20) out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>", px(vx), py(vy), colour);
    }
    out += fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"{}\"/>\n", colour, points);
  }
  out += "</svg>\n<p>";
  for (std::size_t s = 0; s < plot.series.size(); ++s) {
    out += fmt::format("<span style=\"color:{}\">&#9632;</span> {} &nbsp; ", kColours[s % kColours.size()], escaped(plot.series[s].name));
  }
  return out + "</p>\n";
}

}  // namespace

std::string plots_as_html(std::string_view heading, std::span<const Plot> plots) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>\n<style>body{{font:15px system-ui,sans-serif;max-width:720px;margin:2em auto;"
      "padding:0 1em}}svg{{width:100%;height:auto}}svg text{{font-size:12px;fill:#444}}.grid{{stroke:#ddd}}</style></head>\n<body><h1>{0}</h1>\n",
      escaped(heading));
  if (plots.empty()) out += "<p>This protocol draws nothing.</p>\n";
  for (const Plot& plot : plots) out += fmt::format("<h2>{}</h2>\n", escaped(plot.title)) + svg(plot);
  return out + "</body></html>\n";
}

}  // namespace understudy::evaluation
