#include "evaluation/internal/frontier_maths.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace understudy::evaluation::internal {

std::vector<double> accuracy_curve(std::span<const double> score, std::span<const double> weak, std::span<const double> strong) {
  const std::size_t n = score.size();
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return score[a] > score[b]; });
  std::vector<double> curve{std::accumulate(weak.begin(), weak.end(), 0.0)};
  for (std::size_t i = 0; i < n;) {
    std::size_t j = i;
    double gain = 0;
    while (j < n && score[order[j]] == score[order[i]]) gain += strong[order[j]] - weak[order[j]], ++j;
    for (std::size_t k = i; k < j; ++k) curve.push_back(curve.back() + gain / static_cast<double>(j - i));
    i = j;
  }
  for (double& y : curve) y /= static_cast<double>(n);
  return curve;
}

CurveSummary summarise(const std::vector<double>& curve) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  const double weak = curve.front(), gap = curve.back() - weak;
  if (!(gap > 0)) return {kNaN, kNaN, kNaN, kNaN};
  const auto n = static_cast<double>(curve.size() - 1);
  double area = 0;
  for (std::size_t i = 0; i + 1 < curve.size(); ++i) area += (curve[i] + curve[i + 1]) / 2 - weak;
  const auto reach = [&](double part) {
    for (std::size_t i = 0; i < curve.size(); ++i) {
      if (curve[i] - weak >= part * gap - 1e-12) return static_cast<double>(i) / n;
    }
    return 1.0;
  };
  return {area / n / gap, reach(0.5), reach(0.8), reach(0.95)};
}

CostPolicy cheapest_policy(const std::vector<ServedRow>& rows, double target, bool score_pays_peers, bool bands, std::size_t cut_rows) {
  const std::size_t n = rows.size();
  const double wanted = target * static_cast<double>(n) - 1e-9;
  CostPolicy best;
  for (const ServedRow& row : rows) best.fit_cost += row.weak_cost + row.strong_cost;

  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  // Two-way: escalate the k highest scores.
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rows[a].score > rows[b].score; });
  double cost = 0, correct = 0;
  std::size_t passed = 0;  // rows since the last cut
  for (const ServedRow& row : rows) cost += row.weak_cost + (score_pays_peers ? row.peers_cost : 0), correct += row.weak_correct;
  for (std::size_t k = 0; k <= n; ++k) {
    const bool between_ties = k == 0 || k == n || rows[order[k]].score < rows[order[k - 1]].score;
    passed += 1;
    if (k == 0 || k == n || (between_ties && passed >= cut_rows)) passed = 0;
    if (between_ties && passed == 0 && correct >= wanted && cost < best.fit_cost) {
      best.kind = CostPolicy::Kind::kScore;
      best.pays_peers = score_pays_peers;
      best.fit_cost = cost;
      best.escalate_above = k == n ? -std::numeric_limits<double>::infinity()
                            : k == 0 ? rows[order[0]].score : (rows[order[k]].score + rows[order[k - 1]].score) / 2;
    }
    if (k < n) cost += rows[order[k]].strong_cost, correct += rows[order[k]].strong_correct - rows[order[k]].weak_correct;
  }
  if (!bands || n == 0) return best;

  // Three-stage: rows by confidence from the least sure; [0, i) go to strong, [i, j) ask the peer, [j, n) are served.
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rows[a].raw < rows[b].raw; });
  std::vector<std::size_t> cuts;
  for (std::size_t i = 0; i <= n; ++i) {
    if (i == 0 || i == n || (rows[order[i]].raw > rows[order[i - 1]].raw && i >= cuts.back() + cut_rows)) cuts.push_back(i);
  }
  const auto edge = [&](std::size_t i) {
    if (i == n) return std::numeric_limits<double>::infinity();
    return i == 0 ? -std::numeric_limits<double>::infinity() : (rows[order[i]].raw + rows[order[i - 1]].raw) / 2;
  };
  for (std::size_t mid = 0; mid < rows.front().mid_cost.size(); ++mid) {
    // Sums over rows before i under each treatment.
    std::vector<double> strong_cost(n + 1, 0), strong_right(n + 1, 0), mid_cost(n + 1, 0), mid_right(n + 1, 0), weak_right(n + 1, 0);
    double weak_cost = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const ServedRow& r = rows[order[i]];
      weak_cost += r.weak_cost;
      strong_cost[i + 1] = strong_cost[i] + r.strong_cost;
      strong_right[i + 1] = strong_right[i] + r.strong_correct;
      weak_right[i + 1] = weak_right[i] + r.weak_correct;
      mid_cost[i + 1] = mid_cost[i] + r.mid_cost[mid] + (r.mid_agrees[mid] ? 0 : r.strong_cost);
      mid_right[i + 1] = mid_right[i] + (r.mid_agrees[mid] ? r.weak_correct : r.strong_correct);
    }
    for (const std::size_t i : cuts) {
      for (const std::size_t j : cuts) {
        if (j <= i) continue;
        const double right = strong_right[i] + mid_right[j] - mid_right[i] + weak_right[n] - weak_right[j];
        if (right < wanted) continue;
        const double dollars = weak_cost + strong_cost[i] + mid_cost[j] - mid_cost[i];
        if (dollars >= best.fit_cost) continue;
        best.kind = CostPolicy::Kind::kBand;
        best.fit_cost = dollars;
        best.low = edge(i);
        best.high = edge(j);
        best.mid = mid;
      }
    }
  }
  return best;
}

