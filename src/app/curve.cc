#include "app/curve.h"

#include <simdjson.h>

#include <algorithm>

#include "app/human.h"
#include "app/record_json.h"
#include "base/json_writer.h"
#include "base/time_format.h"

namespace understudy::app {
namespace {

using store::CurvePoint;

constexpr std::uint32_t kMostAlarms = 1'000;

std::optional<double> per_request(std::int64_t n, const CurvePoint& point) {
  return point.requests > 0 ? std::optional(static_cast<double>(n) / static_cast<double>(point.requests)) : std::nullopt;
}

/// Rounded once, to the picodollar.
std::optional<Picousd> mean(PicousdSum sum, std::int64_t n) {
  if (n <= 0) return std::nullopt;
  const Int128 twice = 2 * sum.value + (sum.value < 0 ? -n : n);
  return Picousd{static_cast<std::int64_t>(twice / (2 * Int128{n}))};
}

/// What an event says of itself; its detail is its owner's JSON.
std::string message_of(const std::string& detail) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(detail).get_object().get(object)) return {};
  for (const char* key : {"message", "why"}) {
    std::string_view text;
    if (!object[key].get_string().get(text) && !text.empty()) return std::string(text);
  }
  return {};
}

/// Events of one "CASCADE/TASK", oldest first. An alarm is in both tables where the promise raised it: then once.
Result<void> add_events(store::StoreReader& reader, const std::string& key, const std::vector<store::AlarmRecord>& alarms, std::vector<CurveEvent>& events) {
  const std::string cascade = key.substr(0, key.find('/'));
  auto stored = reader.promise_events(key);
  if (!stored) return fail(std::move(stored.error()));
  std::vector<CurveEvent> own;
  for (store::PromiseEventRecord& e : *stored) own.push_back({e.time, std::move(e.kind), std::move(e.version), cascade, message_of(e.detail)});
  const std::size_t from_promise = own.size();
  for (const store::AlarmRecord& alarm : alarms) {
    if (alarm.subject != key) continue;
    const bool known = std::any_of(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(from_promise), [&](const CurveEvent& e) { return e.kind == "alarm" && e.message == alarm.message; });
    if (!known) own.push_back({alarm.time, "alarm", "", cascade, alarm.name + ": " + alarm.message});
  }
  events.insert(events.end(), std::make_move_iterator(own.begin()), std::make_move_iterator(own.end()));
  return {};
}

void write_share(JsonWriter& w, const std::optional<ShareInterval>& i) {
  if (!i) {
    w.null();
    return;
  }
  w.begin_object().field("share", i->share).field("low", i->low).field("high", i->high).field("n", i->n).end_object();
}

void write_point(JsonWriter& w, const CurvePoint& p) {
  w.begin_object().field("from", format_rfc3339(p.from)).field("to", format_rfc3339(p.to)).field("requests", p.requests);
  w.key("served_by").begin_object();
  for (std::size_t i = 0; i < kStageCount; ++i) w.field(kStageNames[i], p.served_by[i]);
  w.end_object().field("failed", p.failed).field("coins", p.coins).field("escalated", p.escalated);
  write_optional(w, "escalation_rate", escalation_rate(p));
  w.field("teacher_calls", p.teacher_calls);
  write_optional(w, "teacher_share", teacher_share(p));
  write_optional(w, "teacher_served_share", teacher_served_share(p));
  write_usd(w, "cost_per_request", cost_per_request(p));
  write_usd_sum(w, "cost", p.cost, p.requests - p.cost_unknown, p.requests);
  w.field("cost_unknown", p.cost_unknown);
  w.field("lesson_cost_usd", exact_usd(p.lesson_cost.value));
  write_usd(w, "teacher_only_per_request", teacher_only_per_request(p));
  write_usd_sum(w, "teacher_only", p.teacher_cost, p.requests - p.teacher_cost_unknown, p.requests);
  w.field("teacher_only_unknown", p.teacher_cost_unknown).field("teacher_only_estimated", p.teacher_cost_estimated);
  w.key("agreement");
  write_share(w, agreement(p));
  w.key("checks").begin_array();
  for (const store::CurveLabels& c : p.labels) w.begin_object().field("propensity", c.propensity).field("n", c.n).field("agree", c.agree).end_object();
  w.end_array().end_object();
}

}  // namespace

