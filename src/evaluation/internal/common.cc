#include "evaluation/internal/common.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "calibration/boosted_trees.h"
#include "calibration/logistic.h"

namespace understudy::evaluation::internal {

Rows permutation(std::size_t n, Random& random) {
  Rows order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(random.below(i))]);
  return order;
}

Result<FitTest> split_rows(const Outcomes& outcomes, const std::string& how, Random& random) {
  FitTest out;
  const std::size_t n = outcomes.rows.size();
  if (how.starts_with("split:")) {
    const std::string name = how.substr(6);
    for (std::size_t i = 0; i < n; ++i) (outcomes.rows[i].split == name ? out.fit : out.test).push_back(i);
    if (out.fit.empty() || out.test.empty()) {
      return fail(ErrorKind::kUsage, fmt::format("--fit {}: {} of {} rows of {} have this split; both kinds are needed (or use --fit random:N)",
                                                 how, out.fit.size(), n, outcomes.file), "fit");
    }
    return out;
  }
  std::size_t count = 0;
  if (how.starts_with("random:")) std::from_chars(how.data() + 7, how.data() + how.size(), count);
  if (count == 0 || count >= n) {
    return fail(ErrorKind::kUsage, fmt::format("--fit {}: want split:NAME, or random:N with N from 1 to {} (the file has {} rows)", how, n - 1, n), "fit");
  }
  const Rows order = permutation(n, random);
  out.fit.assign(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count));
  out.test.assign(order.begin() + static_cast<std::ptrdiff_t>(count), order.end());
  std::sort(out.test.begin(), out.test.end());
  return out;
}

calibration::ComparatorSpec task_comparator(const std::vector<Visible>& rows) {
  std::map<calibration::Comparator, std::size_t> votes;
  std::size_t marked = 0, answers = 0;
  for (const Visible& row : rows) {
    if (!row.weak_answer) continue;
    ++answers;
    ++votes[calibration::default_comparator({*row.weak_answer})];
    marked += row.weak_answer->find("####") != std::string::npos || row.weak_answer->find("\\boxed{") != std::string::npos;
  }
  calibration::ComparatorSpec spec;
  if (answers == 0) return spec;
  // Worked solutions that mark their result are compared by it.
  if (marked * 2 > answers) {
    spec.comparator = calibration::Comparator::kNumber;
    return spec;
  }
  spec.comparator = std::max_element(votes.begin(), votes.end(), [](const auto& a, const auto& b) { return a.second < b.second; })->first;
  return spec;
}

std::optional<bool> agreement(const Visible& row, const Truth& truth, const calibration::ComparatorSpec& comparator) {
  if (truth.agrees) return truth.agrees;
  if (!truth.strong_answer) return std::nullopt;
  return row.weak_answer && calibration::agrees(comparator, *row.weak_answer, *truth.strong_answer);
}

bool has_coins(const std::vector<Visible>& rows) {
  return std::any_of(rows.begin(), rows.end(), [](const Visible& r) { return r.coin.has_value(); });
}

std::optional<Outcomes> strong_as_reference(const Outcomes& all) {
  for (const Truth& t : all.truth) {
    if (t.weak_correct || t.strong_correct) return std::nullopt;
  }
  const auto comparator = task_comparator(all.rows);
  const bool coins = has_coins(all.rows);
  Outcomes out;
  out.file = all.file;
  out.weak_model = all.weak_model;
  out.strong_model = all.strong_model;
  for (std::size_t i = 0; i < all.rows.size(); ++i) {
    const auto agrees = agreement(all.rows[i], all.truth[i], comparator);
    if (!agrees || !(all.rows[i].weak_answer || all.truth[i].agrees) || (coins && !all.rows[i].coin.value_or(false))) continue;
    out.rows.push_back(all.rows[i]);
    out.truth.push_back(all.truth[i]);
    out.truth.back().weak_correct = *agrees;
    out.truth.back().strong_correct = true;
  }
  if (out.rows.empty()) return std::nullopt;
  return out;
}

std::optional<double> confidence_of(const Visible& row, Use use) {
  if (use == Use::kQuery || !row.weak_logprob) return std::nullopt;
  return std::exp(*row.weak_logprob);
}

bool has_confidence(const std::vector<Visible>& rows, Use use) {
  return use != Use::kQuery && std::all_of(rows.begin(), rows.end(), [](const Visible& r) { return r.weak_logprob.has_value(); });
}

namespace {

double log_log(double logprob) { return -std::log(std::clamp(-logprob, 1e-12, 50.0)); }

}  // namespace

