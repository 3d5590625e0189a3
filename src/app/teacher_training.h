#pragma once
/// `train KIND --teacher M --unlabelled F`: a sample of rows is labelled by a real upstream before the training (docs/guide/teacher.md).

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "app/teacher_labels.h"

namespace understudy::app {

struct TeacherArguments {
  TeacherChoice teacher;
  std::string unlabelled, labels, labels_out;
  std::string other;             ///< kRelevance: a judge's folder, kFaithfulness: a reranker's
  std::optional<std::string> split;
  std::size_t sample = 2'000;
  double active_share = 0.5;
  bool active = false, labels_only = false;
  std::function<Result<labelling::Task>(const std::string& text)> task_of;  ///< of a command whose rows may be for several tasks: which one these are for

  bool wanted() const { return !teacher.model.empty(); }
};
/// @param task  of the command, or the first of its tasks: kIntent has --labels, kRelevance --judge, kFaithfulness --reranker. Makes --data and --out of `cli` optional:
/// teacher_before_training sees to them
void add_teacher_arguments(CLI::App& cli, labelling::Task task, TeacherArguments& a);

/// What a training is told and changes with a teacher.
struct TrainPlaces {
  std::string data, calibration, out;
  bool split = false;   ///< --split or --calibration-split was given
  std::uint64_t seed = 1;
};
/// Trains a first model, quickly, on labelled rows. @return an error as the training gives it
using FirstModel = std::function<Result<void>(const std::string& data, const std::string& out)>;

/// Before a training: without --teacher nothing happens, but --data must be there; with it a sample is labelled and `places.data` becomes the file of
/// its labelled rows (--labels-out; default: OUT.labels.jsonl; what was asked is kept beside it, in .asked), with --active also `places.calibration`.
/// @return nullopt: go on and train; else what to print: --labels-only. kUsage: arguments that do not go together; and as TeacherLabels says
Result<std::optional<std::string>> teacher_before_training(labelling::Task task, const TeacherArguments& a, TrainPlaces& places, const FirstModel& first_model);

}  // namespace understudy::app
