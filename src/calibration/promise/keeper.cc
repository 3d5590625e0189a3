#include "calibration/promise/keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/assert.h"
#include "calibration/promise/internal/plan.h"

namespace understudy::calibration {
namespace {

constexpr double kSuspectWealth = 3;        // evidence at which the coin is raised
constexpr double kTestShare = 0.8, kTestShareProven = 0.85;
constexpr double kTestShareLearning = 0.4;  // where rungs learn, most of the first labels teach
constexpr std::size_t kMostLearnedTests = 3;
constexpr std::size_t kLookWhileOpen = 5, kLook = 20;  // labels between looks

}  // namespace

std::string_view promise_state_name(PromiseState state) {
  switch (state) {
    case PromiseState::kWarming: return "warming";
    case PromiseState::kProven: return "proven";
    case PromiseState::kNever: return "never";
  }
  return "warming";
}

PromiseKeeper::PromiseKeeper(const PromiseKeeper&) = default;
PromiseKeeper::PromiseKeeper(PromiseKeeper&&) noexcept = default;
PromiseKeeper& PromiseKeeper::operator=(const PromiseKeeper&) = default;
PromiseKeeper& PromiseKeeper::operator=(PromiseKeeper&&) noexcept = default;
PromiseKeeper::~PromiseKeeper() = default;

PromiseKeeper::PromiseKeeper(KeeperOptions options, std::vector<RungSpec> rungs, std::string ladder, const std::vector<KeeperEvent>& events,
                             std::vector<LabelledRow> rows, std::shared_ptr<const RungLearner> learner)
    : options_(std::move(options)), rungs_(std::move(rungs)), ladder_(std::move(ladder)), why_("no label yet"), learner_(std::move(learner)), next_look_(kLook),
      watch_(options_.promise) {
  // Rows and events in the order in which they happened, so that an epoch drops what came before it and the watch sees what came after.
  std::size_t next = 0;
  const auto take_rows_until = [&](std::int64_t at_us) {
    for (; next < rows.size() && rows[next].at_us <= at_us; ++next) {
      if (open_ && rows[next].rungs.size() == rungs_.size()) keep(std::move(rows[next]));
    }
  };
  for (const KeeperEvent& event : events) {
    take_rows_until(event.at_us);
    apply(event);
  }
  take_rows_until(INT64_MAX);
  if (policy_ && policy_->fit != 0 && !serving_) open_ = false;  // what was proven is not there any more
}

bool PromiseKeeper::open(std::int64_t now_us, KeeperLog& log) {
  if (open_) return true;
  if (policy_ && policy_->fit != 0 && !serving_) {
    return begin_epoch("unreadable", fmt::format("what version {} had learnt cannot be read any more", policy_->version), now_us - options_.max_age_us, now_us, log);
  }
  const bool first = epoch_ == 0;
  return begin_epoch(first ? "start" : "ladder", first ? "the task is new" : "models, signals, comparator or promise have changed", now_us, now_us, log);
}

bool PromiseKeeper::begin_epoch(std::string_view why, std::string message, std::int64_t keep_since_us, std::int64_t now_us, KeeperLog& log) {
  KeeperEvent event;
  event.kind = KeeperEventKind::kEpoch;
  event.at_us = now_us;
  event.epoch = epoch_ + 1;
  event.why = why;
  event.message = std::move(message);
  event.ladder = ladder_;
  event.rungs = rungs_;
  event.options = options_;
  event.keep_since_us = keep_since_us;
  const bool written = log.write(event);
  if (written) {
    apply(event);
  } else {
    // Not even written down: the cheap stages stop all the same. A restart finds the old epoch and watches on.
    policy_ = nullptr;
    baseline_ = nullptr;
    state_ = PromiseState::kWarming;
    open_ = false;
  }
  return written;
}

bool PromiseKeeper::distrust(std::string message, std::int64_t now_us, KeeperLog& log) {
  return begin_epoch("unreadable", std::move(message), now_us, now_us, log);
}

bool PromiseKeeper::alarm(std::string_view why, std::string message, std::int64_t keep_since_us, std::int64_t now_us, KeeperLog& log) {
  KeeperEvent event;
  event.kind = KeeperEventKind::kAlarm;
  event.at_us = now_us;
  event.epoch = epoch_;
  event.why = why;
  event.message = message;
  [[maybe_unused]] const bool written = log.write(event);  // an alarm that cannot be kept must still act
  return begin_epoch(why, std::move(message), keep_since_us, now_us, log);
}

void PromiseKeeper::apply(const KeeperEvent& event) {
  switch (event.kind) {
    case KeeperEventKind::kEpoch: {
      epoch_ = event.epoch;
      open_ = event.ladder == ladder_ && event.options.promise.alpha == options_.promise.alpha && event.options.promise.delta == options_.promise.delta;
      tests_ = 0;
      test_times_us_.clear();
      running_.clear();
      switches_ = 0;
      listed_at_ = planned_at_ = 0;
      newest_ = serving_ = nullptr;
      waiting_ = nullptr;
      fitted_at_ = 0;
      unlearnable_ = false;
      policy_ = nullptr;
      baseline_ = nullptr;
      state_ = PromiseState::kWarming;
      why_ = event.message;
      suspect_risk_ = suspect_input_ = false;
      watched_ = watched_bad_ = 0;
      labels_needed_.reset();
      foreseen_share_.reset();
      labels_guessed_ = true;
      rows_since_look_ = 0;
      next_look_ = kLook;
      // What is young enough goes on as fit rows: the watch has looked at it, so it may not test.
      std::deque<LabelledRow> young;
      for (auto* rows : {&fit_rows_, &test_rows_}) {
        for (LabelledRow& row : *rows) {
          if (row.at_us < event.keep_since_us) continue;
          row.use = RowUse::kFit;
          young.push_back(std::move(row));
        }
        rows->clear();
      }
      fit_rows_ = std::move(young);
      break;
    }
    case KeeperEventKind::kTest:
      if (event.epoch != epoch_) break;
      tests_ = event.number + 1;
      test_times_us_.push_back(event.at_us);
      listed_at_ = event.fit_rows;
      if (!event.candidates.empty() && std::all_of(event.candidates.begin(), event.candidates.end(), [&](const LadderPolicy& p) { return p.ladder == ladder_; })) {
        Running run{internal::Contest(event.candidates, options_.promise.alpha, event.delta, event.number, event.at_us, event.fresh), find_fit(event.candidates.front().fit)};
        if (event.candidates.front().fit != 0 && !run.fit) break;  // it cannot be judged any more; its share of delta is spent
        LabelledRow scratch;
        if (!event.fresh) {
          for (const LabelledRow& row : test_rows_) {
            if (!stale(row.at_us, event.at_us)) run.contest.add(judged(row, run.fit.get(), scratch));
          }
        }
        // Each judges every row anew: few at a time.
        if (run.fit && running_.size() >= kMostLearnedTests) running_.erase(running_.begin());
        running_.push_back(std::move(run));
      }
      break;
    case KeeperEventKind::kSwitch: {
      if (event.epoch != epoch_ || !open_ || !event.policy || event.policy->ladder != ladder_) break;
      serving_ = find_fit(event.policy->fit);
      policy_ = std::make_shared<const LadderPolicy>(*event.policy);
      baseline_ = std::make_shared<const ShiftBaseline>(shift_baseline());
      state_ = PromiseState::kProven;
      ++switches_;
      why_ = event.message;
      watch_ = RiskMonitor(options_.promise);
      watched_ = watched_bad_ = 0;
      least_wealth_ = 1;
      calm_until_us_ = event.at_us;
      suspect_risk_ = false;
      break;
    }
    case KeeperEventKind::kOutcome:
    case KeeperEventKind::kAlarm:
    case KeeperEventKind::kSuspect: break;
  }
}

double PromiseKeeper::coin() const {
  const double floor = std::clamp(options_.spot_check, 0.0, 1.0);
  if (state_ == PromiseState::kWarming) return 1;
  if (state_ == PromiseState::kNever) return std::max(floor, 0.25);
  const std::size_t wanted = pool_wanted();
  double coin = test_rows_.size() < wanted ? 0.10 : test_rows_.size() < wanted + wanted / 2 ? 0.05 : 0.0;
  if (suspect_risk_ || suspect_input_) coin = std::max(coin, 0.25);
  return std::max(floor, coin);
}

double PromiseKeeper::test_share() const {
  switch (state_) {
    case PromiseState::kWarming: return fit_rows_.size() < fit_wanted() ? 0 : may_learn() ? kTestShareLearning : kTestShare;
    case PromiseState::kProven: return kTestShareProven;
    case PromiseState::kNever: return 0.25;  // hope is looked for on fit rows
  }
  return 1;
}

/// Coin rows that the first fit gets before any go to a test: the stricter the promise, the more.
std::size_t PromiseKeeper::fit_wanted() const {
  return std::max<std::size_t>(20, least_rows(options_.promise.alpha, options_.promise.delta));
}

/// Test rows from which on more add little: about sixteen times what a flawless policy would need.
std::size_t PromiseKeeper::pool_wanted() const {
  return std::min(options_.max_rows, 16 * least_rows(options_.promise.alpha, options_.promise.delta));
}

bool PromiseKeeper::stale(std::int64_t then_us, std::int64_t now_us) const {
  // A clock that jumped either way makes evidence suspect alike.
  return std::abs(now_us - then_us) > options_.max_age_us;
}

void PromiseKeeper::drop_old(std::int64_t now_us) {
  // In `never` nobody watches for a change, so only the newest rows count: a student that has improved is found out.
  const bool hopeless = state_ == PromiseState::kNever && !newest_;
  for (auto* rows : {&fit_rows_, &test_rows_}) {
    std::erase_if(*rows, [&](const LabelledRow& row) { return stale(row.at_us, now_us); });
    const std::size_t most = hopeless ? std::min<std::size_t>(options_.max_rows, 400) : newest_ && rows == &fit_rows_ ? options_.max_learned_rows : options_.max_rows;
    if (rows->size() <= most) continue;
    // Of escalations, which are many and no sample, the oldest go first; a quarter of the room is theirs.
    std::size_t too_many = rows->size() - most;
    auto unsure = static_cast<std::size_t>(std::count_if(rows->begin(), rows->end(), [](const LabelledRow& row) { return row.source == LabelSource::kEscalation; }));
    std::erase_if(*rows, [&](const LabelledRow& row) {
      const bool goes = too_many > 0 && (row.source == LabelSource::kEscalation ? unsure > most / 4 : unsure <= most / 4);
      too_many -= goes;
      unsure -= goes && row.source == LabelSource::kEscalation;
      return goes;
    });
  }
  // A test ends when its oldest row has grown stale: what it had shown was about rows that no longer count.
  std::erase_if(running_, [&](const Running& run) { return stale(run.contest.oldest_row_us(), now_us); });
}

void PromiseKeeper::keep(LabelledRow row) {
  const bool fair = row.source != LabelSource::kEscalation;
  // A label that comes late, of a request that an earlier epoch decided: it is of the world that ended, and may not test.
  if (!row.version.empty() && !row.version.starts_with(fmt::format("{}.", epoch_))) row.use = RowUse::kFit;
  if (fair && policy_ && !row.estimated) watch(row);
  LabelledRow scratch;
  if (fair && row.use == RowUse::kTest) {
    for (Running& run : running_) run.contest.add(judged(row, run.fit.get(), scratch));
  } else if (newest_) {
    newest_->judge(row);
  }
  row.serial = ++serials_;
  auto& rows = fair && row.use == RowUse::kTest ? test_rows_ : fit_rows_;
  rows.push_back(std::move(row));
  ++rows_since_look_;
  ++rows_since_plan_;
}

void PromiseKeeper::watch(const LabelledRow& given) {
  if (policy_->fit != 0 && !serving_) return;   // brought back without its fit, to be looked at only
  LabelledRow scratch;
  const LabelledRow& row = judged(given, serving_.get(), scratch);
  const Served served = serve(*policy_, row);
  if (!served.rung) return;
  const bool bad = row.rungs[*served.rung].bad;
  watch_.add(bad);
  ++watched_;
  watched_bad_ += bad;
  const double wealth = watch_.e_value();
  if (wealth <= least_wealth_) {
    least_wealth_ = wealth;
    calm_until_us_ = row.at_us;
  }
}

void PromiseKeeper::suspect(std::string_view why, bool now, std::string message, std::int64_t now_us, KeeperLog& log) {
  bool& flag = why == "promise" ? suspect_risk_ : suspect_input_;
  if (flag == now) return;
  flag = now;
  KeeperEvent event;
  event.kind = KeeperEventKind::kSuspect;
  event.at_us = now_us;
  event.epoch = epoch_;
  event.why = why;
  event.passed = !now;
  event.message = std::move(message);
  [[maybe_unused]] const bool written = log.write(event);
}

bool PromiseKeeper::check_watch(std::int64_t now_us, KeeperLog& log) {
  if (!policy_) return false;
  if (watch_.alarm()) {
    alarm("promise",
          fmt::format("{} of {} spot-checked answers of version {} disagree with the teacher: more than alpha = {} is shown at confidence {}", watched_bad_, watched_,
                      policy_->version, options_.promise.alpha, 1 - options_.promise.delta),
          calm_until_us_ + 1, now_us, log);
    return true;
  }
  const double wealth = watch_.e_value();
  if (wealth >= kSuspectWealth) {
    suspect("promise", true, fmt::format("{} of {} spot-checked answers disagree; nothing is shown yet, the coin is raised", watched_bad_, watched_), now_us, log);
  } else if (wealth < 1) {
    suspect("promise", false, "the spot checks look well again", now_us, log);
  }
  return false;
}

void PromiseKeeper::add(LabelledRow row, std::int64_t now_us, KeeperLog& log) {
  UNDERSTUDY_ASSERT(row.rungs.size() == rungs_.size());
  keep(std::move(row));
  check_watch(now_us, log);
}

void PromiseKeeper::observe(const ShiftWindow& window, std::int64_t now_us, KeeperLog& log) {
  if (!policy_ || !baseline_ || window.requests < kShiftWindow) return;
  const double unknown = static_cast<double>(window.unknown_prompts) / static_cast<double>(window.requests);
  if (unknown > kUnknownPromptAlarm) {
    alarm("input_shift", fmt::format("{:.0f} % of the last {} requests have a prompt (system message, tools, format) that the evidence does not know", 100 * unknown, window.requests),
          now_us, now_us, log);
    return;
  }
  const auto worst = [&] {
    const double bytes = shift_beyond_chance(baseline_->bytes, window.bytes);
    std::uint64_t asked = 0;
    for (const std::uint64_t n : window.confidence) asked += n;
    const double confidence = asked * 2 >= kShiftWindow ? shift_beyond_chance(baseline_->confidence, window.confidence) : 0;
    return confidence > bytes ? std::pair(confidence, "the student's confidence") : std::pair(bytes, "the size of requests");
  }();
  if (worst.first >= kShiftAlarm) {
    alarm("input_shift", fmt::format("{} has shifted (population stability {:.2f}, {:.2f} is another population)", worst.second, worst.first, kShiftAlarm), now_us, now_us, log);
    return;
  }
  suspect("input_shift", worst.first >= kShiftSuspect, fmt::format("{} shifts (population stability {:.2f})", worst.second, worst.first), now_us, log);
}

std::size_t PromiseKeeper::tests_in_force(std::int64_t now_us) const {
  return static_cast<std::size_t>(std::count_if(test_times_us_.begin(), test_times_us_.end(), [&](std::int64_t at) { return !stale(at, now_us); }));
}

bool PromiseKeeper::renewal_due(std::int64_t now_us) const {
  return policy_ && std::abs(now_us - policy_->proven_at_us) > options_.max_age_us / 5 * 3;
}

std::size_t PromiseKeeper::fair_fit_rows() const {
  return static_cast<std::size_t>(std::count_if(fit_rows_.begin(), fit_rows_.end(), [](const LabelledRow& row) { return row.source != LabelSource::kEscalation; }));
}

bool PromiseKeeper::wants_advance(std::int64_t now_us) const {
  if (!open_ || rows_since_look_ >= next_look_) return true;
  if (policy_ && stale(policy_->proven_at_us, now_us)) return true;
  return renewal_due(now_us) && rows_since_look_ >= 20;
}

void PromiseKeeper::advance(std::int64_t now_us, KeeperLog& log) {
  if (!open_ && !open(now_us, log)) return;
  if (check_watch(now_us, log)) return;
  if (policy_ && stale(policy_->proven_at_us, now_us)) {
    alarm("stale", fmt::format("the proof of version {} is older than max_age, and fresh spot checks could not renew it", policy_->version), now_us - options_.max_age_us, now_us, log);
    return;
  }
  drop_old(now_us);
  rows_since_look_ = 0;
  look_at_tests(now_us, log);

  const std::size_t coin_rows = fair_fit_rows();
  const bool renewal = renewal_due(now_us) && !renewing();
  // A new fit is looked at at once; else a look is worth its time when the rows have grown, and a list beside others when they have doubled.
  const std::size_t grown = newest_ && planned_at_ == 0 ? 0 : std::max(planned_at_ + planned_at_ / 5 + 5, running_.empty() || newest_ ? 0 : 2 * listed_at_);
  const double delta = share_of_next_test(now_us);
  if (coin_rows >= fit_wanted() && (renewal || coin_rows >= grown || (state_ == PromiseState::kNever && rows_since_plan_ >= 20))) {
    planned_at_ = coin_rows;
    rows_since_plan_ = 0;
    const Plan plan = make_plan(delta);
    foresee(plan);
    const bool waits = newest_ && !renewal && state_ != PromiseState::kNever;
    waiting_ = waits ? std::make_shared<const Plan>(plan) : nullptr;
    if (!waits && wants_test(plan, now_us)) {
      begin_test(plan, delta, now_us, log);
      look_at_tests(now_us, log);
    }
  }
  if (waiting_ && tests_in_force(now_us) < kMostTests) {
    if (wants_learned_test(*waiting_)) {
      begin_test(*waiting_, delta, now_us, log);
      look_at_tests(now_us, log);
      waiting_ = nullptr;
    } else if (policy_) {
      waiting_ = nullptr;   // nothing new: the next fit, or more fit rows
    }
  }
  next_look_ = policy_ || running_.empty() ? kLook : kLookWhileOpen;
}

JudgeCheck PromiseKeeper::judge_check() const {
  std::vector<const LabelledRow*> rows;
  for (const auto* some : {&fit_rows_, &test_rows_}) {
    for (const LabelledRow& row : *some) rows.push_back(&row);
  }
  return check_judge(rungs_, rows);
}

void PromiseKeeper::look_ahead(std::int64_t now_us) {
  // With fewer rows nothing can be foreseen: the report guesses.
  if (fair_fit_rows() >= fit_wanted()) foresee(make_plan(share_of_next_test(now_us)));
}

}  // namespace understudy::calibration
