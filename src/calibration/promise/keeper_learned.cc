// What the keeper does about rungs that learn: rows for fits, judging rows by a fit, when a fit is worth a test.
#include <algorithm>
#include <limits>

#include "base/assert.h"
#include "calibration/promise/internal/plan.h"

namespace understudy::calibration {
namespace {

constexpr std::size_t kFirstFit = 60;        // rows
constexpr std::size_t kLeastNewRows = 40;    // for the next one, and at least a quarter more than before
constexpr double kLeastForeseenGain = 0.04;  // of the bill, for a test of a newer fit
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
  if (rows < kFirstFit || (fitted_at_ > 0 && rows < fitted_at_ + std::max(kLeastNewRows, fitted_at_ / 4))) return std::nullopt;
  fitted_at_ = rows;
  FitJob job{epoch_, options_.seed, {}};
  job.rows.reserve(rows);
  std::copy_if(fit_rows_.begin(), fit_rows_.end(), std::back_inserter(job.rows), teaches);
  return job;
}

void PromiseKeeper::adopt(const FitJob& job, Fitted fitted) {
  if (job.epoch != epoch_ || !fitted.fit) return;
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

/// Looks at how many test rows there are, and at no label of theirs.
bool PromiseKeeper::wants_learned_test(const Plan& plan, double delta) const {
  if (plan.candidates.empty() || delta <= 0) return false;
  const auto rows = static_cast<double>(test_rows_.size());
  const Plan::Foreseen* boldest = nullptr;
  for (const auto& foreseen : plan.foreseen) {
    if (!foreseen || foreseen->rows > rows) break;  // the ones after it wait for it
    boldest = &*foreseen;
  }
  if (boldest == nullptr) return false;
  if (!policy_) return plan.share >= kLeastFirstShare;
  return boldest->cost_usd < mean_cost(*policy_, serving_.get()) * (1 - kLeastForeseenGain);
}

}  // namespace understudy::calibration
