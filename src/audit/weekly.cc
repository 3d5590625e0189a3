// Test 4: the specialist-eligible fraction by ISO week, with alarms, trend and bootstrap intervals.
#include <algorithm>
#include <map>

#include "audit/figures.h"
#include "base/random.h"

namespace understudy::audit {
namespace {

constexpr int kReplicates = 200;
constexpr std::uint64_t kSeed = 20'260'511;
constexpr double kWeeksPerQuarter = 13;

struct GroupPair { double eligible = 0, total = 0; };

/// Percentile interval over groups of requests drawn with replacement.
void bootstrap(const std::vector<GroupPair>& groups, WeekFigure& week) {
  std::vector<GroupPair> used;
  for (const GroupPair& g : groups) {
    if (g.total > 0) used.push_back(g);
  }
  if (used.size() < 8) return;  // too few requests for an interval
  SeededRandom random(kSeed);
  std::vector<double> fractions;
  for (int b = 0; b < kReplicates; ++b) {
    double eligible = 0, total = 0;
    for (std::size_t i = 0; i < used.size(); ++i) {
      const GroupPair& g = used[random.below(used.size())];
      eligible += g.eligible;
      total += g.total;
    }
    fractions.push_back(eligible / total);
  }
  std::sort(fractions.begin(), fractions.end());
  week.low = fractions[static_cast<std::size_t>(0.025 * kReplicates)];
  week.high = fractions[static_cast<std::size_t>(0.975 * kReplicates)];
}

}  // namespace

void compute_weeks(const Ledger& ledger, const FigureOptions& options, Report& r) {
  std::map<std::int32_t, WeekFigure> weeks;
  for (const auto& [key, cell] : ledger.total->cells()) {
    if (key.period == kNoDay) continue;
    WeekFigure& w = weeks[monday_of(key.period)];
    const StepKind kind = key.step == 0 ? StepKind::kUnattributed : step_kind(ledger.steps.name(key.step));
    w.calls += cell.calls;
    w.total += cell.cost;
    (kind == StepKind::kOpen ? w.open : kind == StepKind::kUnattributed ? w.unattributed : w.eligible) += cell.cost;
  }
  std::map<std::int32_t, std::vector<GroupPair>> groups;
  for (const auto& [key, sums] : ledger.total->groups) {
    if (key.second == kNoDay) continue;
    const StepKind kind = key.first == 0 ? StepKind::kUnattributed : step_kind(ledger.steps.name(key.first));
    auto& week = groups[key.second];
    week.resize(kBootstrapGroups);
    for (std::size_t g = 0; g < kBootstrapGroups; ++g) {
      week[g].total += static_cast<double>(sums[g]);
      if (kind != StepKind::kOpen && kind != StepKind::kUnattributed) week[g].eligible += static_cast<double>(sums[g]);
    }
  }
  const std::int32_t this_week = monday_of(static_cast<std::int32_t>(options.now.us / 86'400'000'000));
  const WeekFigure* previous = nullptr;
  for (auto& [monday, w] : weeks) {
    w.monday = monday;
    w.week = iso_week(monday);
    w.band = band_of(w.fraction(), 20, 50, true);
    w.partial = monday == this_week;
    w.thin = w.calls < options.min_calls;
    if (ledger.requests.size() > 0) bootstrap(groups[monday], w);
    r.weeks.push_back(w);
  }
  for (const WeekFigure& w : r.weeks) {
    if (w.partial || w.thin || w.total == 0) continue;
    if (previous != nullptr) {
      struct Threshold { std::int64_t percent; const char* text; };
      for (const Threshold t : {Threshold{20, "0.2"}, Threshold{30, "0.3"}, Threshold{50, "0.5"}}) {
        const bool was_below = previous->fraction().compare_percent(t.percent) < 0;
        const bool is_below = w.fraction().compare_percent(t.percent) < 0;
        if (was_below != is_below) r.alarms.push_back({w.week, t.text, was_below});
      }
    }
    previous = &w;
  }
  std::vector<double> slopes;
  for (std::size_t i = 0; i < r.weeks.size(); ++i) {
    for (std::size_t j = i + 1; j < r.weeks.size(); ++j) {
      const WeekFigure &a = r.weeks[i], &b = r.weeks[j];
      if (a.partial || a.thin || b.partial || b.thin || a.total == 0 || b.total == 0) continue;
      slopes.push_back((b.fraction().value() - a.fraction().value()) / (static_cast<double>(b.monday - a.monday) / 7));
    }
  }
  if (!slopes.empty()) {
    std::sort(slopes.begin(), slopes.end());
    const std::size_t n = slopes.size();
    r.trend_per_quarter = (n % 2 == 1 ? slopes[n / 2] : (slopes[n / 2 - 1] + slopes[n / 2]) / 2) * kWeeksPerQuarter;
  }
}

}  // namespace understudy::audit
