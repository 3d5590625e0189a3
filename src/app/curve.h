#pragma once
/// A task's curve: how often the teacher is called, what a request costs and how well the cheap answers agree, over time, with what
/// happened to the task marked. Plain structs from the store, figures made of them, and the readers.

#include <optional>
#include <string>
#include <vector>

#include "app/share_interval.h"
#include "base/clock.h"
#include "base/money.h"
#include "store/curve.h"
#include "store/queries.h"

namespace understudy::app {

/// A switch, an alarm, a new epoch, a test: whatever the task's promise recorded, of any kind.
struct CurveEvent {
  WallTime time;
  std::string kind;      ///< as stored: "switch", "alarm", "epoch", "test", ...; kinds to come show by themselves
  std::string version;   ///< "" where none
  std::string cascade;
  std::string message;   ///< "" where the event says none
  bool routine() const { return kind == "test" || kind == "outcome"; }   ///< too many to be marked
};

struct Curve {
  std::string task;                       ///< "": requests without one
  bool by_requests = false;               ///< buckets of equally many requests
  bool hourly = false;                    ///< from hourly sums
  std::vector<store::CurvePoint> points;  ///< oldest first
  std::vector<CurveEvent> events;         ///< of the same period, oldest first
};

/// Figures of a bucket. nullopt where nothing is known, never zero.
std::optional<double> teacher_share(const store::CurvePoint& point);          ///< teacher calls for any reason per request; above 1 with retries
std::optional<double> teacher_served_share(const store::CurvePoint& point);   ///< answers by the teacher alone
std::optional<double> escalation_rate(const store::CurvePoint& point);
std::optional<Picousd> cost_per_request(const store::CurvePoint& point);      ///< labels and lessons included; over the requests of known cost
std::optional<Picousd> teacher_only_per_request(const store::CurvePoint& point);
std::optional<ShareInterval> agreement(const store::CurvePoint& point);       ///< of cheaply served answers (share_interval.h)

/// One bucket of several that follow each other.
store::CurvePoint merged(const std::vector<store::CurvePoint>& points, std::size_t first, std::size_t count);

/// The curves of `query.task`, or of every task, most requests first. Cost: StoreReader::curves, and the tasks' events.
Result<std::vector<Curve>> read_curves(store::StoreReader& reader, const store::CurveQuery& query);

/// `understudy.curve/1`, without the new line.
std::string curve_json(const Curve& curve);

}  // namespace understudy::app
