#pragma once
/// What the promise's service holds of a task. For its own files alone.

#include <fmt/format.h>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "cascade/promise.h"

namespace understudy::cascade {

/// A fit of the learned rungs under way.
struct PromiseService::Fitting {
  std::shared_ptr<Kept> kept;
  calibration::FitJob job;
  std::shared_ptr<const calibration::RungLearner> learner;
  std::promise<calibration::Fitted> promise;
  std::future<calibration::Fitted> fitted = promise.get_future();
  std::thread thread;
};

/// A task with its keeper. The keeper is touched under work_mutex_ only.
struct PromiseService::Kept {
  std::shared_ptr<TaskPromise> task;
  calibration::KeeperOptions options;
  std::string cascade;
  bool forgives = false;
  std::optional<calibration::ComparatorSpec> compare;
  FewShotTrial trial;                    ///< of examples
  std::optional<calibration::PromiseKeeper> keeper;   ///< nullopt: by hand, or not loaded yet
  std::shared_ptr<const calibration::RungLearner> learner;
  std::string trusted_judge;             ///< PromiseView

  void look_at_judge() {
    const calibration::JudgeCheck check = keeper->judge_check();
    trusted_judge = check.trusted() ? check.by : std::string();
  }
};

/// Events go to the journal before they take effect; people are told once they have.
class PromiseService::Log final : public calibration::KeeperLog {
 public:
  Log(PromiseService& service, const TaskPromise& task) : service_(service), task_(task) {}
  bool write(const calibration::KeeperEvent& event) override;

 private:
  std::string name() const { return task_.task().empty() ? "requests without a task" : fmt::format("task '{}'", task_.task()); }

  PromiseService& service_;
  const TaskPromise& task_;
};

}  // namespace understudy::cascade
