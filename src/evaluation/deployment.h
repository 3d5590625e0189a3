#pragma once
/// One simulated deployment of a cascade: traffic drawn from a population of recorded requests, through the product's own keeper.
///
/// The population is finite and known, and requests are drawn from it with replacement, each a new request of its own: so the true risk
/// of any policy version is known exactly, and "the promise was broken" is a fact, not an estimate. Coin, second coin, policy,
/// labels, shift windows and time go to `calibration::PromiseKeeper` as the gateway hands them over; crashes throw it away and
/// bring it back from its log and rows.
/// Deterministic for a seed. Not thread-safe.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "calibration/promise/keeper.h"

namespace understudy::evaluation {

/// Requests of one kind: what each rung and the teacher would do. `at_us`, `input`, `use` and `version` are filled in as they are drawn.
struct Population {
  std::vector<calibration::LabelledRow> rows;
};

/// The same requests with each rung's outcomes dealt out anew: confidence means nothing.
Population with_meaningless_confidence(Population population, Random& random);

/// Largest share that a threshold on the first rung's raw confidence can serve at a true risk of at most alpha, and the
/// mean dollars a request then (the rung is asked on every one).
struct Hindsight {
  double share = 0, cost_usd = 0;
};
Hindsight hindsight_best(const Population& population, double alpha);

/// True risk of a policy.
struct TrueRisk {
  double served = 0;  ///< share of the population
  double risk = 0;    ///< share of the served rows that are bad; 0 where nothing is served
};
TrueRisk true_risk(const calibration::LadderPolicy& policy, const Population& population);

enum class Decider : std::uint8_t {
  kKeeper,     ///< the product's
  kEmpirical,  ///< the boldest threshold whose observed bad rate is within alpha: what people do, and what breaks the promise
};

struct DeploymentPlan {
  std::vector<calibration::RungSpec> rungs;
  calibration::KeeperOptions options;
  const Population* first = nullptr;
  const Population* later = nullptr;   ///< from request `change_at` on
  std::size_t change_at = std::numeric_limits<std::size_t>::max();
  bool new_prompt = false;             ///< requests have another prompt hash from `change_at` on
  std::size_t requests = 10'000;
  std::size_t requests_per_day = 2'000;
  std::optional<std::size_t> labels_per_day;  ///< what the label budget pays for; coins beyond it are not labelled
  std::size_t most_label_delay = 0;    ///< labels arrive up to so many requests later, uniformly
  bool escalations = false;            ///< escalated requests feed the fits
  double crash_at_event = 0;           ///< chance that the process dies right after a log write, before it takes effect
  double crash_at_request = 0;
  Decider decider = Decider::kKeeper;
  /// Called for each request with the row's number, who serves and the policy; may be empty.
  std::function<void(std::size_t row, const calibration::Served&, const calibration::LadderPolicy*)> on_request;
};

/// What happened before the change ([0]; everything where there is none) and after it ([1]).
struct Phase {
  std::uint64_t requests = 0;
  std::uint64_t proven = 0;          ///< requests that found a policy in force
  std::uint64_t served = 0, bad = 0; ///< by cheap rungs
  double expected_best = 0;          ///< what the hindsight threshold would have served of the `proven` requests
  std::size_t versions = 0, broken = 0;  ///< policies switched to; of these with a true risk above alpha
};

struct Deployment {
  std::array<Phase, 2> phase;
  bool broken_before = false;        ///< some version that was proven before the change broke alpha there
  bool broken_after = false;         ///< some version of an epoch that began after the change breaks alpha in the new world
  bool broken_between = false;       ///< proven after the change on an epoch that began before it: on evidence of both worlds
  bool proven_again = false;         ///< a version of an epoch that began after the change came into force
  std::optional<std::size_t> first_cheap;   ///< request at which a cheap rung first served, from 1
  std::optional<std::size_t> first_cheap_after;  ///< requests from the change to the first cheap answer after it
  bool detection_needed = false;     ///< the policy in force at the change breaks alpha in the new world
  std::optional<std::size_t> detection_requests, detection_labels;  ///< from the change to the alarm
  std::string detected_by;           ///< `why` of that alarm
  std::size_t false_alarms = 0;      ///< alarms before the change
  std::uint64_t labels = 0;          ///< of coins
  std::size_t crashes = 0;
  double cost_usd = 0, teacher_only_usd = 0, oracle_usd = 0;  ///< all 0 where the population has no costs
  double label_usd = 0;              ///< of cost_usd: what was asked for labels alone
};

Deployment run_deployment(const DeploymentPlan& plan, std::uint64_t seed);

}  // namespace understudy::evaluation
