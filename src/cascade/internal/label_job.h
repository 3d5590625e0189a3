#pragma once
/// Labels collected off the user's path: asks the rungs that a request did not need, and the teacher, compares them, records
/// the labels and hands the whole row to the task's promise. Runs in the engine's task group after the answer has gone out.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cascade/attempt.h"
#include "cascade/bound_specialist.h"
#include "cascade/engine.h"
#include "cascade/internal/examples.h"
#include "cascade/internal/rung_traces.h"
#include "cascade/ladder.h"
#include "cascade/promise.h"

namespace understudy::cascade::internal {

struct LabelJob {
  std::shared_ptr<const Runtime> runtime;
  const CascadeConfig* cascade = nullptr;     ///< in runtime->policy
  const TaskConfig* task = nullptr;           ///< the same; may be null
  std::shared_ptr<TaskPromise> promise;
  std::shared_ptr<const PromiseView> view;
  std::string request_id;
  std::string client_key;
  std::string key;                            ///< its name: it pays
  std::string body;
  std::string_view source;                    ///< "coin" or "shadow"
  std::uint8_t next_attempt = 0;
  bool keep_bodies = true;
  std::vector<RungTrace> rungs;               ///< parallel to the ladder
  std::optional<chat::Answer> teacher;        ///< nullopt: the job asks
  bool teacher_twice = false;                 ///< a second time, for its own noise
  std::optional<Picousd> estimate;            ///< reserved from the label budget for all calls of the job
  calibration::LabelledRow row;               ///< without rungs
  lessons::LessonScope scope;                 ///< of lessons that may be shown
  std::optional<std::vector<float>> vector;   ///< of the last user message; nullopt: the job computes it where it is wanted
  std::map<std::size_t, ShownExamples> examples;   ///< by rung; those asked on the path, then the job's own
  int examples_tried = 0;                     ///< how many were to be shown, where that is being found out
  std::optional<lessons::LessonOffer> lesson; ///< without body and answers; nullopt: the request may teach nothing
  std::string served_rung;                    ///< "": the teacher
};

/// The engine's dependencies must outlive the task; scratch is its own.
net::Awaitable<void> run_label_job(const EngineDeps* deps, LabelBudget* budget, std::unique_ptr<LabelJob> job, net::CancelToken cancel);

/// An attempt as the journal keeps it. Views into `attempt`, `policy`, `rung` and `answer_json`.
store::AttemptEvent attempt_event(const Policy& policy, const Attempt& attempt, std::string_view request_id, std::string_view rung, std::string_view answer_json);

}  // namespace understudy::cascade::internal
