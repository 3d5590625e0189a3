#include "app/recheck_report.h"

#include <fmt/format.h>

#include "app/human.h"

namespace understudy::app {
namespace {

std::string share_text(double share, const calibration::Interval& interval) { return fmt::format("{:.1f} % ({:.1f} to {:.1f})", 100 * share, 100 * interval.low, 100 * interval.high); }

}  // namespace

std::string recheck_text(const monitors::Recheck& r) {
  std::string out = fmt::format("{} against {} on {} of {} (seed {})\n", r.specialist, r.teacher, counted(static_cast<std::int64_t>(r.all.rows), "row"), r.data, r.seed);
  out += fmt::format("agreement        {}, promised {:.1f} %\n", share_text(r.all.share(), r.all.interval), 100 * r.promised);
  for (const auto& s : r.surest) out += fmt::format("  surest {:.0f} %    {}\n", 100 * s.coverage, share_text(s.share(), s.interval));
  if (r.none_fits > 0) out += fmt::format("  {} that no label fits, by the teacher: not compared\n", counted(static_cast<std::int64_t>(r.none_fits), "row"));
  if (r.disagreement) out += fmt::format("all {} rows     {} of its answers differ from the teacher's, corrected on the sample\n", human_count(static_cast<std::int64_t>(r.rows)), share_text(r.disagreement->rate, r.disagreement->interval));
  if (r.yes) out += fmt::format("                 {} yes\n", share_text(r.yes->rate, r.yes->interval));
  out += fmt::format("cost             {}\n", human_usd(r.cost));
  if (!r.alarm.empty()) out += fmt::format("ALARM            {}\n", r.alarm);
  return out;
}

}  // namespace understudy::app
