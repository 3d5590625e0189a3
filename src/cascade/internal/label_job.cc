#include "cascade/internal/label_job.h"

#include "base/json_writer.h"
#include "cascade/internal/call_model.h"

namespace understudy::cascade::internal {
namespace {

/// Tool calls in the API's form for the comparator; "" where there are none.
std::string tool_calls_json(const chat::Answer& answer) {
  std::string out;
  if (answer.tool_calls.empty()) return out;
  JsonWriter w(out);
  w.begin_array();
  for (const chat::ToolCall& call : answer.tool_calls) {
    w.begin_object().field("id", call.id).field("type", call.type).key("function").begin_object();
    w.field("name", call.name).field("arguments", call.arguments).end_object().end_object();
  }
  w.end_array();
  return out;
}

void write_label(const EngineDeps& deps, const LabelJob& job, Stage stage, const chat::Answer& cheap, const chat::Answer& teacher) {
  const Agreement agreement = compare_answers(job.task, cheap, teacher);
  deps.counters.labels.fetch_add(1, std::memory_order_relaxed);
  if (agreement.agrees) deps.counters.labels_agree.fetch_add(1, std::memory_order_relaxed);
  if (deps.journal == nullptr) return;
  store::LabelEvent event;
  event.request_id = job.request_id;
  event.source = job.source;
  event.stage = stage;
  event.agrees = agreement.agrees;
  event.propensity = job.propensity;
  event.comparator = agreement.comparator;
  deps.journal->append(event);
}

}  // namespace

Agreement compare_answers(const TaskConfig* task, const chat::Answer& cheap, const chat::Answer& teacher) {
  const std::string cheap_tools = tool_calls_json(cheap);
  const std::string teacher_tools = tool_calls_json(teacher);
  const calibration::AnswerView a{chat::answer_text(cheap), cheap_tools};
  const calibration::AnswerView b{chat::answer_text(teacher), teacher_tools};
  calibration::ComparatorSpec by_shape;
  const calibration::ComparatorSpec* spec = &by_shape;
  if (task != nullptr && task->compare) {
    spec = &*task->compare;
  } else {
    by_shape.comparator = calibration::default_comparator(b);
  }
  return {calibration::agrees(*spec, a, b), calibration::comparator_name(spec->comparator)};
}

store::AttemptEvent attempt_event(const Policy& policy, const Attempt& attempt, std::string_view request_id, std::string_view answer_json) {
  const providers::ModelConfig& model = policy.models[attempt.model].config;
  store::AttemptEvent event;
  event.request_id = request_id;
  event.attempt = attempt.number;
  event.stage = attempt.stage;
  event.model = model.name;
  event.upstream_model = model.upstream_model;
  event.provider = model.provider;
  event.status = attempt.status;
  if (attempt.error) {
    event.error = error_info(attempt.error->kind).label;
  } else if (attempt.status != 200) {
    event.error = error_info(ErrorKind::kUpstreamStatus).label;
  }
  event.off_path = attempt.off_path;
  event.served = attempt.served;
  event.usage = attempt.usage;
  event.usage_raw = attempt.usage_text();
  event.cost = attempt.cost;
  event.latency_us = attempt.latency_us();
  event.first_byte_us = attempt.first_byte_us;
  event.confidence = attempt.confidence;
  if (attempt.features) {
    event.feature_schema = calibration::kLogprobSchema;
    event.features = attempt.features->span();
  }
  event.finish_reason = attempt.finish_reason();
  event.answer = answer_json;
  return event;
}

net::Awaitable<void> run_label_job(const EngineDeps* deps, LabelBudget* budget, std::unique_ptr<LabelJob> job, net::CancelToken cancel) {
  auto request = chat::parse_chat_request(job->body);
  if (!request) co_return;  // it was parsed before; nothing can have changed
  chat::LogprobSeries series;
  calibration::LogprobAccumulator accumulator;
  const CallSubject subject{*deps, *job->runtime, *request, job->body, job->request_id, job->client_key, {}, cancel, series, accumulator};
  const Policy& policy = *job->runtime->policy;

  for (const Stage stage : {Stage::kTeacher, Stage::kStudent}) {
    const bool wanted = stage == Stage::kTeacher ? job->ask_teacher : job->ask_student;
    if (!wanted) continue;
    Attempt attempt;
    attempt.stage = stage;
    attempt.model = stage == Stage::kTeacher ? job->cascade->teacher : *job->cascade->student;
    attempt.number = job->next_attempt++;
    attempt.off_path = true;
    co_await call_model(subject, attempt, Delivery::kPlain);
    if (stage == Stage::kTeacher) budget->settle(job->teacher_estimate, attempt.cost);
    std::string answer_json;
    if (attempt.ok()) {
      if (auto answer = answer_of(attempt)) {
        if (job->keep_bodies) answer_json = chat::message_json(*answer);
        (stage == Stage::kTeacher ? job->teacher : job->student) = std::move(*answer);
      }
    }
    if (deps->journal != nullptr) {
      const store::AttemptEvent event = attempt_event(policy, attempt, job->request_id, answer_json);
      deps->journal->append(event);
    }
    if (!attempt.ok() && stage == Stage::kTeacher) break;  // without the teacher's answer there is nothing to compare with
  }
  if (!job->teacher) co_return;
  if (job->cached) write_label(*deps, *job, Stage::kCache, *job->cached, *job->teacher);
  if (job->student) write_label(*deps, *job, Stage::kStudent, *job->student, *job->teacher);
}

}  // namespace understudy::cascade::internal
