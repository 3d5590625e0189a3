#pragma once
/// Keeps the promise of one task: P(disagree | served by a cheap stage) <= alpha with confidence 1 - delta.
///
/// The keeper is a state machine without threads, clocks or disk: labelled rows and time go in, a frozen policy, a coin
/// and events come out. The gateway, the simulation (`understudy eval deployments`) and the tests drive this same code.
///
///   warming --a version passes the exact test--> proven --alarm, shift, stale evidence, new ladder--> warming
///   warming --enough labels, and nothing can pass--> never --more labels, and something can--> warming
///
/// *Tests.* A test is a frozen list of candidates, made from fit rows, that is then watched on test rows (internal/contest.h): valid
/// however often it is looked at. The careful candidate that is shown first serves; bolder ones of the same list follow as rows come in,
/// at no further cost in delta. A new list is made when the fit rows have doubled, to renew an old proof, or after `never`.
///
/// *Epochs.* Evidence counts only while the world stays what it was. An alarm, a shift of the input, a new ladder (models,
/// comparator, rungs) or too old evidence ends an epoch: its test rows are dropped and delta is whole again, for the next
/// epoch's tests see only rows that came after. Within an epoch delta is spent over the tests (delta_for_test).
///
/// *Learned rungs* (learned.h). The keeper's fit rows are what they learn from, escalations included; test rows never are. `fit_job` hands
/// rows out when a new fit is worth its time, `adopt` takes the fit in. A policy names its fit and stays with it: a newer one serves when
/// a test of its own has shown it, on the test rows that are there by then. Fits come often and tests are few, so a test begins only when
/// as many test rows are there as are foreseen to be needed, and when it is foreseen to lower the bill.
///
/// *Write-ahead.* Everything that must survive a crash goes to `KeeperLog` before it takes effect: a test's candidates and share of delta
/// before any outcome is looked at, a switch before the policy is handed out. Where the log refuses, it does not happen.
/// A keeper is brought back from its events and rows, tests under way included; a crash between a test and its switch leaves the old
/// policy in force and the share of delta spent.
///
/// Deterministic for a seed. Not thread-safe. docs/maths/promise.md has the proof, docs/operate/promise.md the alarms.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "calibration/promise/input_shift.h"
#include "calibration/promise/judge_check.h"
#include "calibration/promise/ladder.h"
#include "calibration/promise/learned.h"
#include "calibration/promise/rung_worth.h"
#include "calibration/promise/threshold_path.h"
#include "calibration/risk_control.h"
#include "calibration/sequential.h"

namespace understudy::calibration {

/// What the operator asks for.
struct KeeperOptions {
  Promise promise{0.05, 0.10};
  double spot_check = 0.02;        ///< least probability of the coin
  std::int64_t max_age_us = std::int64_t{30} * 24 * 3600 * 1'000'000;  ///< evidence older than this is stale
  std::uint64_t seed = 1;          ///< of folds
  std::size_t max_rows = 6'000;    ///< kept for fits, and as many for tests; the oldest go first
  std::size_t max_learned_rows = 20'000;  ///< the same for fits where rungs learn from them
};

enum class PromiseState : std::uint8_t { kWarming, kProven, kNever };
std::string_view promise_state_name(PromiseState state);   ///< "warming", "proven", "never"

enum class KeeperEventKind : std::uint8_t {
  kEpoch,     ///< a new epoch began; `why`: start, promise, input_shift, stale, ladder (also another alpha or delta), unreadable
  kTest,      ///< a test is about to look at its rows; `number` counts from 0 in its epoch
  kOutcome,   ///< and what it found
  kSwitch,    ///< `policy` is in force from now on
  kAlarm,     ///< `why`: promise, input_shift, stale; always followed by kEpoch
  kSuspect,   ///< nothing is shown yet, but the coin is raised; `why` says what looks wrong
};
std::string_view keeper_event_name(KeeperEventKind kind);

struct KeeperEvent {
  KeeperEventKind kind = KeeperEventKind::kEpoch;
  std::int64_t at_us = 0;
  std::uint32_t epoch = 0;
  std::string why;
  std::string message;           ///< for people: one sentence
  // kEpoch
  std::string ladder;
  std::vector<RungSpec> rungs;
  KeeperOptions options;
  std::int64_t keep_since_us = 0;  ///< rows labelled before are dropped; younger ones go on as fit rows
  // kTest, kOutcome
  std::uint32_t number = 0;      ///< of the test within its epoch
  double delta = 0;              ///< that it spends
  bool passed = false;
  // kTest
  std::vector<LadderPolicy> candidates;   ///< from conservative to bold; empty in logs of older builds: spent, and nothing can come of it
  bool fresh = false;            ///< only rows that come after it count
  std::size_t fit_rows = 0;      ///< that it was made from
  // kSwitch
  std::optional<LadderPolicy> policy;
};
std::string keeper_event_json(const KeeperEvent& event);
Result<KeeperEvent> parse_keeper_event(std::string_view json);

/// Where events must be safe before they take effect.
class KeeperLog {
 public:
  virtual ~KeeperLog() = default;
  /// False: it could not be written; the keeper then acts as if it had never thought of it.
  [[nodiscard]] virtual bool write(const KeeperEvent& event) = 0;
};

/// What `understudy tasks show` tells.
struct PromiseReport {
  PromiseState state = PromiseState::kWarming;
  std::string why;                        ///< one sentence: why this state
  std::uint32_t epoch = 0, tests = 0;     ///< tests begun in this epoch
  double delta_left = 0;                  ///< of this epoch
  std::size_t fit_rows = 0, test_rows = 0;
  double coin = 1;
  bool suspect = false;
  double e_value = 1;                     ///< of the watch on the policy in force; an alarm at 1 / delta
  std::uint64_t watched = 0, watched_bad = 0;   ///< its labels since the switch
  std::optional<std::size_t> labels_needed;   ///< until the first pass, as far as it can be foreseen; nullopt: no number would do
  bool labels_guessed = false;            ///< too few rows to foresee: a figure from the promise alone
  std::optional<double> foreseen_share;   ///< share of requests that would be served cheaply then
  JudgeCheck judge;                       ///< of the distilled judge that compares answers, where there is one
  std::size_t learnt_rows = 0;            ///< that the newest fit of the learned rungs was made from; 0: none
};

/// Rows for a fit of the learned rungs.
struct FitJob {
  std::uint32_t epoch = 0;
  std::uint64_t seed = 0;
  std::vector<LabelledRow> rows;
};

class PromiseKeeper {
 public:
  /// A new one, or the one that its events and rows (oldest first) bring back. What belongs to other ladders or to ended
  /// epochs is left out. Call `open` before anything else.
  /// @param learner  of the learned rungs; null: there are none, or nothing is to come of them
  PromiseKeeper(KeeperOptions options, std::vector<RungSpec> rungs, std::string ladder, const std::vector<KeeperEvent>& events = {},
                std::vector<LabelledRow> rows = {}, std::shared_ptr<const RungLearner> learner = {});
  PromiseKeeper(const PromiseKeeper&);
  PromiseKeeper(PromiseKeeper&&) noexcept;
  PromiseKeeper& operator=(const PromiseKeeper&);
  PromiseKeeper& operator=(PromiseKeeper&&) noexcept;
  ~PromiseKeeper();

