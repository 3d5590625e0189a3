#include "evaluation/deployment_tally.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

namespace understudy::evaluation {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

double number(const std::optional<std::size_t>& value) { return value ? static_cast<double>(*value) : kNever; }

std::optional<double> ratio(double a, double b) { return b > 0 ? std::optional(a / b) : std::nullopt; }

void optional_number(JsonWriter& json, std::string_view key, const std::optional<double>& value) {
  json.key(key);
  if (value) {
    json.number(*value);
  } else {
    json.null();
  }
}

void append_quartiles(JsonWriter& json, std::string_view key, const Quartiles& q) {
  json.key(key).begin_object();
  optional_number(json, "q25", q.value[0]);
  optional_number(json, "median", q.value[1]);
  optional_number(json, "q75", q.value[2]);
  json.end_object();
}

void append_rate(JsonWriter& json, std::string_view key, std::size_t count, std::size_t of) {
  json.key(key).begin_object().field("n", count).field("of", of);
  optional_number(json, "share", ratio(static_cast<double>(count), static_cast<double>(of)));
  const auto interval = calibration::clopper_pearson(count, of);
  json.key("interval").begin_array().number(of > 0 ? interval.low : 0).number(of > 0 ? interval.high : 1).end_array();
  json.end_object();
}

std::string shown(const std::optional<double>& value, int decimals) { return value ? fmt::format("{:.{}f}", *value, decimals) : "-"; }

std::string shown(const Quartiles& q) {
  const auto one = [](const std::optional<double>& v) { return v ? fmt::format("{:.0f}", *v) : std::string("never"); };
  if (!q.value[0] && !q.value[1] && !q.value[2]) return "-";
  return fmt::format("{} ({}-{})", one(q.value[1]), one(q.value[0]), one(q.value[2]));
}

std::string shown_rate(std::size_t count, std::size_t of) {
  if (of == 0) return "-";
  const auto interval = calibration::clopper_pearson(count, of);
  return fmt::format("{}/{} [{:.3f}, {:.3f}]", count, of, interval.low, interval.high);
}

}  // namespace

void DeploymentTally::add(const Deployment& d) {
  ++deployments_;
  broken_before_ += d.broken_before;
  broken_after_ += d.broken_after;
  broken_between_ += d.broken_between;
  proven_again_ += d.proven_again;
  false_alarms_ += d.false_alarms;
  crashes_ += d.crashes;
  cost_unknown_ += d.teacher_only_usd == 0;
  labels_ += d.labels;
  cost_ += d.cost_usd;
  teacher_ += d.teacher_only_usd;
  oracle_ += d.oracle_usd;
  label_cost_ += d.label_usd;
  requests_before_ += d.phase[0].requests;
  bool proven = false;
  for (const Phase& p : d.phase) {
    requests_ += p.requests;
    proven_requests_ += p.proven;
    served_ += p.served;
    bad_ += p.bad;
    versions_ += p.versions;
    broken_versions_ += p.broken;
    expected_best_ += p.expected_best;
    proven = proven || p.versions > 0;
  }
  proven_ += proven;
  first_cheap_.push_back(number(d.first_cheap));
  if (d.phase[1].requests > 0) first_cheap_after_.push_back(number(d.first_cheap_after));
  if (d.detection_needed) {
    ++detection_needed_;
    detected_ += d.detection_requests.has_value();
    detection_requests_.push_back(number(d.detection_requests));
    detection_labels_.push_back(d.detection_requests ? number(d.detection_labels) : kNever);
    ++detected_by_[d.detection_requests ? d.detected_by : "nothing"];
  }
}

std::optional<double> DeploymentTally::served_over_best() const { return ratio(static_cast<double>(served_), expected_best_); }
double DeploymentTally::served_share() const { return requests_ > 0 ? static_cast<double>(served_) / static_cast<double>(requests_) : 0; }
double DeploymentTally::bad_share() const { return served_ > 0 ? static_cast<double>(bad_) / static_cast<double>(served_) : 0; }
double DeploymentTally::false_alarms_per_100k() const {
  return requests_before_ > 0 ? 1e5 * static_cast<double>(false_alarms_) / static_cast<double>(requests_before_) : 0;
}
std::optional<double> DeploymentTally::saved_share() const { return ratio(teacher_ - cost_, teacher_); }
std::optional<double> DeploymentTally::oracle_saved_share() const { return ratio(teacher_ - oracle_, teacher_); }
std::optional<double> DeploymentTally::label_share() const { return ratio(label_cost_, teacher_); }

Quartiles DeploymentTally::quartiles(std::vector<double> values) {
  Quartiles q;
  if (values.empty()) return q;
  std::sort(values.begin(), values.end());
  for (std::size_t i = 0; i < 3; ++i) {
    const double value = values[(values.size() - 1) * (i + 1) / 4];
    if (std::isfinite(value)) q.value[i] = value;
  }
  return q;
}

void DeploymentTally::append_json(JsonWriter& json, double delta) const {
  json.field("deployments", deployments_).field("proven", proven_).field("requests", requests_).field("versions", versions_);
  append_rate(json, "broken_before", broken_before_, deployments_);
  append_rate(json, "broken_after", broken_after_, proven_again_);
  append_rate(json, "broken_between", broken_between_, deployments_);
  json.field("delta", delta).field("served_share", served_share());
  optional_number(json, "served_over_best", served_over_best());
  optional_number(json, "served_bad", ratio(static_cast<double>(bad_), static_cast<double>(served_)));
  append_quartiles(json, "first_cheap", first_cheap());
  append_quartiles(json, "first_cheap_after", first_cheap_after());
  append_quartiles(json, "detection_requests", detection_requests());
  append_quartiles(json, "detection_labels", detection_labels());
  json.field("detection_needed", detection_needed_).field("detected", detected_).key("detected_by").begin_object();
  for (const auto& [why, n] : detected_by_) json.field(why, n);
  json.end_object().field("false_alarms_per_100k", false_alarms_per_100k()).field("labels", labels_).field("crashes", crashes_);
  optional_number(json, "cost_usd", teacher_ > 0 ? std::optional(cost_) : std::nullopt);
  optional_number(json, "label_usd", teacher_ > 0 ? std::optional(label_cost_) : std::nullopt);
  optional_number(json, "teacher_only_usd", teacher_ > 0 ? std::optional(teacher_) : std::nullopt);
  optional_number(json, "oracle_usd", teacher_ > 0 ? std::optional(oracle_) : std::nullopt);
  json.field("cost_unknown", cost_unknown_);
}

std::string DeploymentTally::header() {
  return "broken before | broken after | served / best | bad / served | first cheap (quartiles) | detection, requests | labels | by | false alarms / 100k | saved | "
         "oracle | for labels";
}

std::string DeploymentTally::row() const {
  std::string by;
  for (const auto& [why, n] : detected_by_) by += fmt::format("{}{} {}", by.empty() ? "" : ", ", why, n);
  return fmt::format("{} | {} | {} | {:.4f} | {} | {} | {} | {} | {:.2f} | {} | {} | {}", shown_rate(broken_before_, deployments_), shown_rate(broken_after_, proven_again_),
                     shown(served_over_best(), 3), bad_share(), shown(first_cheap()), shown(detection_requests()), shown(detection_labels()), by.empty() ? "-" : by,
                     false_alarms_per_100k(), shown(saved_share(), 3), shown(oracle_saved_share(), 3), shown(label_share(), 3));
}

}  // namespace understudy::evaluation
