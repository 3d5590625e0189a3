#pragma once
/// Gradient-boosted trees for a probability: the model for tasks with many labels, where the ridge's straight lines are wrong.
///
/// Each round adds a small tree to the log-odds. Its splits maximise the second-order gain
///   GL^2 / (HL + lambda) + GR^2 / (HR + lambda) - G^2 / (H + lambda),  G = sum w (p - y), H = sum w p (1 - p),
/// over all columns and all midpoints between neighbouring values; a leaf adds -rate G / (H + lambda).
/// Sources: Friedman 2001; Chen and Guestrin 2016 (the exact greedy method, whose values the tests compare with).
/// Immutable and thread-safe once fitted. Fit: O(rounds depth n d) after one sort of each column; a probability: rounds * depth
/// comparisons, about 0.2 us.

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "base/error.h"

namespace understudy::calibration {

struct BoostOptions {
  int rounds = 60;         ///< trees, >= 1
  int depth = 2;           ///< splits from root to leaf, 1 to 8
  double rate = 0.07;      ///< of each tree's correction that is added, in (0, 1]
  double ridge = 3;        ///< lambda, >= 0
  double least_weight = 2; ///< least H in a leaf, >= 0
};

class BoostedTrees {
 public:
  /// @param x d features, finite
  double log_odds(const Eigen::Ref<const Eigen::VectorXd>& x) const;
  double probability(const Eigen::Ref<const Eigen::VectorXd>& x) const;
  Eigen::VectorXd probabilities(const Eigen::MatrixXd& rows) const;

  /// For files: node i splits at `value[i]` of `column[i]` into nodes left[i] (below) and left[i] + 1; column -1 is a leaf that adds value[i].
  struct Parts {
    double intercept = 0;
    std::vector<std::int32_t> column, left, root;
    std::vector<double> value;
  };
  Parts parts() const;
  /// kCorrupt: lengths differ, a node's children do not come after it, a column is not below `columns`, a number is 1e6 or more.
  static Result<BoostedTrees> from_parts(const Parts& parts, std::int32_t columns);

 private:
  friend Result<BoostedTrees> fit_boosted_trees(const Eigen::MatrixXd&, const Eigen::VectorXd&, const BoostOptions&, const Eigen::VectorXd&);
  friend class TreeGrower;
  struct Node {
    std::int32_t column = -1;  ///< -1: a leaf
    std::int32_t left = 0;     ///< node for x < split; the right one follows it
    double value = 0;          ///< split, or what the leaf adds
  };
  double intercept_ = 0;
  std::vector<Node> nodes_;
  std::vector<std::size_t> roots_;
};

/// @param x      n rows by d columns, finite
/// @param y      n outcomes in [0, 1]
/// @param weight n weights >= 0, or empty for all 1
/// @return kInvalidRequest when shapes differ, n = 0, a number is not finite, or all outcomes are the same; kUsage for options
///         outside their range
Result<BoostedTrees> fit_boosted_trees(const Eigen::MatrixXd& x, const Eigen::VectorXd& y, const BoostOptions& options = {},
                                       const Eigen::VectorXd& weight = {});

}  // namespace understudy::calibration
