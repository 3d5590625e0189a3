#include "cascade/internal/label_job.h"

#include "cascade/internal/call_model.h"
#include "cascade/internal/judge_answers.h"
#include "cascade/internal/learned.h"
#include "cascade/internal/lesson_offer.h"

namespace understudy::cascade::internal {
namespace {

struct Labelled {
  Stage stage = Stage::kStudent;
  std::string_view rung;
  const chat::Answer& answer;
};

void write_label(const EngineDeps& deps, const LabelJob& job, const Labelled& judged, const chat::Answer& teacher, const Verdicts& verdicts) {
  const Agreement agreement = compare_answers(job.task, judged.answer, teacher, &verdicts);
  // What a distilled judge says is no label by itself, and what the judge was asked because of it is no sample.
  if (!agreement.agrees || job.row.estimated) return;
  if (judged.stage != Stage::kTeacher) {
    deps.counters.labels.fetch_add(1, std::memory_order_relaxed);
    if (*agreement.agrees) deps.counters.labels_agree.fetch_add(1, std::memory_order_relaxed);
  }
  if (deps.journal == nullptr) return;
  store::LabelEvent event;
  event.request_id = job.request_id;
  event.source = job.source;
  event.stage = judged.stage;
  event.rung = judged.rung;
  event.agrees = *agreement.agrees;
  event.propensity = job.row.propensity;
  event.comparator = agreement.comparator;
  deps.journal->append(event);
}

/// The calls of one job, each recorded as it ends.
class Caller {
 public:
  Caller(const CallSubject& subject, LabelJob& job) : subject_(subject), job_(job) {}

  /// @param examples  shown with the request; null: none are
  net::Awaitable<std::optional<chat::Answer>> ask(Stage stage, std::size_t model, std::optional<std::size_t> rung, RungTrace* trace,
                                                  const ShownExamples* examples = nullptr) {
    Attempt& attempt = next(stage, model, rung);
    if (examples != nullptr) {
      co_await call_with_examples(subject_, *examples, attempt, Delivery::kPlain);
    } else {
      co_await call_model(subject_, attempt, Delivery::kPlain);
    }
    if (trace != nullptr) {
      trace->cost_usd = usd(attempt.cost);
      trace->features = attempt.features;
      if (attempt.confidence) trace->raw = attempt.raw_confidence;
      const auto& policy = job_.view->policy;
      if (policy && attempt.features && rung) {
        attempt.confidence = policy->rungs[*rung].model.probability(attempt.raw_confidence, student_features(attempt.features, job_.body.size()));
      }
    }
    std::optional<chat::Answer> answer;
    if (attempt.ok()) {
      if (auto read = answer_of(attempt)) answer = std::move(*read);
    }
    record(answer);
    co_return answer;
  }

  net::Awaitable<void> read(const Rung& rung, std::size_t index, RungTrace& trace, const chat::Answer& judged) {
    const std::function<Attempt&()> next_call = [this, &rung, index]() -> Attempt& { return next(Stage::kStudent, rung.model, index); };
    trace.signal = co_await read_signal(subject_, rung, judged, job_.task, next_call);
    trace.cost_usd = trace.signal.cost_usd;
    record(std::nullopt);
  }

  /// Puts what must be judged of `answer` into `verdicts`. False: nobody could be asked.
  net::Awaitable<bool> judge(const AnswerJudges& judges, const chat::Answer& answer, Verdicts& verdicts) {
    if (compare_answers(job_.task, answer, *job_.teacher, &verdicts).agrees) co_return true;
    const std::function<Attempt&()> next_call = [this, &judges]() -> Attempt& { return next(Stage::kStudent, judges.model, std::nullopt); };
    const auto verdict = co_await judge_pair(subject_, judges, answer, *job_.teacher, next_call);
    record(std::nullopt);
    if (!verdict) co_return false;
    verdicts.emplace(chat::answer_text(answer), *verdict);
    co_return true;
  }

