#include "calibration/calibrators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "calibration/logistic.h"
#include "calibration/metrics.h"

namespace understudy::calibration {

namespace {

class Raw final : public Calibrator {
 public:
  double operator()(double p) const override { return p; }
  std::string_view method() const override { return "raw"; }
};

class Constant final : public Calibrator {
 public:
  explicit Constant(double rate) : rate_(rate) {}
  double operator()(double) const override { return rate_; }
  std::string_view method() const override { return "constant"; }

 private:
  double rate_;
};

class Platt final : public Calibrator {
 public:
  Platt(double slope, double offset) : slope_(slope), offset_(offset) {}
  double operator()(double p) const override { return sigmoid(slope_ * complementary_log_log(p) + offset_); }
  std::string_view method() const override { return "platt"; }

 private:
  double slope_, offset_;
};

double beta_clip(double p) { return std::clamp(p, 1e-4, 1 - 1e-4); }

class Beta final : public Calibrator {
 public:
  Beta(double a, double b, double c) : a_(a), b_(b), c_(c) {}
  double operator()(double p) const override {
    const double q = beta_clip(p);
    return sigmoid(a_ * std::log(q) - b_ * std::log1p(-q) + c_);
  }
  std::string_view method() const override { return "beta"; }

 private:
  double a_, b_, c_;
};

class Isotonic final : public Calibrator {
 public:
  Isotonic(IsotonicFit fit, double clip) : fit_(std::move(fit)), clip_(clip) {}
  double operator()(double p) const override { return std::clamp(interpolate(p), clip_, 1 - clip_); }
  std::string_view method() const override { return "isotonic"; }

 private:
  double interpolate(double p) const {
    const auto above = std::lower_bound(fit_.x.begin(), fit_.x.end(), p);
    if (above == fit_.x.begin()) return fit_.value.front();
    if (above == fit_.x.end()) return fit_.value.back();
    const auto i = static_cast<std::size_t>(above - fit_.x.begin());
    const double t = (p - fit_.x[i - 1]) / (fit_.x[i] - fit_.x[i - 1]);
    return fit_.value[i - 1] + t * (fit_.value[i] - fit_.value[i - 1]);
  }

  IsotonicFit fit_;
  double clip_;
};

class VennAbers final : public Calibrator {
 public:
  VennAbers(std::vector<double> x, std::vector<double> merged) : x_(std::move(x)), merged_(std::move(merged)) {}
  double operator()(double p) const override {
    const auto at = std::lower_bound(x_.begin(), x_.end(), p);
    const auto i = static_cast<std::size_t>(at - x_.begin());
    return merged_[2 * i + (at != x_.end() && *at == p ? 1 : 0)];
  }
  std::string_view method() const override { return "venn_abers"; }

 private:
  std::vector<double> x_;       ///< k distinct confidences, rising
  std::vector<double> merged_;  ///< 2k + 1: below x0, at x0, between x0 and x1, at x1, ...
};

class Average final : public Calibrator {
 public:
  Average(std::vector<CalibratorPtr> parts, std::vector<double> edges, std::vector<double> means)
      : parts_(std::move(parts)), edges_(std::move(edges)), means_(std::move(means)) {}

  double operator()(double p) const override {
    const double value = mean(parts_, p);
    if (means_.empty()) return value;
    return means_[static_cast<std::size_t>(std::lower_bound(edges_.begin(), edges_.end(), value) - edges_.begin())];
  }
  std::string_view method() const override { return means_.empty() ? "average" : "average_8"; }

  static double mean(const std::vector<CalibratorPtr>& parts, double p) {
    double total = 0;
    for (const CalibratorPtr& part : parts) total += (*part)(p);
    return total / static_cast<double>(parts.size());
  }