PeerFeatures::PeerFeatures(const std::vector<Visible>& rows, const calibration::ComparatorSpec& comparator) {
  std::set<std::string> names;
  for (const Visible& row : rows) {
    for (const auto& [model, peer] : row.peers) names.insert(model);
  }
  models_.assign(names.begin(), names.end());
  const auto n = static_cast<Eigen::Index>(rows.size());
  std::vector<Eigen::VectorXd> columns;
  Eigen::VectorXd raw = Eigen::VectorXd::Zero(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    if (const auto& lp = rows[static_cast<std::size_t>(i)].weak_logprob) raw(i) = log_log(*lp);
  }
  columns.push_back(raw);
  for (const std::string& model : models_) {
    Eigen::VectorXd own = Eigen::VectorXd::Zero(n), same = Eigen::VectorXd::Zero(n);
    std::vector<bool> agree(rows.size(), false);
    bool any_own = false, any_same = false;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto peer = rows[i].peers.find(model);
      if (peer == rows[i].peers.end()) continue;
      const auto at = static_cast<Eigen::Index>(i);
      const double p = peer->second.logprob ? std::exp(*peer->second.logprob) : 1.0;
      if (peer->second.logprob) own(at) = log_log(*peer->second.logprob), any_own = true;
      if (peer->second.answer && rows[i].weak_answer) {
        agree[i] = calibration::agrees(comparator, *rows[i].weak_answer, *peer->second.answer);
        same(at) = agree[i] ? p : -p;
        any_same = true;
      }
    }
    agrees_.push_back(std::move(agree));
    if (any_own) columns.push_back(own);
    if (any_same) columns.push_back(same);
    agreement_ = agreement_ || any_same;
  }
  matrix_.resize(n, static_cast<Eigen::Index>(columns.size()));
  for (std::size_t c = 0; c < columns.size(); ++c) matrix_.col(static_cast<Eigen::Index>(c)) = columns[c];
}

namespace {

Eigen::MatrixXd take(const Eigen::MatrixXd& matrix, const Rows& rows) {
  Eigen::MatrixXd out(static_cast<Eigen::Index>(rows.size()), matrix.cols());
  for (std::size_t i = 0; i < rows.size(); ++i) out.row(static_cast<Eigen::Index>(i)) = matrix.row(static_cast<Eigen::Index>(rows[i]));
  return out;
}

}  // namespace

ScoreFit ridge_scores(const Eigen::MatrixXd& matrix, bool free_first, double ridge) {
  return [&matrix, free_first, ridge](const Rows& fit, const std::vector<double>& labels) -> Result<Eigen::VectorXd> {
    const Eigen::MatrixXd rows = take(matrix, fit);
    const auto scale = calibration::Standardiser::of(rows);
    Eigen::VectorXd penalty = Eigen::VectorXd::Constant(matrix.cols(), ridge);
    if (free_first) penalty(0) = 1e-3;
    const auto model = calibration::fit_logistic(scale.apply(rows), Eigen::Map<const Eigen::VectorXd>(labels.data(), static_cast<Eigen::Index>(labels.size())), penalty);
    if (!model) return fail(model.error());
    return model->probabilities(scale.apply(matrix));
  };
}

ScoreFit tree_scores(const Eigen::MatrixXd& matrix) {
  return [&matrix](const Rows& fit, const std::vector<double>& labels) -> Result<Eigen::VectorXd> {
    const auto model = calibration::fit_boosted_trees(take(matrix, fit), Eigen::Map<const Eigen::VectorXd>(labels.data(), static_cast<Eigen::Index>(labels.size())));
    if (!model) return fail(model.error());
    return model->probabilities(matrix);
  };
}

ScoreFit mean_scores(ScoreFit a, ScoreFit b) {
  return [a = std::move(a), b = std::move(b)](const Rows& fit, const std::vector<double>& labels) -> Result<Eigen::VectorXd> {
    auto first = a(fit, labels);
    if (!first) return first;
    const auto second = b(fit, labels);
    if (!second) return fail(second.error());
    for (Eigen::Index i = 0; i < first->size(); ++i) (*first)(i) = calibration::sigmoid((calibration::logit((*first)(i)) + calibration::logit((*second)(i))) / 2);
    return first;
  };
}

Result<std::vector<double>> cross_fitted(const ScoreFit& scores, const Rows& fit, const std::vector<double>& labels, const std::vector<std::size_t>& folds,
                                         std::size_t count) {
  std::vector<double> out(fit.size(), 0);
  for (std::size_t fold = 0; fold < count; ++fold) {
    Rows others;
    std::vector<double> other_labels;
    for (std::size_t i = 0; i < fit.size(); ++i) {
      if (folds[i] == fold) continue;
      others.push_back(fit[i]);
      other_labels.push_back(labels[i]);
    }
    const auto scored = scores(others, other_labels);
    if (!scored) return fail(scored.error());
    for (std::size_t i = 0; i < fit.size(); ++i) {
      if (folds[i] == fold) out[i] = (*scored)(static_cast<Eigen::Index>(fit[i]));
    }
  }
  return out;
}

std::vector<std::size_t> deal_folds(std::size_t rows, std::size_t count, Random& random) {
  const Rows order = permutation(rows, random);
  std::vector<std::size_t> folds(rows);
  for (std::size_t i = 0; i < rows; ++i) folds[order[i]] = i % count;
  return folds;
}

std::vector<double> gather(const Eigen::VectorXd& values, const Rows& rows) {
  std::vector<double> out(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) out[i] = values(static_cast<Eigen::Index>(rows[i]));
  return out;
}

Unexpected missing(const Outcomes& outcomes, std::string_view what) {
  return fail(ErrorKind::kInvalidRequest, fmt::format("{}: this protocol needs {}; the file does not record it", outcomes.file, what));
}

void append_mean(JsonWriter& json, std::string_view key, const std::vector<double>& values) {
  json.field(key, calibration::mean_interval(values).mean);
}

}  // namespace understudy::evaluation::internal
