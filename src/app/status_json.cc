#include "app/human.h"
#include "app/record_json.h"
#include "app/status_report.h"
#include "base/time_format.h"

namespace understudy::app {
namespace {

using store::Totals;

void write_mean_ms(JsonWriter& w, std::string_view key, std::int64_t us, std::int64_t n) {
  write_optional(w, key, n > 0 ? std::optional(static_cast<double>(us) / 1e3 / static_cast<double>(n)) : std::nullopt);
}

void write_totals(JsonWriter& w, std::string_view key, const Totals& t) {
  w.key(key).begin_object();
  w.field("requests", t.requests);
  w.key("served_by").begin_object();
  for (std::size_t i = 0; i < kStageCount; ++i) w.field(kStageNames[i], t.served_by[i]);
  w.end_object();
  w.field("failed", t.failed).field("escalated", t.escalated).field("coins", t.coins).field("client_gone", t.client_gone);
  w.field("teacher_calls", t.teacher_calls);
  write_optional(w, "teacher_share", t.teacher_share());
  write_optional(w, "agreement", t.agreement());
  w.field("agreement_n", t.agreement_n());
  w.key("labels").begin_array();
  for (const store::LabelTotals& label : t.labels) {
    w.begin_object()
        .field("source", label.source)
        .field("of_served", label.of_served)
        .field("n", label.n)
        .field("agree", label.agree)
        .end_object();
  }
  w.end_array();
  write_usd_sum(w, "cost", t.cost, t.requests - t.cost_unknown, t.requests);
  w.field("cost_unknown", t.cost_unknown);
  write_usd_sum(w, "teacher_cost", t.teacher_cost, t.requests - t.teacher_cost_unknown, t.requests);
  w.field("teacher_cost_unknown", t.teacher_cost_unknown).field("teacher_cost_estimated", t.teacher_cost_estimated);
  write_usd_sum(w, "saved", t.saved, t.saved_n, t.requests);
  w.field("saved_n", t.saved_n);
  write_mean_ms(w, "mean_latency_ms", t.latency_us, t.requests);
  write_mean_ms(w, "mean_overhead_ms", t.overhead_us, t.requests);
  w.end_object();
}

void write_model_sums(JsonWriter& w, std::string_view key, const store::ModelSums& s) {
  w.key(key).begin_object();
  w.field("calls", s.calls).field("errors", s.errors).field("off_path", s.off_path);
  write_usd_sum(w, "cost", s.cost, s.calls - s.cost_unknown, s.calls);
  w.field("cost_unknown", s.cost_unknown);
  w.key("usage");
  write_usage(w, s.calls > 0 && s.usage_unknown == s.calls ? std::nullopt : std::optional(s.usage));
  w.field("usage_unknown", s.usage_unknown);
  write_mean_ms(w, "mean_latency_ms", s.latency_us, s.calls);
  w.end_object();
}

void write_task(JsonWriter& w, const store::TaskTotals& task) {
  w.begin_object();
  write_text(w, "task", task.task);
  write_totals(w, "all", task.all);
  write_totals(w, "last_24h", task.last_24h);
  w.end_object();
}

void write_model(JsonWriter& w, const store::ModelTotals& model) {
  w.begin_object().field("model", model.model);
  write_text(w, "provider", model.provider);
  w.field("stage", stage_name(model.stage));
  write_model_sums(w, "all", model.all);
  write_model_sums(w, "last_24h", model.last_24h);
  w.end_object();
}

void write_shadow(JsonWriter& w, const store::Status& s, const std::optional<std::string>& task) {
  store::ShadowTotals t;
  for (const store::ShadowTotals& one : s.shadow) {
    if (!task || *task == one.task) t.add(one);
  }
  w.key("shadow");
  if (t.requests == 0) {
    w.null();
    return;
  }
  const std::int64_t known = t.requests - t.cost_unknown;
  w.begin_object().field("requests", t.requests).field("would_serve", t.would_serve);
  write_optional(w, "agreement", t.judged > 0 ? std::optional(static_cast<double>(t.agree) / static_cast<double>(t.judged)) : std::nullopt);
  w.field("agreement_n", t.judged);
  write_usd_sum(w, "live_cost", t.live_cost, known, t.requests);
  write_usd_sum(w, "teacher_cost", t.teacher_cost, known, t.requests);
  write_usd_sum(w, "would_save", t.saved(), known, t.requests);
  w.field("cost_unknown", t.cost_unknown).field("estimated", t.estimated).end_object();
}

void write_lessons(JsonWriter& w, const LessonFigures& l) {
  w.key("lessons").begin_object().field("candidate", l.totals.candidate).field("active", l.totals.active).field("retired", l.totals.retired);
  w.field("spent_usd", exact_usd(l.totals.spent.value)).field("spent_today_usd", exact_usd(l.spent_today.value)).key("live");
  if (!l.live) {
    w.null().end_object();
    return;
  }
  const auto count = [](std::uint64_t n) { return static_cast<std::int64_t>(n); };
  w.begin_object().key("budget_per_day_usd").begin_object();
  for (const auto& [cascade, budget] : l.live->budgets) w.field(cascade, exact_usd(budget.value));
  w.end_object().field("queued", count(l.live->queued)).field("waiting", count(l.live->waiting)).field("usable", count(l.live->usable));
  w.field("dropped_queue", count(l.live->dropped_queue)).field("dropped_store", count(l.live->dropped_store)).field("unfit", count(l.live->unfit));
  w.field("budget_spent", l.live->budget_spent).field("paused", l.live->paused).end_object().end_object();
}

}  // namespace

std::string status_json(const StatusReport& report) {
  const store::Status& s = report.status;
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.status/1").field("data", report.data).field("now", format_rfc3339(s.now));
  w.key("since");
  s.first_request ? w.string(format_rfc3339(*s.first_request)) : w.null();
  w.key("task");
  report.task ? w.string(*report.task) : w.null();
  const store::Totals* all = &s.all;
  const store::Totals* last_24h = &s.last_24h;
  for (const store::TaskTotals& task : s.tasks) {
    if (report.task != task.task) continue;
    all = &task.all;
    last_24h = &task.last_24h;
  }
  write_totals(w, "all", *all);
  write_totals(w, "last_24h", *last_24h);
  w.key("tasks").begin_array();
  for (const store::TaskTotals& task : s.tasks) {
    if (!report.task || *report.task == task.task) write_task(w, task);
  }
  w.end_array();
  w.key("models").begin_array();
  for (const store::ModelTotals& model : s.models) write_model(w, model);
  w.end_array();
  write_shadow(w, s, report.task);
  w.field("unsettled_reservations", s.unsettled_reservations);
  w.field("unsettled_usd", exact_usd(s.unsettled.value)).field("unsettled_picousd", to_string(s.unsettled.value));
  w.field("unfinished_requests", s.unfinished_requests).field("records_dropped", s.records_dropped);
  write_lessons(w, report.lessons);
  write_budgets(w, report.budgets);
  w.key("alarms").begin_array();
  for (const store::AlarmRecord& alarm : s.alarms) {
    w.begin_object().field("time", format_rfc3339(alarm.time)).field("name", alarm.name);
    write_text(w, "subject", alarm.subject);
    w.field("message", alarm.message).end_object();
  }
  w.end_array();
  w.key("store").begin_object();
  w.field("database_bytes", s.database_bytes).field("bodies_bytes", s.bodies_bytes).field("journal_events", s.journal_events);
  w.end_object().key("curve");
  report.curve ? w.raw(curve_json(*report.curve)) : w.null();
  w.end_object();
  return out + "\n";
}

}  // namespace understudy::app