 private:
  std::vector<CalibratorPtr> parts_;
  std::vector<double> edges_;  ///< group i holds values in (edges[i - 1], edges[i]]
  std::vector<double> means_;
};

/// Checks what every fit asks of its rows.
Result<double> base_rate(std::span<const double> p, std::span<const std::uint8_t> y) {
  if (p.size() != y.size() || p.size() < 2) {
    return fail(ErrorKind::kInvalidRequest, fmt::format("calibration needs at least 2 labelled rows, got {}", p.size()));
  }
  for (const double v : p) {
    if (!(v >= 0 && v <= 1)) return fail(ErrorKind::kInvalidRequest, fmt::format("calibration: a confidence of {} is not in [0, 1]", v));
  }
  const auto ones = std::accumulate(y.begin(), y.end(), std::size_t{0}, [](std::size_t sum, std::uint8_t v) { return sum + (v != 0); });
  if (ones == 0 || ones == y.size()) {
    return fail(ErrorKind::kInvalidRequest, "calibration: all labelled rows have the same outcome; rows of both kinds are needed");
  }
  return static_cast<double>(ones) / static_cast<double>(y.size());
}

/// Pooled blocks of sums: the running state of pool-adjacent-violators.
struct Block {
  double sum;
  double weight;
  std::size_t count;  ///< distinct points
};

void push_block(std::vector<Block>& blocks, Block block) {
  while (!blocks.empty() && blocks.back().sum * block.weight >= block.sum * blocks.back().weight) {
    block = {blocks.back().sum + block.sum, blocks.back().weight + block.weight, blocks.back().count + block.count};
    blocks.pop_back();
  }
  blocks.push_back(block);
}

struct Points {
  std::vector<double> x, sum, weight;  ///< distinct x, rising
};

Points distinct_points(std::span<const double> x, std::span<const double> y) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return x[a] < x[b]; });
  Points points;
  for (const std::size_t i : order) {
    if (points.x.empty() || points.x.back() != x[i]) {
      points.x.push_back(x[i]);
      points.sum.push_back(0);
      points.weight.push_back(0);
    }
    points.sum.back() += y[i];
    points.weight.back() += 1;
  }
  return points;
}

std::vector<double> as_numbers(std::span<const std::uint8_t> y) {
  std::vector<double> out(y.size());
  std::transform(y.begin(), y.end(), out.begin(), [](std::uint8_t v) { return v ? 1.0 : 0.0; });
  return out;
}

/// Isotonic fit of `points` with one more point (weight 1, value `label`), read at that point.
/// `at` distinct points lie below it; `same` says that the point at index `at` has its very x.
double with_one_more(const Points& points, std::size_t at, bool same, double label) {
  std::vector<Block> blocks;
  std::size_t target_end = 0;  // how many pushed points end with the new one
  std::size_t pushed = 0;
  for (std::size_t i = 0; i <= points.x.size(); ++i) {
    if (i == at) {
      const double sum = label + (same ? points.sum[i] : 0);
      const double weight = 1 + (same ? points.weight[i] : 0);
      push_block(blocks, {sum, weight, 1});
      target_end = ++pushed;
      if (same) continue;
    }
    if (i < points.x.size()) {
      push_block(blocks, {points.sum[i], points.weight[i], 1});
      ++pushed;
    }
  }
  std::size_t passed = 0;
  for (const Block& block : blocks) {
    passed += block.count;
    if (passed >= target_end) return block.sum / block.weight;
  }
  return label;
}

}  // namespace

double complementary_log_log(double p) {
  p = std::clamp(p, 1e-20, 1 - 1e-12);
  return -std::log(p > 0.5 ? -std::log1p(p - 1) : -std::log(p));
}

CalibratorPtr raw_calibrator() {
  static const CalibratorPtr raw = std::make_shared<Raw>();
  return raw;
}

Result<CalibratorPtr> fit_constant(std::span<const std::uint8_t> y) {
  if (y.empty()) return fail(ErrorKind::kInvalidRequest, "calibration: no labelled rows");
  double ones = 0;
  for (const std::uint8_t v : y) ones += v ? 1 : 0;
  return std::make_shared<Constant>(ones / static_cast<double>(y.size()));
}

Result<CalibratorPtr> fit_platt(std::span<const double> p, std::span<const std::uint8_t> y) {
  const auto rate = base_rate(p, y);
  if (!rate) return fail(rate.error());
  const auto n = static_cast<Eigen::Index>(p.size());
  const double ones = *rate * static_cast<double>(n), zeros = static_cast<double>(n) - ones;
  Eigen::MatrixXd x(n, 1);
  Eigen::VectorXd target(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    x(i, 0) = complementary_log_log(p[static_cast<std::size_t>(i)]);
    target(i) = y[static_cast<std::size_t>(i)] ? (ones + 1) / (ones + 2) : 1 / (zeros + 2);
  }
  const auto model = fit_logistic(x, target, Eigen::VectorXd::Constant(1, 1e-6));
  if (!model) return fail(model.error());
  // A confidence that is worse than useless is not turned around: more of it may not mean less.
  if (model->beta(0) <= 0) return fit_constant(y);
  return std::make_shared<Platt>(model->beta(0), model->intercept);
}

