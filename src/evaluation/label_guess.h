#pragma once
/// A guess at a classification's answer before anybody is asked: from where each label's demonstration stands in the row's own list
/// of nearest demonstrations, and from how much the row's text is like the labelled texts of each label. Looks at texts and
/// demonstrations of all rows, and at labels of the rows that it is given.

#include <Eigen/Core>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "evaluation/outcomes.h"
#include "retrieval/hashed_text.h"

namespace understudy::evaluation {

class LabelGuess {
 public:
  /// Cuts all texts into terms, once. Labels are those of the demonstrations, in order of their names.
  explicit LabelGuess(const std::vector<Visible>& rows);

  const std::vector<std::string>& labels() const { return labels_; }
  std::optional<std::size_t> index_of(const std::string& label) const;

  /// P(label), rows by labels(). `known` rows have the label at the same place of `label` (nullopt, or one that no demonstration
  /// has: not used); each is judged as if it had not been known. The model is log P(rank of the label in the row's longest list) +
  /// beta * cosine(text, mean text of the label), normalised over labels; beta is the one of a short list under which the known
  /// rows, each left out, are likeliest. Cost: known + rows times labels dot products of some hundred terms.
  Eigen::MatrixXd fit(const std::vector<std::size_t>& known, const std::vector<std::optional<std::string>>& label) const;

 private:
  using Entry = retrieval::TermSpace::Entry;
  static double dot(const std::vector<Entry>& text, const Eigen::VectorXd& sum);

  std::vector<std::string> labels_;
  std::map<std::string, std::size_t> index_;
  std::shared_ptr<const retrieval::TermSpace> space_;
  std::vector<std::vector<Entry>> texts_;                        ///< by row
  std::vector<std::pair<std::vector<Entry>, std::size_t>> demos_;  ///< each once, with its label
  std::vector<std::vector<std::size_t>> rank_;                   ///< by row and label; ranks_ - 1: not in its list
  std::size_t ranks_ = 1;
};

}  // namespace understudy::evaluation
