// What the keeper does about rungs that learn: rows for fits, judging rows by a fit, when a fit is worth a test.
#include <algorithm>
#include <limits>

#include "base/assert.h"
#include "calibration/promise/internal/plan.h"

namespace understudy::calibration {
namespace {

constexpr std::size_t kFirstFit = 60;        // rows
constexpr std::size_t kLeastNewRows = 40;    // for the next one, and at least a sixth more than before
constexpr std::size_t kEnoughToTell = 500;   // rows that show whether answers come again
constexpr double kLeastGain = 0.03;          // of the bill, for a test of a newer fit
constexpr double kLeastFirstShare = 0.10;    // of the requests, for a test while the teacher serves everything

}  // namespace

const LabelledRow& PromiseKeeper::judged(const LabelledRow& row, const LearnedFit* fit, LabelledRow& scratch) const {
  if (std::none_of(rungs_.begin(), rungs_.end(), [](const RungSpec& rung) { return rung.learned; })) return row;
  scratch = row;
  for (std::size_t i = 0; i < rungs_.size(); ++i) {
    if (rungs_[i].learned) scratch.rungs[i] = {};
  }
  if (fit != nullptr) fit->judge(scratch);
  return scratch;
}

std::shared_ptr<const LearnedFit> PromiseKeeper::find_fit(std::uint64_t id) const {
  if (id == 0) return nullptr;
  for (const auto& fit : {newest_, serving_}) {
    if (fit && fit->id() == id) return fit;
  }
  for (const Running& run : running_) {
    if (run.fit && run.fit->id() == id) return run.fit;
  }
  return learner_ ? learner_->load(id) : nullptr;
}

std::vector<std::uint64_t> PromiseKeeper::fits_used() const {
  std::vector<std::uint64_t> ids;
  for (const auto& fit : {newest_, serving_}) {
    if (fit) ids.push_back(fit->id());
  }
  for (const Running& run : running_) {
    if (run.fit) ids.push_back(run.fit->id());
  }
  return ids;
}

double PromiseKeeper::mean_cost(const LadderPolicy& policy, const LearnedFit* fit) const {
  // Where rungs learn, fit rows are known by heart to the older fits: test rows it is, of which no label is looked at.
  const bool learned = policy.fit != 0 || newest_ != nullptr;
  const auto& rows = learned ? test_rows_ : fit_rows_;
  if (rows.empty()) return std::numeric_limits<double>::infinity();
  double sum = 0;
  LabelledRow scratch;
  for (const LabelledRow& row : rows) {
    const Served served = serve(policy, judged(row, fit, scratch));
    sum += served.cost_usd + (served.rung ? 0 : row.teacher_cost_usd);
  }
  return sum / static_cast<double>(rows.size());
}

std::optional<FitJob> PromiseKeeper::fit_job() {
  if (!learner_ || !open_) return std::nullopt;
  const auto teaches = [](const LabelledRow& row) { return !row.terms.empty(); };
  const auto rows = static_cast<std::size_t>(std::count_if(fit_rows_.begin(), fit_rows_.end(), teaches));
  if (rows < kFirstFit || (fitted_at_ > 0 && rows < fitted_at_ + std::max(kLeastNewRows, fitted_at_ / 6))) return std::nullopt;
  fitted_at_ = rows;
  FitJob job{epoch_, options_.seed, {}};
  job.rows.reserve(rows);
  std::copy_if(fit_rows_.begin(), fit_rows_.end(), std::back_inserter(job.rows), teaches);
  return job;
}

void PromiseKeeper::adopt(const FitJob& job, Fitted fitted) {
  if (job.epoch != epoch_) return;
  if (!fitted.fit) {
    unlearnable_ = job.rows.size() >= kEnoughToTell;
    return;
  }
  UNDERSTUDY_ASSERT(fitted.held_back.size() == job.rows.size());
  newest_ = std::move(fitted.fit);
  // Both in the order of their serials.
  std::size_t next = 0;
  LabelledRow scratch;
  for (LabelledRow& row : fit_rows_) {
    while (next < fitted.held_back.size() && fitted.held_back[next].serial < row.serial) ++next;
    const bool learnt = next < fitted.held_back.size() && fitted.held_back[next].serial == row.serial;
    const LabelledRow& now = learnt ? fitted.held_back[next] : judged(row, newest_.get(), scratch);
    for (std::size_t i = 0; i < rungs_.size(); ++i) {
      if (rungs_[i].learned) row.rungs[i] = now.rungs[i];
    }
  }
  planned_at_ = 0;
  next_look_ = 0;
}

bool PromiseKeeper::may_learn() const {
  if (!learner_ || unlearnable_) return false;
  const auto teach = static_cast<std::size_t>(std::count_if(fit_rows_.begin(), fit_rows_.end(), [](const LabelledRow& row) { return !row.terms.empty(); }));
  return 2 * teach >= fit_rows_.size();
}

/// Looks at how many test rows there are and at their confidences, never at their labels.
bool PromiseKeeper::wants_learned_test(const Plan& plan) const {
  if (plan.candidates.empty()) return false;
  // One list a fit: it stays under test while rows come in.
  const std::uint64_t fit = plan.candidates.front().fit;
  if (std::any_of(running_.begin(), running_.end(), [&](const Running& run) { return run.fit && run.fit->id() == fit; })) return false;
  if (!policy_) return plan.share >= kLeastFirstShare && plan.rows_missing && *plan.rows_missing <= static_cast<double>(test_rows_.size());
  // What would not be put in force is not worth delta.
  return mean_cost(plan.candidates.back(), newest_.get()) < mean_cost(*policy_, serving_.get()) * (1 - kLeastGain);
}

}  // namespace understudy::calibration