  std::optional<Picousd> spent() const { return spent_; }
  /// A budget forbade one of the calls.
  bool forbidden() const { return forbidden_; }

 private:
  Attempt& next(Stage stage, std::size_t model, std::optional<std::size_t> rung) {
    Attempt& attempt = attempts_.emplace_back();
    attempt.stage = stage;
    attempt.model = model;
    attempt.rung = rung;
    attempt.number = job_.next_attempt++;
    attempt.off_path = true;
    return attempt;
  }

  void record(const std::optional<chat::Answer>& answer) {
    for (const Attempt& attempt : attempts_) {
      forbidden_ |= attempt.forbidden();
      spent_ = spent_ && attempt.cost ? std::optional(*spent_ + *attempt.cost) : std::nullopt;
      if (subject_.deps.journal == nullptr) continue;
      std::string json;
      if (job_.keep_bodies && answer) json = subject_.runtime.policy->redact.json(chat::message_json(*answer));
      const std::string_view rung = attempt.rung                       ? std::string_view(job_.promise->ladder()[*attempt.rung].name)
                                    : attempt.stage == Stage::kStudent ? kJudgeRung
                                                                       : std::string_view{};
      const store::AttemptEvent event = attempt_event(*subject_.runtime.policy, attempt, job_.request_id, rung, json);
      subject_.deps.journal->append(event);
    }
    attempts_.clear();
  }

