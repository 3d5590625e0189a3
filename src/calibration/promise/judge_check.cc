#include "calibration/promise/judge_check.h"

#include <algorithm>
#include <cstdint>

namespace understudy::calibration {
namespace {

/// What the distilled judge foretells of an outcome. Where it was not asked, equal texts or other tool calls said enough: then that is certain.
double foretold(const RungOutcome& outcome) { return outcome.verdict ? 1 - *outcome.verdict : outcome.bad ? 1.0 : 0.0; }

}  // namespace

JudgeCheck check_judge(std::span<const RungSpec> rungs, std::span<const LabelledRow* const> rows) {
  JudgeCheck check;
  std::int64_t newest_us = INT64_MIN;
  for (const LabelledRow* row : rows) {
    if (row->verdicts_by.empty() || row->at_us < newest_us) continue;
    newest_us = row->at_us;
    check.by = row->verdicts_by;
  }
  if (check.by.empty()) return check;
  for (std::size_t i = 0; i < rungs.size(); ++i) {
    std::vector<std::uint8_t> truth;
    std::vector<double> beside_truth, alone;
    for (const LabelledRow* row : rows) {
      const RungOutcome& outcome = row->rungs[i];
      if (row->verdicts_by != check.by || row->source == LabelSource::kEscalation || !outcome.usable || outcome.of) continue;
      if (row->estimated) {
        alone.push_back(foretold(outcome));
        continue;
      }
      truth.push_back(outcome.bad);
      beside_truth.push_back(foretold(outcome));
      if (!outcome.verdict) continue;
      ++check.both;
      check.same += (*outcome.verdict >= row->verdict_level) != outcome.bad;
    }
    const auto share = prediction_powered_rate(truth, beside_truth, alone);   // fails with fewer than two of either
    if (share) check.shares.push_back({rungs[i].name, *share, truth.size(), alone.size()});
  }
  check.alone = static_cast<std::size_t>(std::count_if(rows.begin(), rows.end(), [&](const LabelledRow* row) { return row->estimated && row->verdicts_by == check.by; }));
  return check;
}

}  // namespace understudy::calibration
