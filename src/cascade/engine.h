#pragma once
/// The cascade at work: one Engine per reactor answers that reactor's chat completions.
///
///   cache -> students -> teacher, the decision at the end of a student's answer; streamed and not, the same decision and
///   the same answer. Who may serve at which confidence says the task's promise (promise.h), or a threshold by hand. Before anything is decided a coin is tossed; on heads the stages that were not needed are asked
///   afterwards, off the user's path, and the labels are recorded.
///
/// Every request leaves its events in the journal before the last byte of its answer is sent. Nothing here waits for disk.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "calibration/features.h"
#include "cascade/answer_cache.h"
#include "cascade/client_sink.h"
#include "cascade/counters.h"
#include "cascade/label_budget.h"
#include "cascade/policy.h"
#include "cascade/promise.h"
#include "cascade/retry.h"
#include "chat/answer.h"
#include "lessons/few_shots.h"
#include "lessons/offer.h"
#include "neural/encoder_pool.h"
#include "net/deadline.h"
#include "net/reactor.h"
#include "net/timer.h"
#include "providers/provider.h"
#include "store/journal.h"
#include "store/purse.h"

namespace understudy::specialists {
class ScorePool;
}

namespace understudy::cascade {

namespace internal {
class LearnedReader;
}

/// What the gateway knows about a request beside its body. Views live as long as the request.
struct RequestContext {
  std::string request_id;
  std::string_view tenant;
  std::string_view key_name;
  std::string_view client_key;      ///< the bearer token as sent, for models with key = "client"
  std::string_view task;            ///< x-understudy-task
  std::string_view session;
  std::string_view consumer;
  std::string_view tags;
  std::string_view traceparent;
  std::string_view route;
  std::optional<Mode> mode;         ///< x-understudy-mode other than auto
  bool debug = false;
  std::string_view body;
  MonoTime started;
  net::Deadline deadline;           ///< x-understudy-max-latency-ms; no call is made or goes on after it
  std::optional<Picousd> max_cost;  ///< x-understudy-max-cost-usd
};

/// A policy with one provider per model on one reactor; requests in flight keep theirs over a reload.
struct Runtime {
  std::shared_ptr<const Policy> policy;
  std::vector<std::unique_ptr<providers::Provider>> providers;   ///< parallel to policy->models
};

struct EngineDeps {
  net::Reactor& reactor;
  store::Journal* journal = nullptr;   ///< null: nothing is recorded (tests)
  AnswerCache& cache;
  Counters& counters;
  LabelBudget& label_budget;
  Random& random;
  PromiseService* promises = nullptr;  ///< null: nothing is ever proven, and without a threshold by hand the teacher serves (tests)
  bool await_durability = false;       ///< hold the last bytes back until the journal is on disk (`durability = "group"`)
  lessons::LessonSink* lessons = nullptr;   ///< what escalations and disagreements teach goes there; null: nowhere
  static constexpr std::size_t kMaxOffPath = 256;
  std::size_t max_off_path = kMaxOffPath;      ///< calls for labels at once; beyond that a label is skipped and counted
  const lessons::FewShots* few_shots = nullptr;   ///< null: no examples are shown
  neural::EncoderPool* encoder = nullptr;         ///< null: the rungs that learn see words only. Must outlive every request
  store::Purse* purse = nullptr;                  ///< of this reactor; null: no budgets (tests)
  specialists::ScorePool* scores = nullptr;       ///< null: bound rerankers and judges are not asked (tests). Must outlive every request
};

class Engine {
 public:
  explicit Engine(EngineDeps deps) : deps_(deps), off_path_(deps.reactor) {}

  void set_runtime(std::shared_ptr<const Runtime> runtime) {
    runtime_ = std::move(runtime);
    tasks_.clear();
  }
  const std::shared_ptr<const Runtime>& runtime() const { return runtime_; }

  /// Answers one chat completion through `sink`; errors too. `context.body` must stay valid until it returns.
  net::Awaitable<void> handle(RequestContext context, ClientSink& sink);

  /// Label jobs that run off the path now.
  std::size_t labels_running() const { return off_path_.size(); }

  /// Waits for calls off the path, at most `grace_ms`, then cancels them.
  net::Awaitable<void> shut_down(std::int64_t grace_ms);

 private:
  friend class Flow;
  /// The promise of a task, kept by reactor so that a request takes no lock but its own task's.
  std::shared_ptr<TaskPromise> promise_of(const Policy& policy, const CascadeConfig& cascade, const TaskConfig* config, std::string_view task);

  EngineDeps deps_;
  std::shared_ptr<const Runtime> runtime_;
  std::map<const CascadeConfig*, std::map<std::string, std::shared_ptr<TaskPromise>, std::less<>>> tasks_;   ///< of `runtime_`, by name
  net::TaskGroup off_path_;
  chat::LogprobSeries series_;                       ///< scratch of one synchronous parse
  calibration::LogprobAccumulator accumulator_;      ///< scratch
  RetryBudget retry_budget_;
  std::shared_ptr<internal::LearnedReader> learned_;   ///< made when a task first needs it
};

}  // namespace understudy::cascade
