#pragma once
#include <cstdint>
#include <string>

#include "app/curve.h"
#include "app/terminal.h"

namespace understudy::app {

/// The curve for a terminal: a line each for teacher calls, cost and agreement, drawn in one character a bucket (buckets that do not
/// fit the style's width are merged), with first, last, least and greatest value; under them a mark for each event and the latest events in
/// words. Without UTF-8 (`style.utf8`) in plain ASCII. "" for a curve without points.
std::string curve_text(const Curve& curve, const TextStyle& style);

/// A bucket's length: "15 min", "6 h", "1 d".
std::string span_text(std::int64_t us);

/// The sign that stands for an event of this kind: "!" for an alarm, "S" for a switch, else the kind's first letter.
char event_mark(const CurveEvent& event);

}  // namespace understudy::app
