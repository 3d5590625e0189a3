#pragma once
/// Labels collected off the user's path: asks the stages that a request did not need, compares them with the teacher and
/// records both. Runs in the engine's task group after the answer has gone out.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cascade/attempt.h"
#include "cascade/engine.h"

namespace understudy::cascade::internal {

struct LabelJob {
  std::shared_ptr<const Runtime> runtime;
  const CascadeConfig* cascade = nullptr;     ///< in runtime->policy
  const TaskConfig* task = nullptr;           ///< the same; may be null
  std::string request_id;
  std::string client_key;
  std::string body;
  std::string_view source;                    ///< "coin" or "shadow"
  double propensity = 1;
  std::uint8_t next_attempt = 0;
  bool keep_bodies = true;
  bool ask_student = false;
  bool ask_teacher = false;
  std::optional<chat::Answer> cached, student, teacher;   ///< answers that are there already
  std::optional<Picousd> teacher_estimate;    ///< reserved from the label budget
};

/// The engine's dependencies must outlive the task; scratch is its own.
net::Awaitable<void> run_label_job(const EngineDeps* deps, LabelBudget* budget, std::unique_ptr<LabelJob> job, net::CancelToken cancel);

/// Whether `cheap` agrees with `teacher` under the task's comparator, and that comparator's name.
struct Agreement {
  bool agrees = false;
  std::string_view comparator;
};
Agreement compare_answers(const TaskConfig* task, const chat::Answer& cheap, const chat::Answer& teacher);

/// An attempt as the journal keeps it. Views into `attempt`, `policy` and `answer_json`.
store::AttemptEvent attempt_event(const Policy& policy, const Attempt& attempt, std::string_view request_id, std::string_view answer_json);

}  // namespace understudy::cascade::internal
