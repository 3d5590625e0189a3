#pragma once
/// Runs `understudy-trainer`, a program of its own, since libtorch stays out of the one that serves (docs/decisions/0015).

#include <cstddef>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include "trainer/job.h"

namespace understudy::trainer {

/// $UNDERSTUDY_TRAINER, else beside the running program, else in the build tree. kUnsupported: there is none, with what to do.
Result<std::filesystem::path> find_trainer();

struct TrainingProgress {
  std::size_t step = 0, steps = 0;  ///< done, and of all epochs
  double seconds_left = 0;          ///< of all epochs; it may stop sooner
  double loss = 0;                  ///< of this step
};

struct TrainingOutcome {
  std::size_t groups = 0;        ///< that taught something; with the pointwise loss: rows
  std::size_t steps = 0;         ///< done
  std::size_t kept_step = 0;     ///< whose weights were kept; 0: those it started with
  bool has_held_back = false;
  std::string metric;            ///< of the rows held back: "ndcg10", or "log_loss" where no group has different targets
  double before = 0, kept = 0;   ///< that metric of the model that it started from, and of the kept one
};

struct TrainingRun {
  std::filesystem::path job, out;  ///< the job's file; the folder to make
  std::function<void(const TrainingProgress&)> progress;
  std::stop_token stop;  ///< asked: it writes a checkpoint and ends
};

/// Waits for it. Checkpoints lie in OUT.training/ until OUT is there: the same call goes on from them.
/// kUnsupported: no trainer; kCancelled: stopped; kInvalidRequest with the trainer's last words.
Result<TrainingOutcome> run_trainer(const TrainingRun& run);

}  // namespace understudy::trainer