std::optional<double> teacher_share(const CurvePoint& point) { return per_request(point.teacher_calls, point); }
std::optional<double> teacher_served_share(const CurvePoint& point) { return per_request(point.served_by[static_cast<std::size_t>(Stage::kTeacher)], point); }
std::optional<double> escalation_rate(const CurvePoint& point) { return per_request(point.escalated, point); }
std::optional<Picousd> cost_per_request(const CurvePoint& point) { return mean(point.cost, point.requests - point.cost_unknown); }
std::optional<Picousd> teacher_only_per_request(const CurvePoint& point) { return mean(point.teacher_cost, point.requests - point.teacher_cost_unknown); }
std::optional<ShareInterval> agreement(const CurvePoint& point) { return agreement_of(point.labels); }

CurvePoint merged(const std::vector<CurvePoint>& points, std::size_t first, std::size_t count) {
  const std::size_t end = std::min(points.size(), first + count);
  CurvePoint sum = points[first];
  for (std::size_t i = first + 1; i < end; ++i) {
    const CurvePoint& p = points[i];
    sum.to = std::max(sum.to, p.to);
    sum.requests += p.requests;
    for (std::size_t s = 0; s < kStageCount; ++s) sum.served_by[s] += p.served_by[s];
    sum.failed += p.failed;
    sum.escalated += p.escalated;
    sum.coins += p.coins;
    sum.teacher_calls += p.teacher_calls;
    sum.cost += p.cost;
    sum.lesson_cost += p.lesson_cost;
    sum.cost_unknown += p.cost_unknown;
    sum.teacher_cost += p.teacher_cost;
    sum.teacher_cost_unknown += p.teacher_cost_unknown;
    sum.teacher_cost_estimated += p.teacher_cost_estimated;
    for (const store::CurveLabels& c : p.labels) {
      const auto same = std::find_if(sum.labels.begin(), sum.labels.end(), [&](const store::CurveLabels& l) { return l.propensity == c.propensity; });
      if (same == sum.labels.end()) {
        sum.labels.push_back(c);
      } else {
        same->n += c.n;
        same->agree += c.agree;
      }
    }
  }
  return sum;
}

Result<std::vector<Curve>> read_curves(store::StoreReader& reader, const store::CurveQuery& query) {
  auto tasks = reader.curves(query);
  if (!tasks) return fail(std::move(tasks.error()));
  auto keys = reader.promise_tasks();
  if (!keys) return fail(std::move(keys.error()));
  auto alarms = reader.alarms(query.since, kMostAlarms);
  if (!alarms) return fail(std::move(alarms.error()));
  for (const store::AlarmRecord& alarm : *alarms) {
    if (alarm.subject.find('/') != std::string::npos) keys->push_back(alarm.subject);
  }
  std::sort(keys->begin(), keys->end());
  keys->erase(std::unique(keys->begin(), keys->end()), keys->end());
  std::vector<Curve> curves;
  for (store::TaskCurve& task : *tasks) {
    Curve curve{std::move(task.task), query.by_requests, task.hourly, std::move(task.points), {}};
    for (const std::string& key : *keys) {
      if (key.substr(key.find('/') + 1) != curve.task) continue;
      if (auto added = add_events(reader, key, *alarms, curve.events); !added) return fail(std::move(added.error()));
    }
    std::erase_if(curve.events, [&](const CurveEvent& e) { return (query.since && e.time < *query.since) || (query.until && e.time >= *query.until); });
    std::stable_sort(curve.events.begin(), curve.events.end(), [](const CurveEvent& a, const CurveEvent& b) { return a.time < b.time; });
    curves.push_back(std::move(curve));
  }
  return curves;
}

std::string curve_json(const Curve& curve) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.curve/1");
  write_text(w, "task", curve.task);
  w.field("by", curve.by_requests ? "requests" : "time").field("hourly", curve.hourly);
  w.key("points").begin_array();
  for (const CurvePoint& point : curve.points) write_point(w, point);
  w.end_array().key("events").begin_array();
  for (const CurveEvent& e : curve.events) {
    w.begin_object().field("time", format_rfc3339(e.time)).field("kind", e.kind);
    write_text(w, "version", e.version);
    write_text(w, "cascade", e.cascade);
    write_text(w, "message", e.message);
    w.end_object();
  }
  w.end_array().end_object();
  return out;
}

}  // namespace understudy::app
