#pragma once
/// A teacher before `train`, for kinds that read two texts.

#include <optional>
#include <string>

#include "app/pair_command.h"
#include "app/teacher_training.h"

namespace understudy::app {

/// As teacher_before_training; `a` is changed to what is to be trained on. The first model has no cross-encoder: that takes minutes, and it only chooses rows.
/// @param train  (arguments, text of their --data, command) -> Result<std::string>, as train_pair
template <typename Train>
Result<std::optional<std::string>> label_before_training(labelling::Task task, const TeacherArguments& teacher, PairArguments& a, Train train) {
  TrainPlaces places{a.data, a.calibration, a.out, a.split || a.calibration_split, a.seed};
  auto labelled = teacher_before_training(task, teacher, places, [&](const std::string& data, const std::string& out) -> Result<void> {
    PairArguments first = a;
    first.data = data;
    first.out = out;
    first.cross_encoder = "off";
    const auto text = read_training_text(first);
    if (!text) return fail(text.error());
    const auto trained = train(first, *text, "");
    return trained ? Result<void>() : Result<void>(fail(trained.error()));
  });
  if (labelled) a.data = places.data, a.calibration = places.calibration;
  return labelled;
}

}  // namespace understudy::app
