#pragma once
/// Many simulated deployments summed up: how often the promise was broken, what was served and spent, how long things took.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json_writer.h"
#include "calibration/binomial.h"
#include "evaluation/deployment.h"

namespace understudy::evaluation {

/// Lower quartile, median, upper quartile of times of which some never came: those are longer than all others.
struct Quartiles {
  std::array<std::optional<double>, 3> value;  ///< nullopt: it had not come by the end of the deployment
};

class DeploymentTally {
 public:
  void add(const Deployment& deployment);

  std::size_t deployments() const { return deployments_; }
  std::size_t broken_before() const { return broken_before_; }
  std::size_t broken_after() const { return broken_after_; }
  std::size_t broken_between() const { return broken_between_; }
  std::size_t proven_again() const { return proven_again_; }
  /// Served while proven over what the best threshold in hindsight would have served; nullopt where that is nothing.
  std::optional<double> served_over_best() const;
  double served_share() const;
  double bad_share() const;               ///< bad / served
  double false_alarms_per_100k() const;   ///< before the change
  /// Of the teacher-only dollars; nullopt where no costs are recorded. Deployments without costs are in no sum.
  std::optional<double> saved_share() const;
  std::optional<double> oracle_saved_share() const;
  std::optional<double> label_share() const;   ///< dollars for labels alone, of the teacher-only dollars
  Quartiles first_cheap() const { return quartiles(first_cheap_); }
  Quartiles first_cheap_after() const { return quartiles(first_cheap_after_); }
  Quartiles detection_requests() const { return quartiles(detection_requests_); }
  Quartiles detection_labels() const { return quartiles(detection_labels_); }

  /// Keys and values into an open object.
  void append_json(JsonWriter& json, double delta) const;
  /// Cells of a Markdown row, without the first one and without outer bars; header() names them.
  std::string row() const;
  static std::string header();

 private:
  static Quartiles quartiles(std::vector<double> values);

  std::size_t deployments_ = 0, broken_before_ = 0, broken_after_ = 0, broken_between_ = 0, proven_again_ = 0, proven_ = 0;
  std::size_t versions_ = 0, broken_versions_ = 0, false_alarms_ = 0, detection_needed_ = 0, detected_ = 0, crashes_ = 0, cost_unknown_ = 0;
  std::uint64_t requests_ = 0, requests_before_ = 0, proven_requests_ = 0, served_ = 0, bad_ = 0, labels_ = 0;
  double expected_best_ = 0, cost_ = 0, teacher_ = 0, oracle_ = 0, label_cost_ = 0;
  std::vector<double> first_cheap_, first_cheap_after_, detection_requests_, detection_labels_;  // infinity: never
  std::map<std::string, std::size_t> detected_by_;
};

}  // namespace understudy::evaluation