Result<CalibratorPtr> fit_beta(std::span<const double> p, std::span<const std::uint8_t> y) {
  const auto rate = base_rate(p, y);
  if (!rate) return fail(rate.error());
  const auto n = static_cast<Eigen::Index>(p.size());
  Eigen::MatrixXd x(n, 2);
  Eigen::VectorXd target(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    const double q = beta_clip(p[static_cast<std::size_t>(i)]);
    x(i, 0) = std::log(q);
    x(i, 1) = -std::log1p(-q);
    target(i) = y[static_cast<std::size_t>(i)] ? 1 : 0;
  }
  // A hair of ridge keeps separable rows finite.
  const auto both = fit_logistic(x, target, Eigen::VectorXd::Constant(2, 1e-3));
  if (!both) return fail(both.error());
  if (both->beta(0) >= 0 && both->beta(1) >= 0) return std::make_shared<Beta>(both->beta(0), both->beta(1), both->intercept);
  const Eigen::Index keep = both->beta(0) < 0 ? 1 : 0;
  const auto one = fit_logistic(x.col(keep), target, Eigen::VectorXd::Constant(1, 1e-3));
  if (!one) return fail(one.error());
  if (one->beta(0) <= 0) return fit_constant(y);
  return keep == 1 ? std::make_shared<Beta>(0.0, one->beta(0), one->intercept) : std::make_shared<Beta>(one->beta(0), 0.0, one->intercept);
}

IsotonicFit isotonic_regression(std::span<const double> x, std::span<const double> y) {
  const Points points = distinct_points(x, y);
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < points.x.size(); ++i) push_block(blocks, {points.sum[i], points.weight[i], 1});
  IsotonicFit fit;
  fit.x = points.x;
  for (const Block& block : blocks) fit.value.insert(fit.value.end(), block.count, block.sum / block.weight);
  return fit;
}

Result<CalibratorPtr> fit_isotonic(std::span<const double> p, std::span<const std::uint8_t> y) {
  const auto rate = base_rate(p, y);
  if (!rate) return fail(rate.error());
  return std::make_shared<Isotonic>(isotonic_regression(p, as_numbers(y)), 0.5 / static_cast<double>(p.size()));
}

Result<CalibratorPtr> fit_venn_abers(std::span<const double> p, std::span<const std::uint8_t> y) {
  const auto rate = base_rate(p, y);
  if (!rate) return fail(rate.error());
  const Points points = distinct_points(p, as_numbers(y));
  const std::size_t k = points.x.size();
  std::vector<double> merged(2 * k + 1);
  for (std::size_t i = 0; i <= k; ++i) {
    for (int same = 0; same < (i < k ? 2 : 1); ++same) {
      const double p0 = with_one_more(points, i, same == 1, 0);
      const double p1 = with_one_more(points, i, same == 1, 1);
      merged[2 * i + static_cast<std::size_t>(same)] = p1 / (1 - p0 + p1);
    }
  }
  return std::make_shared<VennAbers>(points.x, std::move(merged));
}

Result<CalibratorPtr> fit_average(std::span<const double> p, std::span<const std::uint8_t> y, int groups) {
  std::vector<CalibratorPtr> parts;
  for (const auto fit : {fit_platt, fit_beta, fit_isotonic}) {
    auto part = fit(p, y);
    if (!part) return fail(part.error());
    parts.push_back(std::move(*part));
  }
  std::vector<double> edges, means;
  if (groups > 0) {
    std::vector<double> values;
    for (const double v : p) values.push_back(Average::mean(parts, v));
    std::sort(values.begin(), values.end());
    std::size_t start = 0;
    for (int g = 1; g <= groups; ++g) {
      std::size_t end = values.size() * static_cast<std::size_t>(g) / static_cast<std::size_t>(groups);
      while (end < values.size() && end > 0 && values[end] == values[end - 1]) ++end;  // equal values stay together
      if (end <= start) continue;
      means.push_back(std::accumulate(values.begin() + static_cast<std::ptrdiff_t>(start), values.begin() + static_cast<std::ptrdiff_t>(end), 0.0) /
                      static_cast<double>(end - start));
      edges.push_back(end < values.size() ? (values[end - 1] + values[end]) / 2 : std::numeric_limits<double>::infinity());
      start = end;
    }
  }
  return std::make_shared<Average>(std::move(parts), std::move(edges), std::move(means));
}

