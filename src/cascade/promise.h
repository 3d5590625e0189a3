#pragma once
/// The promise, live: one `TaskPromise` per task, which requests look at, and one `PromiseService` with a thread of its own,
/// which feeds their keepers (calibration/promise/keeper.h), writes what happens to the store and puts versions in force.
///
///   reactor: view() -> decide -> answer ... label job -> offer(row)          never waits for the thread or for disk
///   thread:  rows -> store -> keeper.add / advance -> store -> publish a new view
///
/// A view is immutable and switched as one: a request keeps the one it began with. Nothing but a version whose switch is in
/// the journal is ever published; a task whose keeper is not loaded yet, or whose ladder is not the configured one, has none,
/// and the teacher answers.

#include <array>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "calibration/promise/keeper.h"
#include "cascade/escalation_share.h"
#include "cascade/few_shot_trial.h"
#include "cascade/ladder.h"
#include "cascade/policy.h"
#include "store/journal.h"

namespace understudy::specialists {
class TextFit;
}

namespace understudy::cascade {

/// Counts of what all requests look like, in the bins of a baseline. Thread-safe, relaxed.
struct InputCounts {
  std::array<std::atomic<std::uint64_t>, calibration::kShiftBins> confidence{}, bytes{};
  std::atomic<std::uint64_t> requests{0}, unknown_prompts{0};
};

/// What a request is decided by.
struct PromiseView {
  calibration::PromiseState state = calibration::PromiseState::kWarming;
  double coin = 1;
  double test_share = 0.4;
  std::string trusted_judge;                                  ///< id of the distilled judge whose verdicts may stand alone on fit rows; "": none
  std::shared_ptr<const calibration::LadderPolicy> policy;    ///< null: the teacher serves
  std::shared_ptr<const specialists::TextFit> fit;            ///< of the policy's learned rungs; null where it names none
  std::shared_ptr<const calibration::ShiftBaseline> baseline; ///< null: nothing is counted
  std::shared_ptr<InputCounts> counts;                        ///< never null where `baseline` is not
};

/// Tells the service's thread that there is work.
struct PromiseWake {
  std::mutex mutex;
  std::condition_variable condition;
  bool pending = false;    ///< guarded
  bool stopping = false;   ///< guarded
};

/// One task of one cascade. Thread-safe.
class TaskPromise {
 public:
  TaskPromise(std::string key, std::string task, std::vector<Rung> ladder, std::string ladder_id, std::optional<double> by_hand);

  const std::string& key() const { return key_; }      ///< "CASCADE/TASK", the name under which the store keeps its evidence
  const std::string& task() const { return task_; }    ///< "" for requests without a task
  const std::vector<Rung>& ladder() const { return ladder_; }
  const std::string& ladder_id() const { return ladder_id_; }
  const std::optional<double>& by_hand() const { return by_hand_; }

  std::shared_ptr<const PromiseView> view() const;   ///< never null
  EscalationShare& escalations() { return escalations_; }
  bool pinned() const { return pinned_.load(std::memory_order_relaxed); }   ///< `understudy tasks pin T teacher`

  /// Hands a labelled row to the service. False: its queue is full or the task was replaced; the row is lost and counted.
  /// @param examples  that the student was shown at most, where that is being tried out; 0: as the ladder says
  bool offer(std::string request_id, calibration::LabelledRow row, int examples = 0);

  /// Another promise has taken its place, or will: ask the service again.
  bool replaced() const { return closed_.load(std::memory_order_relaxed); }

 private:
  friend class PromiseService;
  struct Queued {
    std::string request_id;
    calibration::LabelledRow row;
    int examples = 0;
  };
  static constexpr std::size_t kMostQueued = 10'000;

  const std::string key_, task_;
  const std::vector<Rung> ladder_;
  const std::string ladder_id_;
  const std::optional<double> by_hand_;
  EscalationShare escalations_;
  std::atomic<bool> pinned_{false};
  std::atomic<bool> closed_{false};
  std::atomic<std::uint64_t> lost_{0};
  mutable std::mutex mutex_;
  std::shared_ptr<const PromiseView> view_;   ///< guarded
  std::vector<Queued> queue_;                 ///< guarded
  std::shared_ptr<PromiseWake> wake_;         ///< set before it is shared; null: nobody waits
};

/// What is told of a task (`understudy tasks`, the admin API, the status page, /metrics).
struct TaskReport {
  std::string key, cascade, task;
  std::optional<double> by_hand;
  bool pinned = false;
  calibration::KeeperOptions options;                          ///< alpha, delta, least coin, max_age
  std::vector<calibration::RungSpec> rungs;
  calibration::PromiseReport promise;
  std::shared_ptr<const calibration::LadderPolicy> policy;     ///< null: the teacher serves
  std::uint64_t rows_lost = 0;
  FewShotUplift uplift;                                        ///< of examples, since the start; without rows where none are shown
  std::string few_shots;                                       ///< what a trial has found; "" where it has found nothing
};

struct PromiseServiceOptions {
  store::Journal* journal = nullptr;        ///< the service's own; null: nothing is kept (tests)
  std::filesystem::path data;               ///< to load evidence from, and for pins; "": neither
  const Clock* clock = nullptr;             ///< nullptr: system_clock()
  std::uint64_t seed = 1;
  std::int64_t tick_ms = 250;               ///< pins are looked at, windows of requests counted, lessons taken in
  lessons::FewShots* few_shots = nullptr;   ///< kept up to date with its book; null: there is none
};

class PromiseService {
 public:
  explicit PromiseService(PromiseServiceOptions options);
  /// Takes in what is queued, then stops.
  ~PromiseService();