  /// Begins an epoch where the last one was for another ladder, another promise, or where there is none. False: the log refused;
  /// then there is no policy, and nothing is tested until a later `open` or `advance` succeeds.
  bool open(std::int64_t now_us, KeeperLog& log);

  /// What came back is not whole (events that could not be read): ends the epoch, since what it decided is not known. As `open` else.
  bool distrust(std::string message, std::int64_t now_us, KeeperLog& log);

  /// The probability of the coin for the next requests: 1 while the task is new, `spot_check` in the end.
  double coin() const;
  /// Whether a coin row that is drawn now is to be a test row: a second coin, tossed by the caller with this probability before
  /// the row's answers are known.
  double test_share() const;

  /// The policy in force; null: the teacher serves. Shared and immutable: requests keep it while they run.
  std::shared_ptr<const LadderPolicy> policy() const { return policy_; }

  /// The fit that the policy in force names; null where it names none. Changes with `policy()`.
  std::shared_ptr<const LearnedFit> fit() const { return policy_ ? serving_ : nullptr; }

  /// Fits that the policy in force, tests under way or the next test name: their files must stay.
  std::vector<std::uint64_t> fits_used() const;

  /// Whether there is room for one more row to learn from. Without it the oldest goes; escalations that come then need not be written
  /// down, so that what a restart reads stays bounded however many there are.
  bool has_room() const { return fit_rows_.size() < options_.max_learned_rows; }

  /// Rows for a new fit, where enough have come since the last one. Once per fit: the next one counts from here.
  std::optional<FitJob> fit_job();
  /// Takes the fit of a job in; one of an epoch that has ended is dropped. Call `advance` then.
  void adopt(const FitJob& job, Fitted fitted);

  /// A labelled row. Rows of another ladder's width are refused by an assertion. Alarms are raised from here.
  void add(LabelledRow row, std::int64_t now_us, KeeperLog& log);

  /// The truth about a labelled request has come (feedback): rungs whose disagreement did no harm are not bad any more. Counts in
  /// the fits and tests to come; what was tested or watched before stays as it was until a restart reads the corrected row, which errs on the safe side. Returns the
  /// corrected row, to be kept; nullopt where the row is not here (any more) or nothing changes.
  std::optional<LabelledRow> forgive(std::string_view request_id, const std::vector<bool>& harmless);

  /// What all requests looked like lately, labelled or not (input_shift.h).
  void observe(const ShiftWindow& window, std::int64_t now_us, KeeperLog& log);
  /// What `observe` wants to have counted for the policy in force; null where there is none.
  std::shared_ptr<const ShiftBaseline> baseline() const { return baseline_; }

