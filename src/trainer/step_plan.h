#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "trainer/job.h"

namespace understudy::trainer {

/// Which rows each step learns from. A function of rows, job and step alone: a training that goes on after an interruption needs no more
/// than the number of the step.
///
/// Pointwise and labels: each epoch takes all rows once, shuffled. Margin and listwise: each epoch takes each group once, shuffled, and of it up to
/// `positives` rows whose target is over half of the group's greatest and up to `negatives` others, drawn anew. Groups in which all
/// targets are the same teach nothing and are left out.
class StepPlan {
 public:
  /// kInvalidRequest: there is nothing to learn from.
  static Result<StepPlan> create(const std::vector<PairRow>& rows, const Job& job);

  std::size_t steps() const { return steps_per_epoch_ * epochs_; }
  std::size_t steps_per_epoch() const { return steps_per_epoch_; }
  std::size_t groups() const { return positives_.size(); }  ///< that teach something; pointwise and labels: rows
  /// @param step  from 0. Places of rows, group by group; pointwise and labels: one group
  std::vector<std::vector<std::uint32_t>> rows_of(std::size_t step) const;

 private:
  using Places = std::vector<std::uint32_t>;
  std::vector<Places> positives_, negatives_;  // by group; where rows stand alone: a row each, and none
  bool alone_ = false;  // rows, not groups
  std::uint64_t seed_ = 1;
  std::size_t steps_per_epoch_ = 0, epochs_ = 0, groups_per_step_ = 1, most_positives_ = 0, most_negatives_ = 0;
};

/// Places of rows by group, in the order of the groups' first rows. A row without group is a group of its own.
std::vector<std::vector<std::uint32_t>> groups_of(const std::vector<PairRow>& rows);

/// A seed for a part of the work, from the seed of all.
std::uint64_t derived_seed(std::uint64_t seed, std::uint64_t part);

}  // namespace understudy::trainer
