#pragma once
/// How good an answer is, or how much better than another, as log-odds: a line, boosted trees, or the mean of both, whichever has the lowest log loss on
/// rows left out; five of them, each fitted without one fifth of the rows, whose mean counts. So each training row has one that has not seen it.

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "calibration/boosted_trees.h"
#include "calibration/logistic.h"
#include "neural/safetensors.h"
#include "specialists/judge_rows.h"

namespace understudy::specialists {

inline constexpr std::array<std::string_view, 3> kAnswerRungs = {"linear", "trees", "both"};

/// Deals rows to kJudgeFolds folds, those with the same text together, the largest group first, each to the smallest fold.
std::vector<std::size_t> folds_by_text(std::span<const std::string_view> texts, std::uint64_t seed);

/// Immutable once fitted; thread-safe.
class AnswerRungs {
 public:
  struct Rows {
    Eigen::MatrixXd x;       ///< kAnswerColumns features, and what else the line reads
    Eigen::VectorXd y;       ///< 0 to 1
    Eigen::VectorXd weight;
    std::vector<std::size_t> fold;
  };
  struct Work {
    std::function<void(std::string_view what, std::size_t done, std::size_t total)> progress;
    std::stop_token stop;
  };

  /// @param mirrored  rows are differences, and log_odds(-x) is to be -log_odds(x) to the last bit
  /// kCancelled; kInvalidRequest: all y are the same.
  static Result<AnswerRungs> fit(const Rows& rows, bool mirrored, const Work& work);

  /// @param fold  whose rung has not seen the row; kJudgeFolds: none has, and the mean counts
  double log_odds(const Eigen::Ref<const Eigen::VectorXd>& x, std::size_t fold) const;

  std::string_view choice() const { return kAnswerRungs[kind_]; }
  const std::array<double, kAnswerRungs.size()>& cv_log_loss() const { return cv_log_loss_; }  ///< nats a row, on rows left out

  /// As tensors of model.safetensors. docs/formats/judge-specialist.md
  void append(std::vector<neural::NewTensor>& out) const;
  /// kCorrupt: they are missing or cannot be, or `choice` is none of kAnswerRungs.
  static Result<AnswerRungs> take(const neural::Safetensors& file, Eigen::Index columns, bool mirrored, std::string_view choice, const std::array<double, kAnswerRungs.size()>& cv_log_loss);

 private:
  struct Rung {
    calibration::LogisticModel line;
    calibration::BoostedTrees trees;
    double log_odds(const Eigen::Ref<const Eigen::VectorXd>& x, std::size_t kind) const;
  };
  static Result<Rung> fit_rung(const Rows& rows, std::size_t without, bool mirrored);
  double one(const Rung& rung, const Eigen::Ref<const Eigen::VectorXd>& x, std::size_t kind) const;

  std::vector<Rung> rungs_;  ///< kJudgeFolds
  std::size_t kind_ = 0;     ///< of kAnswerRungs
  bool mirrored_ = false;
  std::array<double, kAnswerRungs.size()> cv_log_loss_{};
};

}  // namespace understudy::specialists