  /// True when `advance` would do something worth its time: enough new rows since the last look.
  bool wants_advance(std::int64_t now_us) const;
  /// Fits, chooses candidates, tests, switches; looks at the age of the evidence. Up to a second: not for a reactor's thread.
  void advance(std::int64_t now_us, KeeperLog& log);

  /// The part of `advance` that tests nothing: what `report` foresees, also after a restart.
  void look_ahead(std::int64_t now_us);
  PromiseReport report(std::int64_t now_us) const;
  /// How the distilled judge of the rows that are here fares beside the judge that it stands in for.
  JudgeCheck judge_check() const;
  /// What each rung is worth on the fit rows, at the floor of the coin (rung_worth.h); empty before 40 coin rows are there or
  /// where costs are unknown. A few seconds with thousands of rows and many rungs: on demand only.
  std::vector<RungWorth> worth() const;
  PromiseState state() const { return state_; }
  std::uint32_t epoch() const { return epoch_; }
  const std::vector<RungSpec>& rungs() const { return rungs_; }
  const std::string& ladder() const { return ladder_; }
  const KeeperOptions& options() const { return options_; }

 private:
  struct Plan;
  struct Running;
  bool begin_epoch(std::string_view why, std::string message, std::int64_t keep_since_us, std::int64_t now_us, KeeperLog& log);
  bool alarm(std::string_view why, std::string message, std::int64_t keep_since_us, std::int64_t now_us, KeeperLog& log);
  void apply(const KeeperEvent& event);
  void keep(LabelledRow row);
  const LabelledRow& judged(const LabelledRow& row, const LearnedFit* fit, LabelledRow& scratch) const;
  std::shared_ptr<const LearnedFit> find_fit(std::uint64_t id) const;
  double mean_cost(const LadderPolicy& policy, const LearnedFit* fit) const;
  void watch(const LabelledRow& row);
  bool check_watch(std::int64_t now_us, KeeperLog& log);
  void suspect(std::string_view why, bool now, std::string message, std::int64_t now_us, KeeperLog& log);
  void drop_old(std::int64_t now_us);
  bool stale(std::int64_t then_us, std::int64_t now_us) const;
  bool renewal_due(std::int64_t now_us) const;
  std::size_t tests_in_force(std::int64_t now_us) const;
  double share_of_next_test(std::int64_t now_us) const;
  ShiftBaseline shift_baseline() const;
  Plan make_plan(double delta) const;
  void look_at_tests(std::int64_t now_us, KeeperLog& log);
  bool wants_test(const Plan& plan, std::int64_t now_us) const;
  bool may_learn() const;
  bool wants_learned_test(const Plan& plan) const;
  void begin_test(const Plan& plan, double delta, std::int64_t now_us, KeeperLog& log);
  void foresee(const Plan& plan);
  std::size_t pool_wanted() const;
  std::size_t fit_wanted() const;
  std::size_t fair_fit_rows() const;
  bool renewing() const;

  KeeperOptions options_;
  std::vector<RungSpec> rungs_;
  std::string ladder_;

  PromiseState state_ = PromiseState::kWarming;
  std::string why_;
  bool open_ = false;
  std::uint32_t switches_ = 0;               ///< of this epoch
  std::uint32_t epoch_ = 0;
  std::uint32_t tests_ = 0;                  ///< begun in this epoch
  std::vector<std::int64_t> test_times_us_;  ///< theirs
  std::deque<LabelledRow> fit_rows_, test_rows_;
  std::shared_ptr<const LadderPolicy> policy_;
  std::shared_ptr<const ShiftBaseline> baseline_;

  std::shared_ptr<const RungLearner> learner_;
  std::shared_ptr<const LearnedFit> newest_;   ///< by which the fit rows are judged
  std::shared_ptr<const LearnedFit> serving_;  ///< of policy_
  std::size_t fitted_at_ = 0;                ///< rows of the last job
  bool unlearnable_ = false;                 ///< answers hardly ever come twice
  std::uint64_t serials_ = 0;                ///< given out
  std::shared_ptr<const Plan> waiting_;      ///< for as many test rows as are foreseen to be needed

  std::size_t rows_since_look_ = 0, rows_since_plan_ = 0, next_look_ = 0;
  std::vector<Running> running_;             ///< tests under way
  std::size_t listed_at_ = 0;                ///< fit rows of the newest test
  std::size_t planned_at_ = 0;               ///< fit rows at the last fit

  RiskMonitor watch_;
  std::uint64_t watched_ = 0, watched_bad_ = 0;
  double least_wealth_ = 1;
  std::int64_t calm_until_us_ = 0;           ///< the label at which the watch's evidence was least: what came later may be of another world
  bool suspect_risk_ = false, suspect_input_ = false;

  std::optional<std::size_t> labels_needed_;
  bool labels_guessed_ = true;
  std::optional<double> foreseen_share_;
};

/// The part of delta that test number k of an epoch (0 = first) may spend; the sum over all k is at most delta.
/// @param learned  where rungs learn, later tests have more to show, so the first gets less
double delta_for_test(double delta, std::size_t k, bool learned = false);

}  // namespace understudy::calibration
