// Who answers of the cheap rungs: the way up the ladder.
#include <algorithm>

#include "cascade/internal/flow.h"

namespace understudy::cascade {

using internal::Delivery;

net::Awaitable<bool> Flow::climb() {
  const std::vector<Rung>& ladder = promise_->ladder();
  if (view_->policy) decision_.promise_version = view_->policy->version;
  for (std::size_t i = 0; i < ladder.size(); ++i) {
    const auto threshold = threshold_of(i);
    if (!threshold) continue;
    if (ladder[i].stage == Stage::kCache) {
      if (!in_cache_) continue;
      const double confidence = view_->policy ? view_->policy->rungs[i].model.probability(1, {}) : 1;
      if (confidence < *threshold) continue;
      cached_ = in_cache_;
      decision_.served_by = Stage::kCache;
      decision_.rung = ladder[i].name;
      decision_.model = cached_->model;
      decision_.confidence = view_->policy ? confidence : cached_->confidence;
      decision_.threshold = threshold;
      decision_.reason = reason::kCacheHit;
      co_await serve_cached(*cached_);
      co_return true;
    }
    if (ladder[i].bound) {
      co_await read_bound();
      if (co_await left_while_climbing()) co_return true;
      if (!try_bound(i, *threshold)) continue;
      co_await serve_cached(*cached_);
      co_return true;
    }
    if (ladder[i].learns()) {
      co_await read_learned();
      if (co_await left_while_climbing()) co_return true;
      if (!try_learned(i, *threshold)) continue;
      co_await serve_cached(*cached_);
      co_return true;
    }
    const bool done = ladder[i].signal ? co_await try_signal(i, *threshold) : co_await try_student(i, *threshold);
    if (done) co_return true;
  }
  co_return false;
}

net::Awaitable<void> Flow::read_vector() {
  if (vector_) co_return;
  std::string text = internal::embedded_text(context_.body);
  vector_ = co_await internal::embed_text(*deps_.encoder, std::move(text), deps_.reactor);
}

net::Awaitable<void> Flow::read_learned() {
  if (learned_ || !learns(*route_.cascade, task_) || promise_->by_hand()) co_return;
  if (!engine_.learned_) engine_.learned_ = std::make_shared<internal::LearnedReader>();
  specialists::RowInput read = engine_.learned_->input_of(request_, context_.body);
  if (deps_.encoder != nullptr && !read.terms.empty()) {
    co_await read_vector();
    if (!vector_->empty()) {
      read.vector = retrieval::pack_vector(*vector_);
      read.encoder = deps_.encoder->key();
    }
  }
  learned_ = engine_.learned_->read(read, view_->fit);
}

bool Flow::try_learned(std::size_t rung, double threshold) {
  const Rung& spec = promise_->ladder()[rung];
  const auto confidence = internal::learned_confidence(*view_->policy, rung, spec.stage, *learned_);
  if (!confidence) return false;
  decision_.confidence = confidence;
  decision_.threshold = threshold;
  if (*confidence < threshold) return false;
  const std::string& answer = learned_->fit->answer(learned_->says.of(internal::kind_of(spec.stage)).label);
  cached_ = std::make_shared<const CachedAnswer>(internal::learned_completion(answer, decision_.request_id, context_.body, spec.stage, spec.stage == Stage::kKnn ? "neighbours" : "online", deps_.reactor.clock().wall()));
  decision_.served_by = spec.stage;
  decision_.rung = spec.name;
  decision_.model = cached_->model;
  decision_.reason = reason::kConfident;
  return true;
}

net::Awaitable<Attempt*> Flow::ask_student(std::size_t rung) {
  const Rung& spec = promise_->ladder()[rung];
  const Delivery delivery = request_.stream ? Delivery::kCollect : Delivery::kPlain;
  const internal::ShownExamples* examples = nullptr;
  if (spec.examples) {
    if (internal::wants_vector(deps_, spec, request_)) co_await read_vector();
    const lessons::LessonScope scope = lesson_scope();
    const internal::ShownWith with{scope, request_, context_.body, input_hash(), vector_};
    auto shown = internal::show_examples(deps_, spec, with, 0);
    if (!shown) co_return nullptr;
    examples = &(examples_[rung] = std::move(*shown));
    if (!coin_heads_) internal::record_examples(deps_, decision_.request_id, *examples, std::nullopt);
  }
  if (!hedge_) start_hedge();
  Attempt& student = new_attempt(Stage::kStudent, spec.model);
  student.rung = rung;
  auto calls = cheap_subject();
  auto early = early_reject(rung);
  if (early) calls.early = &*early;
  if (examples != nullptr) {
    co_await internal::call_with_examples(calls, *examples, student, delivery);
  } else {
    co_await internal::call_model(calls, student, delivery);
  }
  student.confidence = confidence_of(student, rung);
  co_return &student;
}

net::Awaitable<bool> Flow::try_student(std::size_t rung, double threshold) {
  Attempt* const asked = co_await ask_student(rung);
  if (asked == nullptr) co_return false;
  Attempt& student = *asked;
  decision_.confidence = student.confidence;
  decision_.threshold = threshold;
  if (co_await left_while_climbing()) co_return true;  // nobody waits for the teacher
  if (student.cut_short) {
    decision_.reason = reason::kBelowThreshold;
  } else if (!student.ok()) {
    decision_.reason = reason::kStudentError;
  } else if (!student.confidence) {
    decision_.reason = reason::kNoSignal;
  } else if (*student.confidence < threshold) {
    decision_.reason = reason::kBelowThreshold;
  } else {
    decision_.reason = reason::kConfident;
    decision_.rung = promise_->ladder()[rung].name;
    co_await serve_attempt(student);
    co_return true;
  }
  co_return false;
}

net::Awaitable<bool> Flow::try_signal(std::size_t rung, double threshold) {
  const Rung& spec = promise_->ladder()[rung];
  const auto asked = std::find_if(attempts_.begin(), attempts_.end(), [&](const Attempt& a) { return a.rung == spec.of; });
  Attempt* const judged = asked != attempts_.end() ? &*asked : co_await ask_student(spec.of);
  if (co_await left_while_climbing()) co_return true;
  if (!judged->ok()) {
    decision_.reason = reason::kStudentError;
    co_return false;
  }
  const auto answer = answer_of(*judged);
  if (!answer) co_return false;
  const auto calls = cheap_subject();
  const std::function<Attempt&()> next = [this, &spec, rung]() -> Attempt& {
    Attempt& attempt = new_attempt(Stage::kStudent, spec.model);
    attempt.rung = rung;
    return attempt;
  };
  const SignalReading reading = co_await internal::read_signal(calls, spec, *answer, task_, next);
  signals_[rung] = reading;
  if (co_await left_while_climbing()) co_return true;
  if (!reading.usable) co_return false;
  const double confidence = internal::signal_confidence(*view_->policy, rung, *judged, reading, context_.body.size());
  decision_.confidence = confidence;
  decision_.threshold = threshold;
  if (confidence < threshold) {
    decision_.reason = reason::kBelowThreshold;
    co_return false;
  }
  decision_.reason = reason::kConfident;
  decision_.rung = spec.name;
  judged->confidence = confidence;
  co_await serve_attempt(*judged);
  co_return true;
}

net::Awaitable<bool> Flow::left_while_climbing() {
  if (!sink_.client_gone()) co_return false;
  if (hedge_ && hedge_->running()) co_await hedge_->drop();
  co_return client_left();
}

void Flow::start_hedge() {
  const auto chance = promise_->escalations().value();
  if (!route_.cascade->hedge_above || !chance || *chance <= *route_.cascade->hedge_above) return;
  if (cap_.limit) return;   // who limits what a request may cost does not want it to pay for two answers
  const std::size_t model = route_.cascade->teacher;
  auto calls = subject();
  calls.deadline = net::Deadline::after_ms(deps_.reactor.now(), policy_.models[model].config.timeout_ms);
  deps_.counters.hedges.fetch_add(1, std::memory_order_relaxed);
  hedge_ = std::make_unique<internal::Hedge>(calls, new_attempt(Stage::kTeacher, model), request_.stream ? Delivery::kOpen : Delivery::kPlain);
}

std::optional<double> Flow::threshold_of(std::size_t rung) const {
  if (promise_->ladder()[rung].trial) return std::nullopt;
  if (view_->policy) return view_->policy->rungs[rung].threshold;
  if (!promise_->by_hand() || promise_->ladder()[rung].signal || promise_->ladder()[rung].examples || promise_->ladder()[rung].learns()) return std::nullopt;
  return promise_->ladder()[rung].stage == Stage::kCache ? 0 : *promise_->by_hand();
}

std::optional<internal::EarlyReject> Flow::early_reject(std::size_t rung) const {
  // A coin's answers are labels: they are read to their end.
  const auto threshold = threshold_of(rung);
  if (!promise_->ladder()[rung].early || coin_heads_ || !threshold || Policy::on_teacher_failure(*route_.cascade, task_) == OnTeacherFailure::kStudent) return std::nullopt;
  return internal::EarlyReject(*policy_.confidence, view_->policy ? &view_->policy->rungs[rung].model : nullptr, *threshold);
}

std::optional<double> Flow::confidence_of(const Attempt& attempt, std::size_t rung) const {
  if (!view_->policy || !attempt.features) return attempt.confidence;
  const StudentFeatures features = student_features(attempt.features, context_.body.size());
  return view_->policy->rungs[rung].model.probability(attempt.raw_confidence, features);
}

}  // namespace understudy::cascade
