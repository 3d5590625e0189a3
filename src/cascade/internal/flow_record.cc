#include <algorithm>
#include <memory>

#include "cascade/internal/flow.h"
#include "cascade/internal/judge_answers.h"
#include "cascade/internal/label_job.h"
#include "cascade/internal/lesson_offer.h"

namespace understudy::cascade {

void Flow::compare_with_teacher() {
  const Attempt* student = nullptr;
  const Attempt* teacher = nullptr;
  for (const Attempt& attempt : attempts_) {
    if (!attempt.ok()) continue;
    const bool answers = attempt.rung && !promise_->ladder()[*attempt.rung].signal;
    if (attempt.stage == Stage::kStudent && answers && student == nullptr) student = &attempt;
    if (attempt.stage == Stage::kTeacher && attempt.served) teacher = &attempt;
  }
  if (student == nullptr || teacher == nullptr) return;
  const auto cheap = answer_of(*student);
  const auto reference = answer_of(*teacher);
  if (cheap && reference) agrees_ = internal::compare_answers(task_, *cheap, *reference).agrees;
}

void Flow::record(int status, std::string_view error) {
  if (recorded_) return;
  recorded_ = true;
  sink_.settled(decision_);
  Counters& counters = deps_.counters;
  const std::int64_t latency_us = (deps_.reactor.clock().mono().ns - context_.started.ns) / 1000;
  const auto bump = [](std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); };
  if (!error.empty()) {
    bump(counters.failed);
  } else if (decision_.served_by) {
    bump(counters.served[static_cast<std::size_t>(*decision_.served_by)]);
  }
  if (error == error_info(ErrorKind::kCancelled).label) bump(counters.clients_gone);
  if (decision_.escalated) bump(counters.escalated);
  if (decision_.cost) {
    counters.cost_nanousd.fetch_add(decision_.cost->value / 1000, std::memory_order_relaxed);
    if (const auto saved = decision_.saved()) counters.saved_nanousd.fetch_add(saved->value / 1000, std::memory_order_relaxed);
  } else if (!attempts_.empty()) {
    bump(counters.cost_unknown);
  }
  counters.latency.add(latency_us);
  counters.overhead.add(decision_.overhead_us);
  if (deps_.journal == nullptr) return;

  const bool nothing_but_cost = mode_ == Mode::kOff;
  const bool keep_bodies = policy_.keep_bodies && !nothing_but_cost;
  for (const Attempt& attempt : attempts_) {
    std::string rendered;
    std::string_view answer;
    if (keep_bodies && attempt.answer && !attempt.cut_short) {
      rendered = chat::message_json(*attempt.answer);
      answer = rendered;
    } else if (keep_bodies && attempt.ok()) {
      answer = attempt.completion.message.in(attempt.body);
    }
    if (policy_.redact.any() && !answer.empty()) {
      rendered = policy_.redact.json(answer);
      answer = rendered;
    }
    const std::string_view rung = attempt.rung ? std::string_view(promise_->ladder()[*attempt.rung].name) : std::string_view{};
    const store::AttemptEvent event = internal::attempt_event(policy_, attempt, decision_.request_id, rung, answer);
    deps_.journal->append(event);
  }

