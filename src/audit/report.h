#pragma once
/// The three faces of a Report.

#include <string>

#include "audit/figures.h"

namespace understudy::audit {

/// One JSON object of schema understudy.audit/1 (docs/formats/audit-report.md), with a newline at its end.
std::string report_json(const Report& report);

struct TextOptions {
  bool colour = false;
  bool weekly = false;     ///< the whole weekly table instead of its last weeks
  int width = 100;
};
std::string report_text(const Report& report, const TextOptions& options);

/// One self-contained page: inline style and SVG, nothing fetched, no script.
std::string report_html(const Report& report);

/// The guesses as a file that can be corrected and given back with --steps.
std::string guesses_json(const Report& report);

}  // namespace understudy::audit