Action act(const CostPolicy& policy, const ServedRow& row) {
  switch (policy.kind) {
    case CostPolicy::Kind::kStrong: return Action::kStrong;
    case CostPolicy::Kind::kScore: return row.score > policy.escalate_above ? Action::kStrong : Action::kWeak;
    case CostPolicy::Kind::kBand: break;
  }
  if (row.raw < policy.low) return Action::kStrong;
  return row.raw >= policy.high ? Action::kWeak : Action::kAskMid;
}

Outcome serve(const CostPolicy& policy, const ServedRow& row) {
  const Action action = act(policy, row);
  const bool strong = action == Action::kStrong || (action == Action::kAskMid && !row.mid_agrees[policy.mid]);
  Outcome out{strong, row.weak_cost + (strong ? row.strong_cost : 0), strong ? row.strong_correct : row.weak_correct};
  if (policy.kind == CostPolicy::Kind::kScore && policy.pays_peers) out.cost += row.peers_cost;
  if (action == Action::kAskMid) out.cost += row.mid_cost[policy.mid];
  return out;
}

CostPolicy validated_policy(const std::vector<ServedRow>& rows, double share, bool score_pays_peers, bool bands, Random& random) {
  constexpr std::size_t kFolds = 5;
  constexpr int kRepeats = 10;
  const auto strong_accuracy = [](const std::vector<ServedRow>& some) {
    double sum = 0;
    for (const ServedRow& row : some) sum += row.strong_correct;
    return some.empty() ? 0 : sum / static_cast<double>(some.size());
  };
  const auto accuracy = [](const CostPolicy& policy, const std::vector<ServedRow>& some) {
    double sum = 0;
    for (const ServedRow& row : some) sum += serve(policy, row).correct;
    return some.empty() ? 0 : sum / static_cast<double>(some.size());
  };
  const auto cut_rows = std::max<std::size_t>(1, static_cast<std::size_t>(std::sqrt(static_cast<double>(rows.size()))));
  double shortfall = 0;
  std::vector<std::size_t> fold(rows.size());
  for (std::size_t i = 0; i < fold.size(); ++i) fold[i] = i % kFolds;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    for (std::size_t i = fold.size(); i > 1; --i) std::swap(fold[i - 1], fold[static_cast<std::size_t>(random.below(i))]);
    for (std::size_t f = 0; f < kFolds; ++f) {
      std::vector<ServedRow> chosen_on, held_back;
      for (std::size_t i = 0; i < rows.size(); ++i) (fold[i] == f ? held_back : chosen_on).push_back(rows[i]);
      const CostPolicy policy = cheapest_policy(chosen_on, share * strong_accuracy(chosen_on), score_pays_peers, bands, cut_rows);
      shortfall += (share * strong_accuracy(held_back) - accuracy(policy, held_back)) / (kRepeats * kFolds);
    }
  }
  // The folds chose on four fifths of the rows; luck goes with one over the root of their number.
  shortfall *= std::sqrt(1 - 1.0 / kFolds);
  return cheapest_policy(rows, share * strong_accuracy(rows) + std::max(shortfall, 0.0), score_pays_peers, bands, cut_rows);
}

}  // namespace understudy::evaluation::internal
