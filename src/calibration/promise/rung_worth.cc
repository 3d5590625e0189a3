#include "calibration/promise/rung_worth.h"

#include <cmath>
#include <limits>

#include "base/assert.h"
#include "calibration/promise/internal/plan.h"
#include "calibration/promise/rung_fit.h"

namespace understudy::calibration {
namespace {

constexpr std::size_t kLeastRows = 40;   // as the keeper's own foresight

/// Thresholds and what they do on each row.
struct Setting {
  std::vector<std::optional<double>> thresholds;
  std::vector<double> bill;                 // by row
  std::vector<std::size_t> asked;           // by rung: rows
  std::vector<double> own;                  // by rung: what its calls cost in all
  double mean() const {
    double sum = 0;
    for (const double b : bill) sum += b;
    return sum / static_cast<double>(bill.size());
  }
};

Setting run(std::span<const LabelledRow* const> rows, std::span<const std::vector<double>> probability, std::vector<std::optional<double>> thresholds) {
  Setting s;
  s.asked.assign(thresholds.size(), 0);
  s.own.assign(thresholds.size(), 0);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    double bill = 0;
    std::vector<bool> asked(thresholds.size(), false);
    const auto ask = [&](std::size_t r) {
      if (asked[r]) return;
      asked[r] = true;
      ++s.asked[r];
      s.own[r] += rows[i]->rungs[r].cost_usd;
      bill += rows[i]->rungs[r].cost_usd;
    };
    bool served = false;
    for (std::size_t r = 0; r < thresholds.size() && !served; ++r) {
      if (!thresholds[r]) continue;
      if (rows[i]->rungs[r].of) ask(*rows[i]->rungs[r].of);
      ask(r);
      served = probability[r][i] >= *thresholds[r];  // never true where it is not usable
    }
    s.bill.push_back(served ? bill : bill + rows[i]->teacher_cost_usd);
  }
  s.thresholds = std::move(thresholds);
  return s;
}

/// The cheapest candidate that is foreseen to keep alpha; the teacher alone where there is none, or none is cheaper.
Setting cheapest(std::span<const LabelledRow* const> rows, std::span<const std::vector<double>> probability, double alpha) {
  Setting teacher = run(rows, probability, std::vector<std::optional<double>>(probability.size()));
  auto chosen = cheapest_within(threshold_path(rows, probability, alpha), alpha);
  return chosen && chosen->cost_usd < teacher.mean() ? run(rows, probability, std::move(chosen->thresholds)) : teacher;
}

}  // namespace

std::optional<ThresholdCandidate> cheapest_within(std::span<const ThresholdCandidate> path, double alpha) {
  const ThresholdCandidate* cheapest = nullptr;
  for (const ThresholdCandidate& c : path) {
    if (internal::foreseen_risk(c) <= alpha && (cheapest == nullptr || c.cost_usd < cheapest->cost_usd)) cheapest = &c;
  }
  return cheapest == nullptr ? std::nullopt : std::optional(*cheapest);
}

std::vector<RungWorth> rung_worth(std::span<const LabelledRow* const> rows, std::span<const std::vector<double>> probability, std::span<const RungSpec> rungs,
                                  double alpha, double coin) {
  UNDERSTUDY_ASSERT(probability.size() == rungs.size());
  double teacher = 0;
  for (const LabelledRow* row : rows) teacher += row->teacher_cost_usd;
  if (rows.empty() || !(teacher > 0)) return {};
  const auto n = static_cast<double>(rows.size());
  std::vector<Setting> without_each;
  for (std::size_t r = 0; r < rungs.size(); ++r) {
    std::vector<std::vector<double>> rest(probability.begin(), probability.end());
    for (std::size_t other = 0; other < rungs.size(); ++other) {
      if (other != r && rows.front()->rungs[other].of != r) continue;
      rest[other].assign(rows.size(), std::numeric_limits<double>::quiet_NaN());
    }
    without_each.push_back(cheapest(rows, rest, alpha));
  }
  // A ladder may leave a rung unasked, so it is never dearer than the ladder without it; the joint search, which is no exhaustive one,
  // may have missed that.
  Setting with = cheapest(rows, probability, alpha);
  for (const Setting& without : without_each) {
    if (without.mean() < with.mean()) with = without;
  }
  std::vector<RungWorth> worth;
  for (std::size_t r = 0; r < rungs.size(); ++r) {
    const Setting& without = without_each[r];
    RungWorth& w = worth.emplace_back();
    w.rung = rungs[r].name;
    w.threshold = with.thresholds[r];
    w.asked_share = static_cast<double>(with.asked[r]) / n;
    w.own_usd = with.own[r] / n;
    w.bill_usd = with.mean();
    w.bill_without_usd = without.mean();
    double squares = 0, on_coin_rows = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double gain = without.bill[i] - with.bill[i] - (w.bill_without_usd - w.bill_usd);
      squares += gain * gain;
      on_coin_rows += rows[i]->rungs[r].cost_usd;
    }
    w.standard_error_usd = std::sqrt(squares) / n;
    w.saved_usd_per_1000 = 1'000 * (w.bill_without_usd - w.bill_usd);
    w.coin_usd_per_1000 = 1'000 * coin * on_coin_rows / n;
  }
  return worth;
}

std::vector<RungWorth> PromiseKeeper::worth() const {
  std::vector<const LabelledRow*> all, fair;
  for (const LabelledRow& row : fit_rows_) {
    all.push_back(&row);
    if (row.source != LabelSource::kEscalation) fair.push_back(&row);
  }
  if (fair.size() < kLeastRows) return {};
  std::vector<std::vector<double>> probability(rungs_.size());
  for (std::size_t r = 0; r < rungs_.size(); ++r) {
    SeededRandom folds(options_.seed + r);
    const RungFit fit = fit_rung(all, r, folds);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i]->source != LabelSource::kEscalation) probability[r].push_back(fit.held_back[i]);
    }
  }
  return rung_worth(fair, probability, rungs_, options_.promise.alpha, std::max(0.0, options_.spot_check));
}

}  // namespace understudy::calibration
