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
}  // namespace understudy::specialists

namespace understudy::cascade {

/// Immutable.
struct BoundSpecialist {
  specialists::SpecialistPtr specialist;
  std::string render;   ///< "{label}" stands for the label; where several may hold, "{labels}" for a JSON array of those that do
  bool json = false;    ///< every answer is JSON: fit for a request that wants JSON
  bool escapes = false; ///< labels are written as they stand inside a JSON string
};

/// How answers are written where the configuration does not say: the label alone, or the array of labels.
std::string plain_render(const specialists::NamedSpecialist& specialist);

/// Where the text around {label} makes every answer JSON, labels are escaped as JSON wants it.
/// kConfig: no {label} ({labels} where several may hold), another word in braces, or a template that begins as JSON and does not become any.
Result<std::shared_ptr<const BoundSpecialist>> bind_specialist(specialists::SpecialistPtr specialist, std::string render);

/// Numbers beside the raw confidence: the margin to the second label (where several may hold: of the least certain one between yes and no),
/// and how much the text is of the task.
inline constexpr std::size_t kBoundFeatures = 2;

/// What it says of one request.
struct BoundReading {
  std::string answer;   ///< as rendered
  double raw = 0;       ///< that all of it is right, less where the text is unlike those of its task
  std::array<float, kBoundFeatures> features{};
};
BoundReading read_prediction(const BoundSpecialist& bound, const specialists::IntentPrediction& prediction);

}  // namespace understudy::cascade
