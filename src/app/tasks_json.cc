#include <algorithm>

#include "app/human.h"
#include "app/record_json.h"
#include "app/tasks_report.h"
#include "base/time_format.h"

namespace understudy::app {
namespace {

void write_count(JsonWriter& w, std::string_view key, const std::optional<std::size_t>& n) {
  w.key(key);
  n ? w.integer(static_cast<std::int64_t>(*n)) : w.null();
}

void write_money(JsonWriter& w, std::string_view key, PicousdSum sum, std::int64_t covered, std::int64_t requests) {
  w.key(key);
  covered > 0 || requests == 0 ? w.string(exact_usd(sum.value)) : w.null();
}

void write_interval(JsonWriter& w, std::string_view key, const std::optional<ShareInterval>& interval) {
  w.key(key);
  if (!interval) {
    w.null();
    return;
  }
  w.begin_object().field("share", interval->share).field("low", interval->low).field("high", interval->high).field("n", interval->n).end_object();
}

void write_promise(JsonWriter& w, const TaskView& task, WallTime now) {
  const calibration::LadderPolicy* policy = task.policy();
  w.key("promise").begin_object();
  write_optional(w, "alpha", task.alpha());
  write_optional(w, "delta", task.delta());
  w.field("status", task.status());
  write_optional(w, "upper_bound", policy != nullptr ? std::optional(policy->upper_bound) : std::nullopt);
  w.field("rows", task.rows());
  write_text(w, "version", policy != nullptr ? policy->version : "");
  write_optional(w, "age_s", policy != nullptr ? std::optional(static_cast<double>(now.us - policy->proven_at_us) / 1e6) : std::nullopt);
  write_count(w, "bad", policy != nullptr ? std::optional(policy->bad) : std::nullopt);
  if (task.report && !task.by_hand) {
    const calibration::PromiseReport& p = task.report->promise;
    write_text(w, "why", p.why);
    w.field("epoch", p.epoch).field("tests", p.tests).field("delta_left", p.delta_left);
    w.field("fit_rows", p.fit_rows).field("test_rows", p.test_rows).field("rows_lost", task.report->rows_lost).field("suspect", p.suspect);
  }
  w.end_object();
}

void write_few_shots(JsonWriter& w, const TaskView& task) {
  w.key("few_shots");
  if (!task.report || (task.report->uplift.rows == 0 && task.report->few_shots.empty())) {
    w.null();
    return;
  }
  const cascade::FewShotUplift& u = task.report->uplift;
  w.begin_object().field("rows", u.rows).field("better", u.better).field("worse", u.worse);
  write_optional(w, "uplift", u.rows > 0 ? std::optional(u.mean) : std::nullopt);
  write_optional(w, "low", u.rows > 0 ? std::optional(u.low) : std::nullopt);
  write_optional(w, "high", u.rows > 0 ? std::optional(u.high) : std::nullopt);
  write_text(w, "decision", task.report->few_shots);
  w.end_object();
}

void write_watch(JsonWriter& w, const TaskView& task) {
  w.key("watch");
  if (task.policy() == nullptr) {
    w.null();
    return;
  }
  const calibration::PromiseReport& p = task.report->promise;
  w.begin_object().field("labels", p.watched).field("bad", p.watched_bad).field("e_value", p.e_value).field("alarm_at", 1 / task.report->options.promise.delta);
  w.end_object();
}

void write_judge(JsonWriter& w, const TaskView& task) {
  w.key("distilled_judge");
  if (!task.report || task.by_hand || task.report->promise.judge.by.empty()) {
    w.null();
    return;
  }
  const calibration::JudgeCheck& judge = task.report->promise.judge;
  w.begin_object().field("id", judge.by).field("both", judge.both).field("same", judge.same).field("alone", judge.alone).field("trusted", judge.trusted());
  w.key("disagreement").begin_object();
  for (const auto& share : judge.shares) {
    const calibration::PredictionPowered& d = share.disagreement;
    w.key(share.rung).begin_object().field("share", d.rate).field("low", d.interval.low).field("high", d.interval.high).field("lambda", d.lambda);
    w.field("judged", share.judged).field("alone", share.alone).end_object();
  }
  w.end_object().end_object();
}

void write_alarm(JsonWriter& w, const store::AlarmRecord& alarm) {
  w.begin_object().field("time", format_rfc3339(alarm.time)).field("name", alarm.name);
  write_text(w, "subject", alarm.subject);
  w.field("message", alarm.message).end_object();
}

void write_rungs(JsonWriter& w, const TaskView& task) {
  w.key("thresholds").begin_object();
  const calibration::LadderPolicy* policy = task.policy();
  if (task.by_hand) {
    w.key("student");
    *task.by_hand > 1 ? w.string("never") : w.number(*task.by_hand);   // a band says nothing of students
  } else if (task.report) {
    for (std::size_t i = 0; i < task.report->rungs.size(); ++i) {
      w.key(task.report->rungs[i].name);
      const bool serves = policy != nullptr && i < policy->rungs.size() && policy->rungs[i].threshold;
      serves ? w.number(*policy->rungs[i].threshold) : w.string("never");
    }
  }
  w.end_object();
}

/// Keys of a task inside an object that the caller has opened.
void write_task(JsonWriter& w, const TaskView& task, WallTime now) {
  const store::Totals& t = task.all;
  write_text(w, "task", task.task);
  write_text(w, "cascade", task.cascade);
  w.field("requests", t.requests);
  write_promise(w, task, now);
  write_rungs(w, task);
  write_optional(w, "coin", task.coin());
  write_count(w, "labels_needed", task.labels_needed());
  write_count(w, "requests_needed", task.requests_needed());
  w.field("labels_guessed", task.labels_needed().value_or(0) > 0 && task.report->promise.labels_guessed);
  write_optional(w, "foreseen_share", task.report && !task.by_hand ? task.report->promise.foreseen_share : std::nullopt);
  const auto noise = noise_floor(task);
  write_optional(w, "teacher_noise", noise ? std::optional(noise->share) : std::nullopt);
  write_interval(w, "teacher_noise_interval", noise);
  w.key("served").begin_object();
  for (std::size_t i = 0; i < kStageCount; ++i) w.field(kStageNames[i], t.served_by[i]);
  w.end_object();
  write_optional(w, "served_share", task.cheap_share());
  write_interval(w, "agreement", measured_agreement(task));
  write_money(w, "cost_usd", t.cost, t.requests - t.cost_unknown, t.requests);
  w.field("cost_unknown", t.cost_unknown);
  write_money(w, "teacher_only_usd", t.teacher_cost, t.requests - t.teacher_cost_unknown, t.requests);
  w.field("teacher_only_unknown", t.teacher_cost_unknown).field("teacher_only_estimated", t.teacher_cost_estimated);
  write_money(w, "saved_usd", t.saved, t.saved_n, t.requests);
  w.field("pinned", task.pinned).field("shadow", task.shadow);
  write_few_shots(w, task);
  write_watch(w, task);
  write_judge(w, task);
  write_usd(w, "label_spent_today", task.label_spent_today);
  write_usd(w, "label_budget_per_day", task.label_budget);
}

}  // namespace

std::string tasks_json(const TasksReport& report) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.tasks/1").field("data", report.source).field("now", format_rfc3339(report.now)).key("tasks").begin_array();
  for (const TaskView& task : report.tasks) {
    w.begin_object();
    write_task(w, task, report.now);
    w.end_object();
  }
  w.end_array().end_object();
  return out + "\n";
}

std::string task_json(const TasksReport& report, const TaskView& task) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.task/1").field("data", report.source).field("now", format_rfc3339(report.now));
  write_task(w, task, report.now);
  w.key("also").begin_array();
  for (const std::string& cascade : task.also) w.string(cascade);
  w.end_array();
  w.field("summary", state_sentence(task, report.now));
  w.key("reasons").begin_array();
  for (const std::string& reason : bill_reasons(task)) w.string(reason);
  w.end_array().key("advice").begin_array();
  for (const std::string& advice : bill_advice(task)) w.string(advice);
  w.end_array().key("alarms").begin_array();
  for (std::size_t i = 0; i < std::min<std::size_t>(task.alarms.size(), 20); ++i) write_alarm(w, task.alarms[i]);
  w.end_array().end_object();
  return out + "\n";
}

std::string alarms_json(const std::vector<store::AlarmRecord>& alarms) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.alarms/1").key("alarms").begin_array();
  for (const store::AlarmRecord& alarm : alarms) write_alarm(w, alarm);
  w.end_array().end_object();
  return out + "\n";
}

}  // namespace understudy::app
