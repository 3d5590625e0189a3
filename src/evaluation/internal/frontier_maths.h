#pragma once
/// Cost against quality when a share x of the rows goes to the strong model.

#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/random.h"

namespace understudy::evaluation::internal {

/// Accuracy at every number of escalated rows, escalating from the highest score down. Rows that tie share their gain
/// evenly: the expectation over random orders among them.
/// @return n + 1 values; [0] is the weak accuracy, [n] the strong one
std::vector<double> accuracy_curve(std::span<const double> score, std::span<const double> weak, std::span<const double> strong);

struct CurveSummary {
  double apgr;                   ///< area (trapezoids) of (y - weak) / (strong - weak) over x; random scores 0.5
  double cpt50, cpt80, cpt95;    ///< least x with that part of the gap closed
};
/// NaN in all where strong does not beat weak.
CurveSummary summarise(const std::vector<double>& curve);

/// What one request costs and yields by each way of serving it. Dollars.
struct ServedRow {
  double raw = 0;        ///< weak model's confidence (any rising scale)
  double score = 0;      ///< escalation score; the two-way policy escalates above a threshold
  double weak_correct = 0, strong_correct = 0;
  double weak_cost = 0, strong_cost = 0, peers_cost = 0;
  std::vector<double> mid_cost;  ///< by peer
  std::vector<char> mid_agrees;  ///< by peer: its answer agrees with the weak one
};

/// How requests are served.
struct CostPolicy {
  enum class Kind { kStrong, kScore, kBand } kind = Kind::kStrong;
  double escalate_above = 0;   ///< kScore
  bool pays_peers = false;     ///< kScore: the score needs all peers' answers
  double low = 0, high = 0;    ///< kBand: raw < low goes to strong, raw >= high is served, between the peer is asked
  std::size_t mid = 0;         ///< kBand: which peer
  double fit_cost = 0;         ///< dollars over the rows it was picked on
};

/// The cheapest policy that reaches `target` (mean accuracy) on these rows. Weak calls are paid on every request.
/// @param bands     also three-stage bands over the peers in `mid_cost`
/// @param cut_rows  thresholds stand after every so many rows (1: between all): finer ones find more luck
CostPolicy cheapest_policy(const std::vector<ServedRow>& rows, double target, bool score_pays_peers, bool bands, std::size_t cut_rows = 1);

/// The cheapest of thousands of policies that reach a target on these rows owes part of its accuracy there to luck, so it must
/// aim higher: by how much policies chosen the same way miss the target on rows held back, mean of ten times five folds of
/// these rows. Thresholds stand sqrt(n) rows apart, which is about how exactly n rows tell a quantile. Looks at nothing else.
/// @param share of the strong model's accuracy, in (0, 1]
CostPolicy validated_policy(const std::vector<ServedRow>& rows, double share, bool score_pays_peers, bool bands, Random& random);

enum class Action { kWeak, kStrong, kAskMid };
Action act(const CostPolicy& policy, const ServedRow& row);

/// Whether the row ends at the strong model, its cost and correctness.
struct Outcome {
  bool strong;
  double cost, correct;
};
Outcome serve(const CostPolicy& policy, const ServedRow& row);

}  // namespace understudy::evaluation::internal