  store::RequestEvent event;
  event.request_id = decision_.request_id;
  event.tenant = context_.tenant;
  event.key = context_.key_name;
  event.route = context_.route;
  if (!nothing_but_cost) {
    event.session = context_.session;
    event.consumer = context_.consumer;
    event.tags = context_.tags;
    event.input_hash = input_hash();
  }
  event.task = task_name_;
  if (route_.cascade != nullptr) event.cascade = route_.cascade->name;
  event.requested_model = request_.model;
  event.mode = mode_name(mode_);
  event.policy_version = policy_.version;
  event.coin.probability = coin_probability_;
  event.coin.heads = coin_heads_;
  event.label_source = agrees_ ? label_source_ : std::string_view{};
  event.agrees = agrees_;
  event.served_by = decision_.served_by;
  event.served_model = decision_.served_by ? std::string_view(decision_.model) : std::string_view{};
  event.confidence = decision_.confidence;
  // In shadow mode nothing is decided; what live would have decided by is kept, so that the store can tell what it would save.
  event.threshold = mode_ == Mode::kShadow && !route_.direct_model ? shadow_threshold() : decision_.threshold;
  event.threshold_by_hand = event.threshold && promise_ && promise_->by_hand();
  if (view_ && view_->policy) event.promise_version = view_->policy->version;
  event.prompt_hash = request_.prompt_hash;
  if (decision_.served_by) event.served_rung = decision_.rung;
  event.escalated = decision_.escalated;
  event.reason = decision_.reason;
  event.status = status;
  event.error = error;
  event.streamed = request_.stream;
  event.client_gone = sink_.client_gone();
  event.complete = error.empty();
  event.cost = attempts_.empty() && !cached_ ? std::optional(Picousd{0}) : decision_.cost;
  event.teacher_cost = decision_.teacher_cost;
  event.teacher_cost_estimated = decision_.teacher_cost_estimated;
  event.latency_us = latency_us;
  event.overhead_us = decision_.overhead_us;
  // A request that was refused before anyone was asked keeps no text: the error says enough.
  std::string redacted;
  if (keep_bodies && (cached_ || !attempts_.empty())) {
    event.body = context_.body;
    if (policy_.redact.any()) {
      redacted = policy_.redact.json(context_.body);
      event.body = redacted;
    }
  }
  deps_.journal->append(event);
}

