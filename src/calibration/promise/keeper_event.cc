// Keeper events as JSON, and back; rows that feedback corrects.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>

#include "base/json_writer.h"
#include "calibration/promise/internal/read_json.h"
#include "calibration/promise/keeper.h"

namespace understudy::calibration {
namespace {

namespace dom = simdjson::dom;
using internal::read;

constexpr std::array<std::string_view, 6> kNames{"epoch", "test", "outcome", "switch", "alarm", "suspect"};


bool read_epoch(dom::element root, KeeperEvent& event) {
  KeeperOptions& o = event.options;
  dom::array rungs;
  std::uint64_t max_rows = 0;
  std::int64_t seed = 0;   // all 64 bits, as a signed number
  const bool whole = read(root, "ladder", event.ladder) && read(root, "keep_since_us", event.keep_since_us) && read(root, "alpha", o.promise.alpha) &&
                     read(root, "delta", o.promise.delta) && read(root, "spot_check", o.spot_check) && read(root, "max_age_us", o.max_age_us) &&
                     read(root, "seed", seed) && read(root, "max_rows", max_rows) && read(root, "rungs", rungs);
  if (!whole || !Promise::create(o.promise.alpha, o.promise.delta)) return false;
  o.max_rows = max_rows;
  o.seed = static_cast<std::uint64_t>(seed);
  for (const dom::element element : rungs) {
    RungSpec& rung = event.rungs.emplace_back();
    std::uint64_t features = 0;
    if (!read(element, "name", rung.name) || !read(element, "features", features)) return false;
    rung.features = features;
    if (bool learned = false; read(element, "learned", learned)) rung.learned = learned;
  }
  return true;
}

/// Logs of older builds have none.
bool read_candidates(dom::element root, KeeperEvent& event) {
  dom::element list;
  if (root["candidates"].get(list)) return true;
  dom::array candidates;
  std::uint64_t fit_rows = 0;
  if (list.get_array().get(candidates) || !read(root, "fresh", event.fresh) || !read(root, "fit_rows", fit_rows)) return false;
  event.fit_rows = fit_rows;
  for (const dom::element element : candidates) {
    auto parsed = parse_policy(simdjson::minify(element));
    if (!parsed) return false;
    event.candidates.push_back(std::move(*parsed));
  }
  return true;
}

}  // namespace

std::string_view keeper_event_name(KeeperEventKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

std::string keeper_event_json(const KeeperEvent& event) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("kind", keeper_event_name(event.kind)).field("at_us", event.at_us).field("epoch", event.epoch).field("why", event.why);
  w.field("message", event.message);
  switch (event.kind) {
    case KeeperEventKind::kEpoch: {
      const KeeperOptions& o = event.options;
      w.field("ladder", event.ladder).field("keep_since_us", event.keep_since_us).field("alpha", o.promise.alpha).field("delta", o.promise.delta);
      w.field("spot_check", o.spot_check).field("max_age_us", o.max_age_us).field("seed", static_cast<std::int64_t>(o.seed)).field("max_rows", o.max_rows);
      w.key("rungs").begin_array();
      for (const RungSpec& rung : event.rungs) {
        w.begin_object().field("name", rung.name).field("features", rung.features);
        if (rung.learned) w.field("learned", true);
        w.end_object();
      }
      w.end_array();
      break;
    }
    case KeeperEventKind::kTest:
    case KeeperEventKind::kOutcome:
      w.field("number", event.number).field("delta", event.delta).field("passed", event.passed);
      if (event.kind == KeeperEventKind::kOutcome) break;
      w.field("fresh", event.fresh).field("fit_rows", event.fit_rows).key("candidates").begin_array();
      for (const LadderPolicy& candidate : event.candidates) w.raw(policy_json(candidate));
      w.end_array();
      break;
    case KeeperEventKind::kSwitch:
      if (event.policy) w.key("policy").raw(policy_json(*event.policy));
      break;
    case KeeperEventKind::kSuspect: w.field("passed", event.passed); break;
    case KeeperEventKind::kAlarm: break;
  }
  w.end_object();
  return out;
}

Result<KeeperEvent> parse_keeper_event(std::string_view json) {
  const auto corrupt = [](std::string_view why) { return fail(ErrorKind::kCorrupt, fmt::format("a stored promise event cannot be read: {}", why)); };
  dom::parser parser;
  dom::element root;
  if (const auto code = parser.parse(json.data(), json.size()).get(root)) return corrupt(simdjson::error_message(code));
  KeeperEvent event;
  std::string kind;
  const bool whole = read(root, "kind", kind) && read(root, "at_us", event.at_us) && read(root, "epoch", event.epoch) && read(root, "why", event.why) &&
                     read(root, "message", event.message);
  if (!whole) return corrupt("a field is missing or has the wrong type");
  const auto named = std::find(kNames.begin(), kNames.end(), kind);
  if (named == kNames.end()) return corrupt(fmt::format("kind '{}'", kind));
  event.kind = static_cast<KeeperEventKind>(named - kNames.begin());
  switch (event.kind) {
    case KeeperEventKind::kEpoch:
      if (!read_epoch(root, event)) return corrupt("the epoch is not whole");
      break;
    case KeeperEventKind::kTest:
    case KeeperEventKind::kOutcome:
      if (!read(root, "number", event.number) || !read(root, "delta", event.delta) || !read(root, "passed", event.passed)) return corrupt("the test is not whole");
      if (event.kind == KeeperEventKind::kTest && !read_candidates(root, event)) return corrupt("the test's candidates are not whole");
      break;
    case KeeperEventKind::kSwitch: {
      dom::element policy;
      if (root["policy"].get(policy)) return corrupt("a switch without a policy");
      auto parsed = parse_policy(simdjson::minify(policy));
      if (!parsed) return fail(std::move(parsed.error()));
      event.policy = std::move(*parsed);
      break;
    }
    case KeeperEventKind::kSuspect:
      if (!read(root, "passed", event.passed)) return corrupt("the suspicion is not whole");
      break;
    case KeeperEventKind::kAlarm: break;
  }
  return event;
}

std::optional<LabelledRow> PromiseKeeper::forgive(std::string_view request_id, const std::vector<bool>& harmless) {
  if (request_id.empty()) return std::nullopt;
  for (auto* rows : {&test_rows_, &fit_rows_}) {
    const auto row = std::find_if(rows->begin(), rows->end(), [&](const LabelledRow& r) { return r.request_id == request_id; });
    if (row == rows->end()) continue;
    bool changed = false;
    for (std::size_t i = 0; i < row->rungs.size() && i < harmless.size(); ++i) {
      changed = changed || (row->rungs[i].bad && harmless[i]);
      row->rungs[i].bad = row->rungs[i].bad && !harmless[i];
    }
    return changed ? std::optional(*row) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace understudy::calibration
