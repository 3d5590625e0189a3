#include "calibration/boosted_trees.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "calibration/logistic.h"

namespace understudy::calibration {

namespace {

struct Sums {
  double g = 0, h = 0;
  void add(const Sums& o) { g += o.g, h += o.h; }
};

double worth(const Sums& s, double ridge) { return s.h + ridge > 0 ? s.g * s.g / (s.h + ridge) : 0; }

}  // namespace

/// Grows one tree at a time, level by level: every column is walked once a level in its sorted order, each row adding to the
/// node that it has reached.
class TreeGrower {
 public:
  TreeGrower(const Eigen::MatrixXd& x, const BoostOptions& options) : x_(x), options_(options), order_(static_cast<std::size_t>(x.cols())) {
    for (Eigen::Index c = 0; c < x.cols(); ++c) {
      auto& order = order_[static_cast<std::size_t>(c)];
      order.resize(static_cast<std::size_t>(x.rows()));
      std::iota(order.begin(), order.end(), Eigen::Index{0});
      std::stable_sort(order.begin(), order.end(), [&](Eigen::Index a, Eigen::Index b) { return x(a, c) < x(b, c); });
    }
  }

  /// Adds a tree for these gradients and curvatures, and what it says of each row to `log_odds`.
  void grow(const std::vector<Sums>& rows, BoostedTrees& model, Eigen::VectorXd& log_odds) {
    const std::size_t root = model.nodes_.size();
    model.roots_.push_back(root);
    model.nodes_.emplace_back();
    std::vector<std::size_t> at(rows.size(), root);  // node of each row
    std::vector<Open> level(1);
    level[0].node = root;
    for (const Sums& row : rows) level[0].all.add(row);
    for (int depth = 0; depth < options_.depth && !level.empty(); ++depth) {
      find_splits(rows, at, level, root);
      level = apply_splits(rows, at, level, model);
    }
    for (std::size_t n = root; n < model.nodes_.size(); ++n) {
      if (model.nodes_[n].column >= 0) continue;
      const Sums& all = totals_[n - root];
      model.nodes_[n].value = all.h + options_.ridge > 0 ? -options_.rate * all.g / (all.h + options_.ridge) : 0;
    }
    for (std::size_t i = 0; i < at.size(); ++i) log_odds(static_cast<Eigen::Index>(i)) += model.nodes_[at[i]].value;
  }

 private:
  struct Open {
    std::size_t node = 0;
    Sums all;
    double gain = 1e-9;  // a split must be worth something
    std::int32_t column = -1;
    double split = 0;
    Sums left;
    // While a column is walked:
    Sums before;
    double last = 0;
    bool any = false;
  };

  void find_splits(const std::vector<Sums>& rows, const std::vector<std::size_t>& at, std::vector<Open>& level, std::size_t root) {
    totals_.resize(std::max(totals_.size(), level.back().node - root + 1));
    for (const Open& open : level) totals_[open.node - root] = open.all;
    const std::size_t first = level.front().node, end = level.back().node + 1;
    for (std::size_t c = 0; c < order_.size(); ++c) {
      for (Open& open : level) open.before = {}, open.any = false;
      for (const Eigen::Index i : order_[c]) {
        const auto row = static_cast<std::size_t>(i);
        if (at[row] < first || at[row] >= end) continue;  // its leaf is done
        Open& open = level[at[row] - first];
        const double value = x_(i, static_cast<Eigen::Index>(c));
        if (open.any && value > open.last) consider(open, static_cast<std::int32_t>(c), value);
        open.before.add(rows[row]);
        open.last = value;
        open.any = true;
      }
    }
  }

  void consider(Open& open, std::int32_t column, double value) const {
    const Sums right{open.all.g - open.before.g, open.all.h - open.before.h};
    if (open.before.h < options_.least_weight || right.h < options_.least_weight) return;
    const double gain = worth(open.before, options_.ridge) + worth(right, options_.ridge) - worth(open.all, options_.ridge);
    if (gain <= open.gain) return;
    open.gain = gain;
    open.column = column;
    // A midpoint that rounds down to the lower value would send that value right.
    open.split = std::max((open.last + value) / 2, std::nextafter(open.last, value));
    open.left = open.before;
  }

  /// Children stand together in the order of their parents, so the next level is a contiguous range of nodes.
  std::vector<Open> apply_splits(const std::vector<Sums>& rows, std::vector<std::size_t>& at, const std::vector<Open>& level, BoostedTrees& model) {
    std::vector<Open> next;
    for (const Open& open : level) {
      if (open.column < 0) continue;
      auto& node = model.nodes_[open.node];
      node.column = open.column;
      node.value = open.split;
      node.left = static_cast<std::int32_t>(model.nodes_.size());
      for (int side = 0; side < 2; ++side) {
        Open child;
        child.node = model.nodes_.size() + static_cast<std::size_t>(side);
        child.all = side == 0 ? open.left : Sums{open.all.g - open.left.g, open.all.h - open.left.h};
        next.push_back(child);
      }
      model.nodes_.resize(model.nodes_.size() + 2);
    }
    if (next.empty()) return next;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto& node = model.nodes_[at[i]];
      if (node.column < 0) continue;
      const bool right = !(x_(static_cast<Eigen::Index>(i), node.column) < node.value);
      at[i] = static_cast<std::size_t>(node.left) + (right ? 1 : 0);
    }
    const std::size_t root = model.roots_.back();
    totals_.resize(model.nodes_.size() - root);
    for (const Open& open : next) totals_[open.node - root] = open.all;
    return next;
  }

