#pragma once
/// Rechecks on a schedule: specialists that serve are compared with their teachers on what they were lately asked (docs/guide/teacher.md).
///
/// One look does what is due, one specialist after the other, and blocks meanwhile; RecheckService looks on a thread of its own. What is needed to go on after
/// a restart is in DATA/rechecks: when the last one began, and of one that is under way its seed and what the teacher has said (`.asked`, docs/formats/recheck.md).
/// The rows themselves are not kept a second time: the requests of the same period are looked at again, and the same seed draws the same ones.
///
/// The period of a recheck ends when it begins. It is given up for a new one where it is not done within its interval.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/budget.h"
#include "base/clock.h"
#include "labelling/ask_teacher.h"
#include "monitors/recheck.h"
#include "store/journal.h"

namespace understudy::monitors {

/// Of one specialist.
struct RecheckPlan {
  specialists::SpecialistPtr specialist;   ///< as it serves
  std::vector<std::string> tasks;          ///< whose requests it is drawn from
  std::int64_t every_ms = 0;
  std::size_t sample = 200;
  Picousd budget;                          ///< of one recheck: never passed
  std::optional<double> at_least;          ///< Recheck::at_least
  providers::ModelConfig teacher;
  std::function<std::optional<Picousd>(const Usage&, WallTime)> price;   ///< of a call to it
};

/// A request as a teacher can be asked about it: one row, of a reranker one for each document.
struct RecentRequest {
  std::string id;
  std::vector<labelling::Row> rows;   ///< at least one
};

struct RecentRequests {
  std::vector<RecentRequest> requests;   ///< those that the specialist reads
  std::size_t seen = 0;                  ///< of its tasks in the period, also those whose text is gone or that it does not read
};

/// Where requests are recorded. At most `most` of those that ended at or after `since` and before `until`, drawn by `seed`: the same again for the same records.
using RequestSource = std::function<Result<RecentRequests>(const RecheckPlan& plan, WallTime since, WallTime until, std::size_t most, std::uint64_t seed)>;

struct RecheckerOptions {
  std::filesystem::path data;                ///< DATA; its folder rechecks/ is made where needed
  RequestSource requests;
  std::function<const neural::TextEncoder*()> encoder;   ///< that runs here; empty or null: none
  store::Journal* journal = nullptr;         ///< of the thread that looks: alarms, and money under budgets; null: not recorded (tests)
  BudgetLedger* budgets = nullptr;           ///< of the gateway, beside a plan's own; null: none. Outlives this
  const Clock* clock = nullptr;              ///< nullptr: system_clock()
  labelling::ProviderMaker make_provider;    ///< empty: providers::make_provider
};

/// Of one specialist, for /metrics.
struct RecheckReport {
  std::string specialist;
  std::optional<Recheck> last;        ///< from its history: also one that was asked for by hand
  std::uint64_t alarms = 0;           ///< since the start, like the next two
  std::uint64_t failed = 0;           ///< rechecks that came to nothing, or could not go on for now
  Picousd spent;
  bool under_way = false;             ///< begun, not done
};

class Rechecker {
 public:
  explicit Rechecker(RecheckerOptions options);

  /// Puts other plans in force, one a specialist; what is under way goes on where it was. From the thread that looks.
  void configure(std::vector<RecheckPlan> plans);
  /// Does what is due now. Errors are logged and counted, and tried again after a while.
  void look(const std::stop_token& stop);
  /// Thread-safe.
  std::vector<RecheckReport> report() const;

 private:
  /// DATA/rechecks/NAME.json.
  struct State {
    std::optional<WallTime> last;    ///< when the last one began that came to its end
    std::optional<WallTime> begun;   ///< the one under way
    std::uint64_t seed = 0;          ///< of it
    WallTime not_before;             ///< not kept: when to try again
    bool waits = false;              ///< not kept: it was told that there are too few requests
  };
  enum class Outcome : std::uint8_t { kDone, kLater, kStopped };

  Outcome go_on(const RecheckPlan& plan, State& state, const std::stop_token& stop);
  Result<Recheck> compare(const RecheckPlan& plan, const State& state, const std::stop_token& stop);
  void keep(const RecheckPlan& plan, const Recheck& recheck);
  void finish(const RecheckPlan& plan, State& state);
  State load(const std::string& name) const;
  Result<void> save(const std::string& name, const State& state) const;
  std::filesystem::path asked_file(const std::string& name, std::uint64_t seed) const;
  void tell(const std::string& name, const std::function<void(RecheckReport&)>& change);

  RecheckerOptions options_;
  const Clock& clock_;
  std::vector<RecheckPlan> plans_;
  std::map<std::string, State> states_;
  mutable std::mutex mutex_;
  std::map<std::string, RecheckReport> reports_;   ///< guarded
};

}  // namespace understudy::monitors