net::Awaitable<void> Flow::make_durable() {
  if (!deps_.await_durability || deps_.journal == nullptr) co_return;
  auto durable = std::make_shared<net::Event>(deps_.reactor);
  net::Reactor* const reactor = &deps_.reactor;
  // The event moves along, so that it is let go of on its own reactor.
  auto done = [reactor, event = durable](bool) mutable { reactor->post([event = std::move(event)] { event->set(); }); };
  deps_.journal->when_durable(deps_.journal->last_sequence(), std::move(done));
  // A disk that hangs must not hold answers back for ever.
  [[maybe_unused]] const bool synced = co_await durable->wait(net::Deadline::after_ms(deps_.reactor.clock().mono(), 10'000));
}

std::optional<double> Flow::shadow_threshold() const {
  for (std::size_t i = 0; i < promise_->ladder().size(); ++i) {
    const Rung& rung = promise_->ladder()[i];
    if (rung.stage == Stage::kStudent && !rung.signal) return threshold_of(i);
  }
  return std::nullopt;
}

lessons::LessonScope Flow::lesson_scope() const {
  return {std::string(context_.tenant), route_.cascade->name, std::string(task_name_), request_.prompt_hash};
}

calibration::LabelledRow Flow::row_frame(calibration::LabelSource source) const {
  calibration::LabelledRow row;
  row.input = input_hash();
  row.propensity = source == calibration::LabelSource::kEscalation ? 1 : coin_probability_;
  row.use = test_row_ && source != calibration::LabelSource::kEscalation ? calibration::RowUse::kTest : calibration::RowUse::kFit;
  row.source = source;
  row.version = view_->policy ? view_->policy->version : std::string();
  row.prompt = request_.prompt_hash;
  row.prompt_bytes = static_cast<std::uint32_t>(std::min<std::size_t>(context_.body.size(), UINT32_MAX));
  row.teacher_cost_usd = internal::usd(decision_.teacher_cost);
  if (learned_) row.terms = learned_->terms;
  return row;
}

std::vector<internal::RungTrace> Flow::traces() const {
  const std::vector<Rung>& ladder = promise_->ladder();
  auto traces = internal::trace_rungs(ladder, attempts_, in_cache_.get(), signals_);
  for (std::size_t i = 0; i < ladder.size(); ++i) {
    if (ladder[i].bound) {
      traces[i].asked = true;   // asked for nothing, so at once (Flow::read_bound)
      if (!bound_) continue;
      traces[i].raw = bound_->raw;
      traces[i].bound = bound_->features;
      chat::Answer& answer = traces[i].answer.emplace();
      answer.content = bound_->answer;
      answer.finish_reason = "stop";
      continue;
    }
    if (!ladder[i].learns()) continue;
    traces[i].asked = true;   // there is nobody to ask: the keeper judges the row by any fit
    if (!learned_ || !learned_->fit) continue;
    const auto& said = learned_->says.of(internal::kind_of(ladder[i].stage));
    if (!said.usable) continue;
    chat::Answer& answer = traces[i].answer.emplace();
    answer.content = learned_->fit->answer(said.label);
    answer.finish_reason = "stop";
  }
  return traces;
}

std::optional<Usage> Flow::decision_usage() const {
  if (cached_) return cached_->usage;
  for (const Attempt& attempt : attempts_) {
    if (attempt.served) return attempt.usage;
  }
  return std::nullopt;
}

void Flow::start_labels() {
  if (!coin_heads_ || !decision_.served_by || !has_cheap_stage()) return;
  constexpr double kTeacherTwice = 0.05;   // of labelled requests: the teacher's own noise
  auto job = std::make_unique<internal::LabelJob>();
  job->rungs = traces();
  // Under a threshold by hand nothing is learned from signals: they are not paid for.
  for (std::size_t i = 0; i < job->rungs.size(); ++i) job->rungs[i].asked |= promise_->by_hand() && (promise_->ladder()[i].signal || promise_->ladder()[i].examples);
  for (const Attempt& attempt : attempts_) {
    if (attempt.stage != Stage::kTeacher || !attempt.ok()) continue;
    if (auto answer = answer_of(attempt)) job->teacher = std::move(*answer);
  }
  job->teacher_twice = deps_.random.coin(kTeacherTwice);
  const bool calls = !job->teacher || job->teacher_twice || std::any_of(job->rungs.begin(), job->rungs.end(), [](const auto& rung) { return !rung.asked; });

  // Set aside before anything is paid: the teacher at its price for this request, students at theirs for as many tokens.
  const std::optional<Usage> usage = decision_usage();
  const auto price_of = [&](std::size_t model) { return usage ? policy_.models[model].cost(*policy_.prices, *usage, deps_.reactor.clock().wall()) : std::nullopt; };
  Picousd estimate;
  const auto add = [&](std::optional<Picousd> price) { estimate = estimate + price.value_or(Picousd{0}); };
  if (!job->teacher) add(decision_.teacher_cost);
  if (job->teacher_twice) add(decision_.teacher_cost);
  for (std::size_t i = 0; i < job->rungs.size(); ++i) {
    const Rung& rung = promise_->ladder()[i];
    if (job->rungs[i].asked) continue;
    if (rung.examples && usage) {
      Usage longer = *usage;
      longer.input += rung.examples->tokens;
      add(policy_.models[rung.model].cost(*policy_.prices, longer, deps_.reactor.clock().wall()));
    } else if (!rung.signal) {
      add(price_of(rung.model));
    } else if (usage) {
      add(internal::foreseen_cost(policy_, rung, *usage, deps_.reactor.clock().wall()));
    }
  }
  const bool judged = internal::compares_by_judge(task_);
  if (judged && usage) {
    // Answers that are not here yet, too; most need no judge, for equal texts agree.
    const auto pair = internal::foreseen_verdict_cost(policy_, Policy::judge_of(*route_.cascade, *task_), *usage, deps_.reactor.clock().wall());
    for (std::size_t i = 0; i < job->rungs.size(); ++i) add(promise_->ladder()[i].signal ? std::nullopt : pair);
    if (job->teacher_twice) add(pair);
  }
  job->estimate = estimate;
  if ((calls || judged) && (engine_.off_path_.size() >= deps_.max_off_path ||
                !deps_.label_budget.reserve(route_.cascade->label_budget_per_day, job->estimate, deps_.reactor.clock().wall()))) {
    deps_.counters.labels_skipped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const bool shadow = mode_ == Mode::kShadow;
  job->runtime = runtime_;
  job->cascade = route_.cascade;
  job->task = task_;
  job->promise = promise_;
  job->view = view_;
  job->request_id = decision_.request_id;
  job->client_key = std::string(context_.client_key);
  job->body = std::string(context_.body);
  job->source = shadow ? "shadow" : "coin";
  job->next_attempt = static_cast<std::uint8_t>(attempts_.size());
  job->keep_bodies = policy_.keep_bodies;
  job->scope = lesson_scope();
  job->vector = vector_;
  job->key = std::string(context_.key_name);
  job->examples = std::move(examples_);
  job->row = row_frame(shadow ? calibration::LabelSource::kShadow : calibration::LabelSource::kCoin);
  // What the exact test has drawn is its alone. Under a threshold by hand there is no test.
  const bool of_test = test_row_ && !promise_->by_hand();
  if (deps_.lessons != nullptr && policy_.keep_bodies && !of_test) {
    job->lesson = lesson_frame(decision_.escalated ? lessons::Provenance::kEscalation : lessons::Provenance::kSpotCheck);
    job->served_rung = decision_.rung;
  }
  engine_.off_path_.spawn(internal::run_label_job(&engine_.deps_, &deps_.label_budget, std::move(job), engine_.off_path_.token()));
}

lessons::LessonOffer Flow::lesson_frame(lessons::Provenance provenance) const {
  lessons::LessonOffer offer;
  offer.request_id = decision_.request_id;
  offer.scope = lesson_scope();
  offer.input_hash = input_hash();
  offer.provenance = provenance;
  offer.teacher_model = policy_.models[route_.cascade->teacher].config.name;
  offer.teacher_cost = decision_.teacher_cost;
  offer.student_confidence = decision_.confidence;
  return offer;
}

/// An escalation teaches what the student did not know. Where the coin fell, the label job offers it instead.
void Flow::offer_lesson() {
  if (deps_.lessons == nullptr || coin_heads_ || !policy_.keep_bodies || !decision_.escalated || decision_.served_by != Stage::kTeacher) return;
  const auto teacher = std::find_if(attempts_.begin(), attempts_.end(), [](const Attempt& a) { return a.stage == Stage::kTeacher && a.ok(); });
  if (teacher == attempts_.end()) return;
  const auto answer = answer_of(*teacher);
  if (!answer) return;
  lessons::LessonOffer offer = lesson_frame(lessons::Provenance::kEscalation);
  if (!internal::complete_lesson(offer, promise_->ladder(), traces(), "", task_, *answer)) return;
  offer.body = context_.body;
  deps_.lessons->offer(std::move(offer));
}

/// What the teacher's answer to an unsure request teaches about confidence; it is no test, for unsure requests are no sample.
void Flow::offer_escalation() {
  if (coin_heads_ || !decision_.escalated || promise_->by_hand() || decision_.served_by != Stage::kTeacher) return;
  const auto teacher = std::find_if(attempts_.begin(), attempts_.end(), [](const Attempt& a) { return a.stage == Stage::kTeacher && a.ok(); });
  if (teacher == attempts_.end()) return;
  const auto reference = answer_of(*teacher);
  if (!reference) return;
  calibration::LabelledRow row = row_frame(calibration::LabelSource::kEscalation);
  auto outcomes = internal::judge_rungs(promise_->ladder(), traces(), task_, *reference, context_.body.size());
  if (!outcomes) return;   // a judge would have to be paid for a row that is no sample
  row.rungs = std::move(*outcomes);
  internal::teach(row, *reference);
  promise_->offer(decision_.request_id, std::move(row));
}

}  // namespace understudy::cascade