  const Eigen::MatrixXd& x_;
  const BoostOptions& options_;
  std::vector<std::vector<Eigen::Index>> order_;  // rows of each column by value
  std::vector<Sums> totals_;                      // by node of the tree that grows
};

double BoostedTrees::log_odds(const Eigen::Ref<const Eigen::VectorXd>& x) const {
  double sum = intercept_;
  for (const std::size_t root : roots_) {
    std::size_t at = root;
    while (nodes_[at].column >= 0) at = static_cast<std::size_t>(nodes_[at].left) + (x(nodes_[at].column) < nodes_[at].value ? 0 : 1);
    sum += nodes_[at].value;
  }
  return sum;
}

double BoostedTrees::probability(const Eigen::Ref<const Eigen::VectorXd>& x) const { return sigmoid(log_odds(x)); }

Eigen::VectorXd BoostedTrees::probabilities(const Eigen::MatrixXd& rows) const {
  Eigen::VectorXd out(rows.rows());
  for (Eigen::Index i = 0; i < rows.rows(); ++i) out(i) = probability(rows.row(i).transpose());
  return out;
}

BoostedTrees::Parts BoostedTrees::parts() const {
  Parts out;
  out.intercept = intercept_;
  for (const Node& node : nodes_) {
    out.column.push_back(node.column);
    out.left.push_back(node.left);
    out.value.push_back(node.value);
  }
  for (const std::size_t root : roots_) out.root.push_back(static_cast<std::int32_t>(root));
  return out;
}

Result<BoostedTrees> BoostedTrees::from_parts(const Parts& parts, std::int32_t columns) {
  const auto nodes = static_cast<std::int32_t>(parts.column.size());
  const auto possible = [](double value) { return std::abs(value) < 1e6; };  // of log-odds and of what features are compared with
  const auto corrupt = [](const char* what) { return fail(ErrorKind::kCorrupt, std::string("boosted trees: ") + what); };
  if (parts.left.size() != parts.column.size() || parts.value.size() != parts.column.size()) return corrupt("lengths of the nodes' parts differ");
  BoostedTrees out;
  if (!possible(parts.intercept)) return corrupt("the intercept is no number");
  out.intercept_ = parts.intercept;
  for (std::int32_t i = 0; i < nodes; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const Node node{parts.column[at], parts.left[at], parts.value[at]};
    if (node.column >= columns || node.column < -1 || !possible(node.value)) return corrupt("a node's column or value is out of range");
    // Children behind their parent: every walk ends.
    if (node.column >= 0 && (node.left <= i || node.left > nodes - 2)) return corrupt("a node's children are no nodes behind it");
    out.nodes_.push_back(node);
  }
  for (const std::int32_t root : parts.root) {
    if (root < 0 || root >= nodes) return corrupt("a tree begins at no node");
    out.roots_.push_back(static_cast<std::size_t>(root));
  }
  return out;
}

Result<BoostedTrees> fit_boosted_trees(const Eigen::MatrixXd& x, const Eigen::VectorXd& y, const BoostOptions& options, const Eigen::VectorXd& weight) {
  const Eigen::Index n = x.rows();
  if (n == 0 || y.size() != n || (weight.size() != 0 && weight.size() != n)) {
    return fail(ErrorKind::kInvalidRequest, "boosted trees: rows, outcomes and weights do not match in number");
  }
  if (!x.allFinite() || !y.allFinite() || !weight.allFinite() || (weight.size() > 0 && weight.minCoeff() < 0)) {
    return fail(ErrorKind::kInvalidRequest, "boosted trees: features, outcomes and weights must be finite numbers, weights not negative");
  }
  if (options.rounds < 1 || options.depth < 1 || options.depth > 8 || !(options.rate > 0 && options.rate <= 1) || !(options.ridge >= 0) || !(options.least_weight >= 0)) {
    return fail(ErrorKind::kUsage, "boosted trees: rounds >= 1, depth 1 to 8, rate in (0, 1], ridge and least weight >= 0");
  }
  const Eigen::VectorXd w = weight.size() == n ? weight : Eigen::VectorXd::Ones(n);
  const double total = w.sum(), rate = total > 0 ? w.dot(y) / total : 0;
  if (!(rate > 0 && rate < 1)) return fail(ErrorKind::kInvalidRequest, "boosted trees: all outcomes are the same; rows of both kinds are needed");

  BoostedTrees model;
  model.intercept_ = logit(rate);
  Eigen::VectorXd log_odds = Eigen::VectorXd::Constant(n, model.intercept_);
  TreeGrower grower(x, options);
  std::vector<Sums> rows(static_cast<std::size_t>(n));
  for (int round = 0; round < options.rounds; ++round) {
    for (Eigen::Index i = 0; i < n; ++i) {
      const double p = sigmoid(log_odds(i));
      rows[static_cast<std::size_t>(i)] = {w(i) * (p - y(i)), w(i) * std::max(p * (1 - p), 1e-16)};
    }
    grower.grow(rows, model, log_odds);
  }
  return model;
}

}  // namespace understudy::calibration
