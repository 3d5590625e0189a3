#include "calibration/promise/rung_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "calibration/logistic.h"
#include "calibration/metrics.h"
#include "calibration/promise/internal/columns.h"

namespace understudy::calibration {
namespace {

constexpr std::size_t kFolds = 5;
constexpr std::size_t kLeastRows = 20;
constexpr double kSlopeRidge = 0.01;   // of maps of the raw confidence alone: only keeps separable rows finite
constexpr double kFeatureRidge = 3.0;  // per standardised feature

using Rows = std::vector<const RungOutcome*>;

/// nullopt where no finite fit exists, or where the map would not rise.
std::optional<RungModel> fit(const Rows& rows, std::string_view method) {
  RungModel model;
  model.method = std::string(method);
  if (method == "raw") return model;
  if (method == "constant") {
    const auto good = std::count_if(rows.begin(), rows.end(), [](const RungOutcome* o) { return !o->bad; });
    model.intercept = logit((static_cast<double>(good) + 1) / (static_cast<double>(rows.size()) + 2));
    return model;
  }
  const std::size_t columns = internal::column_count(method, rows.front()->features.size());
  const auto n = static_cast<Eigen::Index>(rows.size());
  const auto d = static_cast<Eigen::Index>(columns);
  Eigen::MatrixXd x(n, d);
  Eigen::VectorXd y(n);
  std::vector<double> line(columns);
  for (Eigen::Index i = 0; i < n; ++i) {
    const RungOutcome& row = *rows[static_cast<std::size_t>(i)];
    internal::fill_columns(method, row.raw, row.features, line);
    for (Eigen::Index j = 0; j < d; ++j) x(i, j) = line[static_cast<std::size_t>(j)];
    y(i) = row.bad ? 0 : 1;
  }
  // Unknown features stand at the mean of the known ones, where they weigh nothing.
  for (Eigen::Index j = 0; j < d; ++j) {
    double sum = 0;
    Eigen::Index known = 0;
    for (Eigen::Index i = 0; i < n; ++i) {
      if (std::isfinite(x(i, j))) sum += x(i, j), ++known;
    }
    const double mean = known > 0 ? sum / static_cast<double>(known) : 0;
    for (Eigen::Index i = 0; i < n; ++i) {
      if (!std::isfinite(x(i, j))) x(i, j) = mean;
    }
  }
  const Standardiser standard = Standardiser::of(x);
  Eigen::VectorXd ridge = Eigen::VectorXd::Constant(d, method == "ridge" ? kFeatureRidge : kSlopeRidge);
  if (method == "ridge") ridge(0) = kSlopeRidge;
  auto fitted = fit_logistic(standard.apply(x), y, ridge);
  if (!fitted) return std::nullopt;
  if (method == "platt" && fitted->beta(0) <= 0) return std::nullopt;
  if (method == "beta" && (fitted->beta(0) < 0 || fitted->beta(1) < 0)) return std::nullopt;
  model.intercept = fitted->intercept;
  for (Eigen::Index j = 0; j < d; ++j) {
    model.mean.push_back(standard.mean(j));
    model.deviation.push_back(standard.deviation(j));
    model.weight.push_back(fitted->beta(j));
  }
  return model;
}

struct Candidate {
  std::string_view method;
  std::vector<double> held_back;  // by usable row
  double log_loss = std::numeric_limits<double>::infinity();
};

double loss_of(double p, bool good) { return -std::log(std::clamp(good ? p : 1 - p, 1e-6, 1.0)); }

/// Whether `b` beats `a` by a standard error of the difference a row.
bool clearly_better(const Candidate& b, const Candidate& a, const Rows& rows) {
  double sum = 0, squares = 0;
  const auto n = static_cast<double>(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double gain = loss_of(a.held_back[i], !rows[i]->bad) - loss_of(b.held_back[i], !rows[i]->bad);
    sum += gain;
    squares += gain * gain;
  }
  const double mean = sum / n;
  return mean > std::sqrt(std::max(0.0, squares / n - mean * mean) / n);
}

}  // namespace

RungFit fit_rung(std::span<const LabelledRow* const> rows, std::size_t rung, Random& random) {
  RungFit result;
  result.held_back.assign(rows.size(), std::numeric_limits<double>::quiet_NaN());
  Rows usable;
  std::vector<std::size_t> place;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const RungOutcome& outcome = rows[i]->rungs[rung];
    if (!outcome.usable) continue;
    usable.push_back(&outcome);
    place.push_back(i);
  }
  result.rows = usable.size();
  const auto bad = static_cast<std::size_t>(std::count_if(usable.begin(), usable.end(), [](const RungOutcome* o) { return o->bad; }));
  const bool can_fit = usable.size() >= kLeastRows && bad > 0 && bad < usable.size();

  std::vector<std::size_t> fold(usable.size());
  for (std::size_t i = 0; i < fold.size(); ++i) fold[i] = i % kFolds;
  for (std::size_t i = fold.size(); i > 1; --i) std::swap(fold[i - 1], fold[static_cast<std::size_t>(random.below(i))]);

  std::vector<Candidate> candidates;
  for (const std::string_view method : {"raw", "constant", "platt", "beta", "ridge"}) {
    if (method != "raw" && !can_fit) continue;
    if (method == "ridge" && usable.front()->features.empty()) continue;
    Candidate c{method, std::vector<double>(usable.size()), 0};
    bool whole = true;
    for (std::size_t f = 0; f < kFolds && whole; ++f) {
      Rows part;
      for (std::size_t i = 0; i < usable.size(); ++i) {
        if (fold[i] != f || method == "raw") part.push_back(usable[i]);
      }
      if (part.empty()) continue;
      const auto model = fit(part, method);
      whole = model.has_value();
      for (std::size_t i = 0; i < usable.size() && whole; ++i) {
        if (fold[i] == f) c.held_back[i] = model->probability(usable[i]->raw, usable[i]->features);
      }
    }
    if (!whole) continue;
    for (std::size_t i = 0; i < usable.size(); ++i) c.log_loss += loss_of(c.held_back[i], !usable[i]->bad);
    if (!usable.empty()) c.log_loss /= static_cast<double>(usable.size());
    candidates.push_back(std::move(c));
  }
  const Candidate* best = &candidates.front();
  for (const Candidate& c : candidates) {
    if (c.log_loss < best->log_loss && (c.method != "ridge" || clearly_better(c, *best, usable))) best = &c;
  }
  if (const auto model = fit(usable, best->method); model && !usable.empty()) result.model = *model;
  for (std::size_t i = 0; i < usable.size(); ++i) result.held_back[place[i]] = best->held_back[i];
  if (!usable.empty()) {
    std::vector<std::uint8_t> good;
    for (const RungOutcome* outcome : usable) good.push_back(outcome->bad ? 0 : 1);
    result.log_loss = best->log_loss;
    result.brier = brier(best->held_back, good);
    result.ece15 = ece(best->held_back, good);
  }
  return result;
}

}  // namespace understudy::calibration
