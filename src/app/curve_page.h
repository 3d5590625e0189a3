#pragma once
#include <string>
#include <string_view>

#include "app/curve.h"

namespace understudy::app {

/// The curve as HTML for the status page: one inline SVG with three plots above each other (teacher calls, cost, agreement with its
/// interval) and the events as lines through them, what they say in words, and all figures in a table. `id` makes the element ids
/// of a page unique. Nothing from outside, no script, no inline style; styled by curve_style(). "" without at least two points.
std::string curve_html(const Curve& curve, std::string_view id);

/// Its part of the page's style sheet.
std::string_view curve_style();

}  // namespace understudy::app