Result<CalibratorPtr> fit_calibrator(std::string_view method, std::span<const double> p, std::span<const std::uint8_t> y) {
  if (method == "raw") return raw_calibrator();
  if (method == "constant") return fit_constant(y);
  if (method == "platt") return fit_platt(p, y);
  if (method == "beta") return fit_beta(p, y);
  if (method == "isotonic") return fit_isotonic(p, y);
  if (method == "venn_abers") return fit_venn_abers(p, y);
  if (method == "average") return fit_average(p, y, 0);
  if (method == "average_8") return fit_average(p, y, 8);
  return fail(ErrorKind::kUsage, fmt::format("unknown calibrator \"{}\"", method));
}

Result<CalibratorChoice> choose_calibrator(std::span<const double> p, std::span<const std::uint8_t> y, Random& random, int folds) {
  const auto rate = base_rate(p, y);
  if (!rate) return fail(rate.error());
  std::vector<std::string_view> candidates{"raw", "platt", "beta", "average", "average_8"};
  if (p.size() > 300) candidates.insert(candidates.end(), {"isotonic", "venn_abers"});

  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(random.below(i))]);
  const auto parts = static_cast<std::size_t>(std::clamp<int>(folds, 2, static_cast<int>(p.size())));

  struct Scored {
    std::string_view method;
    std::vector<double> loss;  ///< by row, in fold order
    double mean = 0, brier = 0;
  };
  std::vector<Scored> scored;
  for (const std::string_view method : candidates) {
    std::vector<double> predicted;
    std::vector<std::uint8_t> outcome;
    for (std::size_t fold = 0; fold < parts; ++fold) {
      std::vector<double> fit_p;
      std::vector<std::uint8_t> fit_y;
      for (std::size_t i = 0; i < order.size(); ++i) {
        if (i % parts == fold) continue;
        fit_p.push_back(p[order[i]]);
        fit_y.push_back(y[order[i]]);
      }
      // A fold with one class only says nothing but its base rate.
      const auto fitted = fit_calibrator(method, fit_p, fit_y);
      const CalibratorPtr map = fitted ? *fitted : *fit_constant(fit_y);
      for (std::size_t i = fold; i < order.size(); i += parts) {
        predicted.push_back((*map)(p[order[i]]));
        outcome.push_back(y[order[i]]);
      }
    }
    Scored s{method, {}, log_loss(predicted, outcome), brier(predicted, outcome)};
    for (std::size_t i = 0; i < predicted.size(); ++i) s.loss.push_back(log_loss({&predicted[i], 1}, {&outcome[i], 1}));
    scored.push_back(std::move(s));
  }
  const auto by_loss = [](const Scored& a, const Scored& b) { return a.mean < b.mean; };
  const Scored* chosen = &*std::min_element(scored.begin(), scored.end(), by_loss);
  // Eight probabilities, each stated of many rows, are held more exactly than a curve's many. They go before the best map where
  // that costs less log loss than the noise of the comparison (a standard error), but never before raw confidence that did better.
  const auto grouped = std::find_if(scored.begin(), scored.end(), [](const Scored& s) { return s.method == "average_8"; });
  if (chosen->method != "raw" && grouped->mean <= scored.front().mean) {
    double squares = 0;
    for (std::size_t i = 0; i < grouped->loss.size(); ++i) squares += std::pow(grouped->loss[i] - chosen->loss[i] - (grouped->mean - chosen->mean), 2);
    const auto n = static_cast<double>(grouped->loss.size());
    if (grouped->mean - chosen->mean <= std::sqrt(squares) / n) chosen = &*grouped;
  }
  const std::string_view best = chosen->method;
  const double best_loss = chosen->mean, best_brier = chosen->brier;
  auto fitted = fit_calibrator(best, p, y);
  if (!fitted) return fail(fitted.error());
  return CalibratorChoice{std::move(*fitted), best_loss, best_brier};
}

}  // namespace understudy::calibration
