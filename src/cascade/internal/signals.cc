#include "cascade/internal/signals.h"

#include "calibration/compare.h"

namespace understudy::cascade::internal {

double signal_confidence(const calibration::LadderPolicy& policy, std::size_t rung, const Attempt& judged, const SignalReading& reading, std::size_t request_bytes) {
  const StudentFeatures student = student_features(judged.features, request_bytes);
  std::array<float, kStudentFeatures + 1> features;
  std::copy(student.begin(), student.end(), features.begin());
  features.back() = static_cast<float>(reading.value);
  return policy.rungs[rung].model.probability(reading.value, features);
}

net::Awaitable<SignalReading> read_signal(const CallSubject&, const Rung&, const chat::Answer&, const TaskConfig*, std::function<Attempt&()>) {
  co_return SignalReading();
}

}  // namespace understudy::cascade::internal