  const CallSubject& subject_;
  LabelJob& job_;
  std::list<Attempt> attempts_;   // of the call at hand
  std::optional<Picousd> spent_ = Picousd{0};
  bool forbidden_ = false;
};

/// Who judges the job's answers; nullopt: the comparator needs nobody. Says in the row whether a distilled judge's verdicts stand alone.
std::optional<AnswerJudges> find_judges(LabelJob& job) {
  if (!compares_by_judge(job.task)) return std::nullopt;
  AnswerJudges judges{Policy::judge_of(*job.cascade, *job.task), job.task->distilled_judge, false, job.task->compare->level};
  if (judges.distilled == nullptr) return judges;
  job.row.verdicts_by = shown_judge(*judges.distilled);
  job.row.verdict_level = judges.level;
  // Decided by the coins alone, before anything is known of the answers: so the other rows stay a fair sample.
  judges.alone = job.row.use == calibration::RowUse::kFit && !job.promise->by_hand() && job.view->trusted_judge == job.row.verdicts_by;
  job.row.estimated = judges.alone;
  return judges;
}

}  // namespace

store::AttemptEvent attempt_event(const Policy& policy, const Attempt& attempt, std::string_view request_id, std::string_view rung, std::string_view answer_json) {
  const providers::ModelConfig& model = policy.models[attempt.model].config;
  store::AttemptEvent event;
  event.request_id = request_id;
  event.attempt = attempt.number;
  event.stage = attempt.stage;
  event.rung = rung;
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
  if (attempt.features && !attempt.cut_short) {   // those of a beginning are not an answer's
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
  const CallSubject subject{*deps, *job->runtime, *request, job->body, job->request_id, job->client_key, {}, cancel, series, accumulator, {}, {}, {job->key, job->scope.task, {}}};
  const std::vector<Rung>& ladder = job->promise->ladder();
  Caller caller(subject, *job);
  const std::optional<AnswerJudges> judges = find_judges(*job);
  Verdicts verdicts;
  std::optional<chat::Answer> again;   // of the teacher's
  bool all_judged = true;

  // The teacher first: without its answer there is nothing to compare with, and the others need not be paid.
  if (!job->teacher) job->teacher = co_await caller.ask(Stage::kTeacher, job->cascade->teacher, std::nullopt, nullptr);
  if (job->teacher) {
    if (job->teacher_twice) again = co_await caller.ask(Stage::kTeacher, job->cascade->teacher, std::nullopt, nullptr);
    for (std::size_t i = 0; i < ladder.size(); ++i) {
      RungTrace& trace = job->rungs[i];
      if (trace.asked) continue;
      trace.asked = true;
      if (ladder[i].examples) {
        // Test rows see what would be served; from fit rows lessons are held back now and then.
        const double withhold = job->row.use == calibration::RowUse::kFit ? kWithhold : 0;
        Rung rung = ladder[i];
        if (rung.trial) rung.examples->k = job->examples_tried = FewShotTrial::draw(deps->random);
        if (!job->vector && wants_vector(*deps, rung, *request)) {
          std::string text = embedded_text(job->body);
          job->vector = co_await embed_text(*deps->encoder, std::move(text), deps->reactor);
        }
        const ShownWith with{job->scope, *request, job->body, job->row.input, job->vector};
        auto shown = show_examples(*deps, rung, with, withhold);
        if (!shown) continue;
        const ShownExamples& examples = job->examples[i] = std::move(*shown);
        trace.answer = co_await caller.ask(Stage::kStudent, ladder[i].model, i, &trace, &examples);
      } else if (!ladder[i].signal) {
        trace.answer = co_await caller.ask(Stage::kStudent, ladder[i].model, i, &trace);
      } else if (const auto& judged = job->rungs[ladder[i].of].answer) {
        co_await caller.read(ladder[i], i, trace, *judged);
      }
    }
    if (judges && again) all_judged = co_await caller.judge(*judges, *again, verdicts);
    for (std::size_t i = 0; judges && all_judged && i < ladder.size(); ++i) {
      if (job->rungs[i].answer) all_judged = co_await caller.judge(*judges, *job->rungs[i].answer, verdicts);
    }
  }
  budget->settle(job->estimate, caller.spent());
  // Cut short by a shut-down or a budget: what is missing would look like a student that fails.
  if (caller.forbidden() || !all_judged) deps->counters.labels_skipped.fetch_add(1, std::memory_order_relaxed);
  if (!job->teacher || cancel.cancelled() || caller.forbidden() || !all_judged) co_return;
  if (again) {
    const Labelled label{Stage::kTeacher, "teacher", *again};
    write_label(*deps, *job, label, *job->teacher, verdicts);
  }
  for (std::size_t i = 0; i < ladder.size(); ++i) {
    if (!job->rungs[i].answer) continue;
    const Labelled label{ladder[i].stage, ladder[i].name, *job->rungs[i].answer};
    write_label(*deps, *job, label, *job->teacher, verdicts);
  }
  for (const auto& [rung, examples] : job->examples) {
    const auto& answer = job->rungs[rung].answer;
    record_examples(*deps, job->request_id, examples, answer && !job->row.estimated ? compare_answers(job->task, *answer, *job->teacher, &verdicts).agrees : std::nullopt);
  }
  for (const auto& [rung, examples] : job->examples) {
    job->row.shown = examples.shown;
    job->row.withheld = examples.withheld;
  }
  if (job->lesson && deps->lessons != nullptr) {
    const bool offered = complete_lesson(*job->lesson, ladder, job->rungs, job->served_rung, job->task, *job->teacher, &verdicts);
    // What every stage says alike teaches nothing, unless it had to be asked of the teacher.
    if (offered && (job->lesson->provenance == lessons::Provenance::kEscalation || job->lesson->student_agrees == false)) {
      job->lesson->body = job->body;
      deps->lessons->offer(std::move(*job->lesson));
    }
  }
  if (job->promise->by_hand()) co_return;
  auto outcomes = judge_rungs(ladder, job->rungs, job->task, *job->teacher, job->body.size(), &verdicts);
  if (!outcomes) co_return;
  job->row.rungs = std::move(*outcomes);
  teach(job->row, *job->teacher);
  job->promise->offer(job->request_id, std::move(job->row), job->examples_tried);
}

}  // namespace understudy::cascade::internal
