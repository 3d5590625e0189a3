#pragma once
/// What the protocols share: splits, answers' agreement, scores from peers.

#include <Eigen/Core>
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

/// P(label) by ridge logistic on standardised columns: penalty 3, next to none on column 0 where `free_first`.
/// Scores all rows of the matrix. @param labels of the fit rows, in their order
Result<Eigen::VectorXd> logistic_scores(const Eigen::MatrixXd& matrix, const Rows& fit, const std::vector<double>& labels, bool free_first,
                                        double ridge = 3);
/// The same for the fit rows alone, each scored by a fit on the other folds.
Result<std::vector<double>> cross_fitted(const Eigen::MatrixXd& matrix, const Rows& fit, const std::vector<double>& labels, bool free_first,
                                         int folds, Random& random, double ridge = 3);

std::vector<double> gather(const Eigen::VectorXd& values, const Rows& rows);

Unexpected missing(const Outcomes& outcomes, std::string_view what);

/// "key": number, or null for NaN.
void append_mean(JsonWriter& json, std::string_view key, const std::vector<double>& values);

}  // namespace understudy::evaluation::internal
