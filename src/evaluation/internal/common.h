#pragma once
/// What the protocols share: splits, answers' agreement, scores from peers.

#include <Eigen/Core>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json_writer.h"
#include "base/random.h"
#include "calibration/compare.h"
#include "calibration/metrics.h"
#include "evaluation/protocols.h"

namespace understudy::evaluation::internal {

using Rows = std::vector<std::size_t>;

/// 0..n-1 in random order.
Rows permutation(std::size_t n, Random& random);

struct FitTest {
  Rows fit, test;
};
/// "split:NAME" or "random:N"; kUsage for anything else, and where either side would be empty.
Result<FitTest> split_rows(const Outcomes& outcomes, const std::string& how, Random& random);

/// The comparator that suits most weak answers of the file.
calibration::ComparatorSpec task_comparator(const std::vector<Visible>& rows);

/// Whether the weak answer agrees with the strong one: as recorded, else by the comparator; nullopt where there is no strong
/// answer to compare with.
std::optional<bool> agreement(const Visible& row, const Truth& truth, const calibration::ComparatorSpec& comparator);

/// Rows say whether they are spot checks: then only those that are may judge a policy, since others carry a strong answer
/// because they were unsure.
bool has_coins(const std::vector<Visible>& rows);

/// Where no row records correctness (the gateway's own log), the strong answer stands for the truth: the labelled rows, strong
/// right, weak right where it agrees. nullopt where correctness is recorded, or no row has both answers.
std::optional<Outcomes> strong_as_reference(const Outcomes& all);

/// exp(weak_logprob), nullopt where no confidence is recorded or --use query forbids it.
std::optional<double> confidence_of(const Visible& row, Use use);
/// Every row has a confidence that `use` allows.
bool has_confidence(const std::vector<Visible>& rows, Use use);

/// Features from the weak model's confidence and its peers: column 0 is -log(-logprob) of the weak answer where recorded;
/// each peer adds its own confidence in that form, and agreement with the weak answer (1 or -1) times its probability.
class PeerFeatures {
 public:
  PeerFeatures(const std::vector<Visible>& rows, const calibration::ComparatorSpec& comparator);
  bool any_agreement() const { return agreement_; }
  const Eigen::MatrixXd& matrix() const { return matrix_; }  ///< n by d
  const std::vector<std::string>& models() const { return models_; }
  /// Weak answer agrees with that peer's; false where either is unknown.
  bool agrees(std::size_t model, std::size_t row) const { return agrees_[model][row]; }

 private:
  std::vector<std::string> models_;
  std::vector<std::vector<bool>> agrees_;
  Eigen::MatrixXd matrix_;
  bool agreement_ = false;
};

/// Fits P(label) on the rows `fit` (labels in their order) and scores all rows of the file.
using ScoreFit = std::function<Result<Eigen::VectorXd>(const Rows& fit, const std::vector<double>& labels)>;

/// Ridge logistic on standardised columns: penalty `ridge`, next to none on column 0 where `free_first`. The matrix must outlive
/// what is returned.
ScoreFit ridge_scores(const Eigen::MatrixXd& matrix, bool free_first, double ridge = 3);
/// Boosted trees on the columns as they are.
ScoreFit tree_scores(const Eigen::MatrixXd& matrix);
/// Mean log-odds of two fits.
ScoreFit mean_scores(ScoreFit a, ScoreFit b);

/// The fit rows alone, each scored by a fit on the other folds. `folds[i]` is the fold of fit row i, 0 to `count` - 1.
Result<std::vector<double>> cross_fitted(const ScoreFit& scores, const Rows& fit, const std::vector<double>& labels, const std::vector<std::size_t>& folds,
                                         std::size_t count);
/// Folds of equal size, rows dealt at random.
std::vector<std::size_t> deal_folds(std::size_t rows, std::size_t count, Random& random);

std::vector<double> gather(const Eigen::VectorXd& values, const Rows& rows);

Unexpected missing(const Outcomes& outcomes, std::string_view what);

/// "key": number, or null for NaN.
void append_mean(JsonWriter& json, std::string_view key, const std::vector<double>& values);

}  // namespace understudy::evaluation::internal