  /// Makes `policy` the configured one: tasks whose ladder is another now lose their version at once; the evidence of all tasks
  /// that the store knows is loaded. Call before requests can see the policy. Blocks on disk: not from a reactor.
  void configure(std::shared_ptr<const Policy> policy);

  /// The task's promise under `policy`, made where there is none. Where `policy` is not the configured one any more and the
  /// task's ladder has changed, a promise without evidence that never gets any: the teacher serves. Never blocks on disk.
  /// Past 1,000 tasks, new names share the promise of requests without one.
  std::shared_ptr<TaskPromise> task(const Policy& policy, const CascadeConfig& cascade, const TaskConfig* config, std::string_view task);

  /// All tasks that requests have named or the store knows, by key. May wait for a test that runs (up to a second).
  std::vector<TaskReport> reports() const;

  /// Feedback told the right answer of a request (a label or a correction). Where its task counts as bad only what is worse than
  /// the teacher's answer (`bad = "worse"`), the row that was labelled on it is corrected: a cheap answer does no harm where it is
  /// right, or the teacher's is wrong. Needs stored texts. Feedback about another tenant's request corrects nothing. Never blocks.
  void feedback(std::string request_id, std::string tenant, std::string truth);

  /// Takes a task off the cheap stages at once, or back; kept in DATA/pins.json over restarts. kIo.
  Result<void> pin(const std::string& task, bool to_teacher);

  std::uint64_t alarms() const { return alarms_.load(std::memory_order_relaxed); }

  /// Handles everything that is queued now; for tests.
  void settle();

 private:
  struct Kept;
  class Log;
  void run();
  void work();
  void load_keeper(Kept& kept);
  void publish(Kept& kept);
  void count_windows(Kept& kept);
  void look_at_examples(Kept& kept);
  void read_pins();
  void take_feedback();
  void fit_next(const std::vector<std::shared_ptr<Kept>>& all);
  calibration::KeeperOptions options_for(const CascadeConfig& cascade, const TaskConfig* task) const;

  PromiseServiceOptions options_;
  const Clock& clock_;
  std::atomic<std::uint64_t> alarms_{0};

  mutable std::mutex tasks_mutex_;
  std::shared_ptr<const Policy> policy_;                                ///< guarded, like what follows
  std::map<std::string, std::shared_ptr<Kept>, std::less<>> kept_;      ///< by key
  std::map<std::string, bool, std::less<>> pins_;                       ///< by task
  FewShotDecisions few_shots_;
  std::string pins_text_;               ///< of the last complaint about the file

  std::mutex feedback_mutex_;
  struct Told {
    std::string request_id, tenant, truth;
  };
  std::vector<Told> feedback_;         ///< guarded

  mutable std::mutex work_mutex_;      ///< held while keepers are worked on
  std::shared_ptr<PromiseWake> wake_ = std::make_shared<PromiseWake>();
  struct Fitting;
  std::unique_ptr<Fitting> fitting_;   ///< guarded by work_mutex_; one at a time, on a thread that yields to all others
  std::thread thread_;
};

/// Keepers' events and rows as the store has them, for one key.
struct StoredPromise {
  std::vector<calibration::KeeperEvent> events;
  std::vector<calibration::LabelledRow> rows;
  std::uint64_t unreadable = 0;
  bool epoch_in_doubt = false;   ///< an event of the last epoch could not be read: it may have ended
};
Result<StoredPromise> load_promise(const std::filesystem::path& data, std::string_view key, std::int64_t since_us);

/// What the store alone tells of its tasks, without a running gateway: each keeper brought back from its last epoch.
Result<std::vector<TaskReport>> stored_reports(const std::filesystem::path& data, std::int64_t now_us);

/// "CASCADE/TASK"; kNotFound is up to the caller.
std::string promise_key(std::string_view cascade, std::string_view task);

/// Where rungs learn, tenants learn apart: the task's name and the tenant's, joined by a character that no name can hold. The task's name alone for the
/// tenant "".
std::string tenant_task(std::string_view task, std::string_view tenant);
std::string_view task_of(std::string_view tenant_task);   ///< the name in the configuration
std::string shown_task(std::string_view tenant_task);     ///< "TASK@TENANT", for people

/// DATA/pins.json: {"pins": {"TASK": "teacher"}}. Replaced as one.
Result<std::map<std::string, bool, std::less<>>> read_pins(const std::filesystem::path& data);
Result<void> write_pin(const std::filesystem::path& data, const std::string& task, bool to_teacher);

}  // namespace understudy::cascade
