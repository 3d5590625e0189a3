#include "trainer/step_plan.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "base/random.h"

namespace understudy::trainer {
namespace {

template <typename T>
void shuffle(std::vector<T>& values, Random& random) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random.below(i)]);
}

/// `most` of them at random, all where there are fewer.
void append_some(std::vector<std::uint32_t>& to, std::vector<std::uint32_t> from, std::size_t most, Random& random) {
  if (from.size() > most) {
    shuffle(from, random);
    from.resize(most);
  }
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

std::uint64_t derived_seed(std::uint64_t seed, std::uint64_t part) { return SeededRandom(seed * 0x9e3779b97f4a7c15u + part).next(); }

std::vector<std::vector<std::uint32_t>> groups_of(const std::vector<PairRow>& rows) {
  std::vector<std::vector<std::uint32_t>> groups;
  std::unordered_map<std::string_view, std::size_t> place;
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    const auto [found, is_new] = rows[i].group.empty() ? std::pair(place.end(), true) : place.try_emplace(rows[i].group, groups.size());
    if (is_new) groups.push_back({i});
    else groups[found->second].push_back(i);
  }
  return groups;
}

Result<StepPlan> StepPlan::create(const std::vector<PairRow>& rows, const Job& job) {
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    if (job.loss != Loss::kLabels && !rows[i].label.empty())
      return fail(ErrorKind::kInvalidRequest, fmt::format("row {} has a label, which only the labels loss learns from: give it a target, or set loss to labels", i + 1));
  }
  StepPlan plan;
  plan.alone_ = job.loss == Loss::kPointwise || job.loss == Loss::kLabels;
  plan.seed_ = job.seed;
  plan.epochs_ = job.epochs;
  plan.most_positives_ = job.positives;
  plan.most_negatives_ = job.negatives;
  if (plan.alone_) {
    std::set<std::string_view> labels;
    for (std::uint32_t i = 0; i < rows.size(); ++i) {
      if (job.loss == Loss::kLabels && rows[i].label.empty()) return fail(ErrorKind::kInvalidRequest, fmt::format("row {} has no label, and the labels loss learns from nothing else", i + 1));
      labels.insert(rows[i].label);
      if (job.loss == Loss::kPointwise && rows[i].target > 1) return fail(ErrorKind::kInvalidRequest, "the pointwise loss needs targets from 0 to 1: scale them, or use the listwise loss");
      plan.positives_.push_back({i});
    }
    plan.negatives_.resize(rows.size());
    plan.groups_per_step_ = job.rows_per_step;
    if (rows.empty()) return fail(ErrorKind::kInvalidRequest, "there are no rows to learn from");
    if (job.loss == Loss::kLabels && labels.size() < 2)
      return fail(ErrorKind::kInvalidRequest, fmt::format("all rows have the label \"{}\": rows of two or more are needed", rows[0].label));
  } else {
    plan.groups_per_step_ = job.groups_per_step;
    for (const Places& group : groups_of(rows)) {
      double most = 0, least = rows[group[0]].target;
      for (const std::uint32_t i : group) most = std::max(most, rows[i].target), least = std::min(least, rows[i].target);
      if (most <= least) continue;
      Places positives, negatives;
      for (const std::uint32_t i : group) (rows[i].target > most / 2 ? positives : negatives).push_back(i);
      plan.positives_.push_back(std::move(positives));
      plan.negatives_.push_back(std::move(negatives));
    }
    if (plan.positives_.empty())
      return fail(ErrorKind::kInvalidRequest, "no group has rows with different targets, and only those teach which of them is better: give both good and bad rows the same group");
  }
  plan.steps_per_epoch_ = (plan.positives_.size() + plan.groups_per_step_ - 1) / plan.groups_per_step_;
  return plan;
}

std::vector<std::vector<std::uint32_t>> StepPlan::rows_of(std::size_t step) const {
  const std::size_t epoch = step / steps_per_epoch_, begin = step % steps_per_epoch_ * groups_per_step_;
  Places order(positives_.size());
  std::iota(order.begin(), order.end(), 0u);
  SeededRandom shuffling(derived_seed(seed_, epoch));
  shuffle(order, shuffling);
  SeededRandom drawing(derived_seed(seed_, (std::uint64_t{1} << 32) + step));
  std::vector<Places> result;
  if (alone_) result.emplace_back();
  for (std::size_t i = begin; i < std::min(begin + groups_per_step_, order.size()); ++i) {
    if (!alone_) result.emplace_back();
    append_some(result.back(), positives_[order[i]], most_positives_, drawing);
    append_some(result.back(), negatives_[order[i]], most_negatives_, drawing);
  }
  return result;
}

}  // namespace understudy::trainer
