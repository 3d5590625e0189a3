#pragma once
/// What can be known of a request's outcome from its prompt alone.

#include <Eigen/Core>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "evaluation/internal/common.h"

namespace understudy::evaluation::internal {

/// More than half of the rows have a prompt.
bool has_prompts(const std::vector<Visible>& rows);

/// Kernel ridge regression on prompts as points (text_space.h): by words, and where an encoder is there also by meaning. Immutable.
class PromptScores {
 public:
  /// Lays out the points of all rows; looks at prompts and subjects, never at an outcome.
  /// @param progress  share of prompts embedded, 0..1; may be empty
  /// @return errors of embed_prompts
  static Result<PromptScores> create(const std::vector<Visible>& rows, const EvalOptions& options, const std::function<void(double)>& progress);

  struct Scores {
    Eigen::VectorXd all;       ///< of every row of the file
    std::vector<double> fit;   ///< of the fit rows, each as if it had not been fitted on
    std::string method;        ///< "text"; with vectors "text, words", "text, meaning" or "text, words and meaning"
  };
  /// Fits `y`, one number for each row of `fit`. With vectors the score is the mean of what words and meaning say, or one of the two
  /// where its squared error on fit rows left out one by one is less by a standard error: a choice by less would be a choice by chance.
  /// Reads 2,500 fit rows at most, evenly spaced: O(f^3 + n f d).
  Scores fit(const Rows& fit, const std::vector<double>& y) const;
  /// `fit` of labels 0 and 1 for those who want P(label) of all rows, cut to [0, 1]; its error where all labels are the same. These scores must
  /// outlive what is returned.
  ScoreFit probabilities() const;

  bool by_meaning() const { return meaning_.cols() > 0; }
  const std::string& encoder() const { return encoder_; }   ///< as PromptVectors::encoder
  std::string_view encoder_in_json() const { return by_meaning() ? std::string_view(encoder_) : "off"; }

 private:
  Eigen::MatrixXd words_, meaning_;   ///< n by d; `meaning_` without columns: there is no encoder
  std::string encoder_;
};

}  // namespace understudy::evaluation::internal
