#pragma once
/// A specialist bound to a task by configuration (`[tasks.X] specialist = "NAME"`), and the words in which its answers go out.

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "specialists/registry.h"

namespace understudy::specialists {
struct IntentPrediction;
}

namespace understudy::cascade {

/// Immutable.
struct BoundSpecialist {
  specialists::SpecialistPtr specialist;
  std::string render;                 ///< "{label}" stands for the label
  std::vector<std::string> answers;   ///< as rendered, of each of its labels
  bool json = false;                  ///< all answers are JSON: fit for a request that wants JSON
};

inline constexpr std::string_view kPlainRender = "{label}";

/// Renders the answer of each label. Where the text around {label} makes every answer JSON, labels are escaped as JSON wants it.
/// kConfig: a specialist that gives several labels; no {label}, another word in braces, or a template that begins as JSON and does not become any.
Result<std::shared_ptr<const BoundSpecialist>> bind_specialist(specialists::SpecialistPtr specialist, std::string render);

/// Numbers beside the raw confidence: the margin to the second label, and how much the text is of the task.
inline constexpr std::size_t kBoundFeatures = 2;

/// What it says of one request.
struct BoundReading {
  std::size_t label = 0;    ///< into answers
  double raw = 0;           ///< its probability, less where the text is unlike those of its task
  std::array<float, kBoundFeatures> features{};
};
BoundReading read_prediction(const specialists::IntentPrediction& prediction);

}  // namespace understudy::cascade
