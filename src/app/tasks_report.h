#pragma once
/// What `understudy tasks`, the admin API and the status page tell of each task: its promise, what it costs, and why.
/// Pure but for collect_tasks.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/share_interval.h"
#include "app/terminal.h"
#include "cascade/promise.h"
#include "gateway/admin.h"
#include "store/queries.h"

namespace understudy::app {

struct TaskView {
  std::string cascade;                           ///< "": not known (no request was decided by a promise)
  std::string task;                              ///< "": requests without one
  std::vector<std::string> also;                 ///< further cascades that serve it; the sums below are over all of them
  std::optional<cascade::TaskReport> report;     ///< nullopt: no promise has been kept for it yet
  std::optional<double> by_hand;                 ///< the threshold by hand
  bool pinned = false;
  bool shadow = false;                           ///< shadow mode: the teacher serves everything
  store::Totals all, last_24h;
  store::TeacherNoise noise;
  std::vector<store::AlarmRecord> alarms;        ///< its own, newest first
  std::optional<Picousd> label_budget;           ///< a day; nullopt: none, or not known
  std::optional<Picousd> label_spent_today;      ///< over all tasks

  std::string_view status() const;               ///< "warming", "proven", "never", "by_hand"
  const calibration::LadderPolicy* policy() const { return report && !by_hand ? report->policy.get() : nullptr; }
  std::optional<double> alpha() const;           ///< nullopt by hand, or where it is not known
  std::optional<double> delta() const;
  std::optional<double> coin() const;
  std::size_t rows() const;                      ///< that the proof rests on; without one, test rows at hand
  std::optional<std::size_t> labels_needed() const;   ///< nullopt: none by hand, or no number would do
  std::optional<std::size_t> requests_needed() const; ///< to collect them at the coin's probability
  std::optional<double> cheap_share() const;     ///< of requests, served by cheap stages; nullopt without requests
};

std::optional<ShareInterval> measured_agreement(const TaskView& task);   ///< of answers that cheap stages served
std::optional<ShareInterval> noise_floor(const TaskView& task);          ///< the teacher's disagreement with itself

struct TasksReport {
  std::string source;             ///< directory, as given
  WallTime now;
  std::vector<TaskView> tasks;    ///< most requests first
};

/// Reads the store; with `live` the promises are those of the running gateway, else each is brought back from its evidence (some
/// tenths of a second a task).
Result<TasksReport> collect_tasks(const std::filesystem::path& data, const gateway::LiveGateway* live);

/// The task that `name` means: its name, CASCADE/NAME, "-" for requests without one. kNotFound with the nearest.
Result<const TaskView*> find_task(const TasksReport& report, std::string_view name);

/// "(none)" for requests without one; not made safe for a terminal.
std::string task_label(const TaskView& task);
std::string threshold_list(const TaskView& task, std::string_view separator);   ///< "student 0.83, cache never"

// task_insight.cc: for people
std::string state_sentence(const TaskView& task, WallTime now);      ///< what is promised now, and by what right
std::vector<std::string> bill_reasons(const TaskView& task);         ///< why the bill is what it is
std::vector<std::string> bill_advice(const TaskView& task);          ///< what would lower it; never empty

std::string tasks_text(const TasksReport& report, const TextStyle& style);
std::string tasks_json(const TasksReport& report);                   ///< `understudy.tasks/1`
std::string task_text(const TasksReport& report, const TaskView& task, const TextStyle& style);
std::string task_json(const TasksReport& report, const TaskView& task);   ///< `understudy.task/1`
std::string alarms_json(const std::vector<store::AlarmRecord>& alarms);   ///< `understudy.alarms/1`

}  // namespace understudy::app
