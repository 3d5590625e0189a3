#include <fmt/format.h>

#include "app/explain_report.h"
#include "base/time_format.h"
#include "calibration/promise/keeper.h"
#include "cascade/promise.h"

namespace understudy::app {
namespace {

using calibration::KeeperEvent;
using calibration::KeeperEventKind;

/// A label is made within minutes of its request; clocks may have been set meanwhile.
constexpr std::int64_t kRowWithinUs = std::int64_t{24} * 3600 * 1'000'000;

std::vector<std::string> names_of(const std::vector<calibration::RungSpec>& rungs) {
  std::vector<std::string> names;
  for (const calibration::RungSpec& rung : rungs) names.push_back(rung.name);
  return names;
}

std::string fate_of(const calibration::LabelledRow& row, const KeeperEvent* epoch) {
  const bool test = row.use == calibration::RowUse::kTest;
  if (epoch == nullptr) return "kept";
  const std::string began = fmt::format("epoch {} began at {} ({})", epoch->epoch, format_rfc3339(WallTime{epoch->at_us}), epoch->message);
  if (row.at_us < epoch->keep_since_us) return "not used any more: " + began;
  if (row.at_us < epoch->at_us) return "used for fits only since " + began;
  return fmt::format("used in epoch {}, {}", epoch->epoch, test ? "for tests of new versions and to watch the one in force" : "to fit models and choose thresholds");
}

}  // namespace

Result<ExplainedPromise> explained_promise(store::StoreReader& reader, const store::RequestRecord& request) {
  ExplainedPromise explained;
  std::string key = cascade::promise_key(request.cascade, cascade::tenant_task(request.task, request.tenant));
  auto events = reader.promise_events(key);
  if (events && events->empty()) {
    key = cascade::promise_key(request.cascade, request.task);   // tenants are told apart only where rungs learn
    events = reader.promise_events(key);
  }
  if (!events) return fail(std::move(events.error()));
  std::vector<KeeperEvent> epochs;
  for (const store::PromiseEventRecord& record : *events) {
    auto event = calibration::parse_keeper_event(record.detail);
    if (!event) continue;  // of another version of the program; `serve` counts and tells them
    if (event->kind == KeeperEventKind::kEpoch) epochs.push_back(*event);
    if (event->kind == KeeperEventKind::kSwitch && event->policy && !request.promise_version.empty() && event->policy->version == request.promise_version) {
      explained.policy = std::move(event->policy);
      if (!epochs.empty()) explained.rungs = names_of(epochs.back().rungs);
    }
  }
  const std::int64_t since = request.finished_at.us - kRowWithinUs, until = request.finished_at.us + kRowWithinUs;
  auto rows = reader.promise_rows(key, WallTime{since}, [&](const store::PromiseRowRecord& record) {
    if (record.time.us > until) return false;
    if (record.request_id != request.request_id) return true;
    if (auto row = calibration::parse_row(record.row)) explained.row = std::move(*row);  // the last: feedback may have corrected it
    return true;
  });
  if (!rows) return fail(std::move(rows.error()));
  if (explained.row) {
    for (const KeeperEvent& e : epochs) {
      if (e.at_us <= explained.row->at_us) explained.row_rungs = names_of(e.rungs);
    }
    explained.row_fate = fate_of(*explained.row, epochs.empty() ? nullptr : &epochs.back());
  }
  return explained;
}

}  // namespace understudy::app
