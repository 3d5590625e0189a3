#pragma once
#include <span>
#include <string>

#include "evaluation/protocols.h"

namespace understudy::evaluation {

/// One self-contained page (inline SVG, no script, nothing loaded) with the plots under a heading. Names are escaped.
std::string plots_as_html(std::string_view heading, std::span<const Plot> plots);

}  // namespace understudy::evaluation
