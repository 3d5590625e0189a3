#include "cascade/internal/flow.h"

#include <algorithm>

namespace understudy::cascade {

using internal::Delivery;

namespace {

void bump(std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

Flow::Flow(Engine& engine, RequestContext context, ClientSink& sink)
    : engine_(engine), deps_(engine.deps_), runtime_(engine.runtime_), policy_(*runtime_->policy), context_(std::move(context)), sink_(sink) {
  decision_.request_id = std::move(context_.request_id);
  cap_.limit = context_.max_cost;
}

net::Awaitable<void> Flow::run() {
  bump(deps_.counters.requests);
  engine_.retry_budget_.on_request();
  auto request = chat::parse_chat_request(context_.body);
  if (!request) {
    co_await refuse(request.error());
    co_return;
  }
  request_ = std::move(*request);
  auto route = resolve_model(policy_, request_.model);
  if (!route) {
    co_await refuse(route.error());
    co_return;
  }
  route_ = *route;
  mode_ = context_.mode.value_or(route_.mode);
  task_name_ = context_.task.empty() ? std::string_view(request_.task) : context_.task;
  task_ = policy_.find_task(task_name_, request_.model);
  if (task_ != nullptr) task_name_ = task_->name;
  decision_.task = task_name_;
  if (request_.stream) {
    bump(deps_.counters.streamed);
    sink_.expect_stream(decision_);
  }

  const CascadeConfig& cascade = *route_.cascade;
  // What is learnt of one tenant's requests never answers another's.
  const bool apart = learns(cascade, task_) && !context_.tenant.empty();
  promise_ = apart ? engine_.promise_of(policy_, cascade, task_, tenant_task(task_name_, context_.tenant)) : engine_.promise_of(policy_, cascade, task_, task_name_);
  view_ = promise_->view();
  const bool pinned = (task_ != nullptr && task_->pin_teacher) || promise_->pinned();
  if (route_.direct_model && !context_.mode) {
    const Stage stage = *route_.direct_model == cascade.student ? Stage::kStudent : Stage::kTeacher;
    co_await single(*route_.direct_model, stage, reason::kDirect);
  } else if (mode_ == Mode::kOff || mode_ == Mode::kTeacher) {
    co_await single(cascade.teacher, Stage::kTeacher, reason::kMode);
  } else if (request_.bypass != chat::Bypass::kNone) {
    co_await single(cascade.teacher, Stage::kTeacher, chat::bypass_reason(request_.bypass));
  } else if (pinned) {
    co_await single(cascade.teacher, Stage::kTeacher, reason::kPinned);
  } else if (!cascade.student && (!has_cheap_stage() || mode_ == Mode::kStudent)) {
    co_await single(cascade.teacher, Stage::kTeacher, reason::kNoStudent);
  } else if (mode_ == Mode::kStudent) {
    co_await student_only();
  } else if (mode_ == Mode::kShadow) {
    toss_coin();
    co_await single(cascade.teacher, Stage::kTeacher, reason::kShadow);
    if (decision_.served_by) co_await read_learned();
    if (decision_.served_by) co_await read_bound();
    if (!forbidden()) start_labels();
  } else {
    toss_coin();
    co_await live();
    if (forbidden()) {
      if (coin_heads_) bump(deps_.counters.labels_skipped);
      co_return;
    }
    const bool teaches = decision_.served_by && (coin_heads_ || decision_.escalated);
    if (teaches) co_await read_learned();
    if (teaches) co_await read_bound();
    start_labels();
    offer_escalation();
    offer_lesson();
  }
}

net::Awaitable<void> Flow::live() {
  look_into_cache();
  const bool decided = promise_->by_hand() || view_->policy;
  if (!decided) {
    co_await single(route_.cascade->teacher, Stage::kTeacher, reason::kNoCalibration);
    co_return;
  }
  if (view_->policy && !calibration::covers_prompt(*view_->policy, request_.prompt_hash)) {
    observe();
    co_await single(route_.cascade->teacher, Stage::kTeacher, reason::kNewPrompt);
    co_return;
  }
  decision_.reason = reason::kBelowThreshold;
  const bool served = co_await climb();
  const bool asked = std::any_of(attempts_.begin(), attempts_.end(), [](const Attempt& a) { return a.stage == Stage::kStudent; });
  if (asked && !sink_.client_gone()) promise_->escalations().add(!served);
  observe();
  if (!served) co_await escalate(decision_.reason);
}

bool Flow::has_cheap_stage() const { return route_.cascade->student || learns(*route_.cascade, task_) || (task_ != nullptr && task_->bound); }

net::Awaitable<void> Flow::escalate(std::string_view why) {
  decision_.escalated = true;
  decision_.reason = why;
  label_source_ = coin_heads_ ? "coin" : "escalation";
  co_await ask_with_retries(Stage::kTeacher, route_.cascade->teacher);
  Attempt& teacher = attempts_.back();
  if (!teacher.error && teacher.status == 200) {
    co_await serve_attempt(teacher);
    co_return;
  }
  if (Policy::on_teacher_failure(*route_.cascade, task_) == OnTeacherFailure::kStudent) {
    // The strongest student that answered; outside the promise, and said so.
    const auto is_answer = [&](const Attempt& a) { return a.ok() && a.rung && !promise_->ladder()[*a.rung].signal; };
    const auto student = std::find_if(attempts_.rbegin(), attempts_.rend(), is_answer);
    if (student != attempts_.rend()) {
      decision_.reason = teacher.forbidden() ? reason::kBudget : reason::kTeacherError;
      co_await serve_attempt(*student);
      co_return;
    }
  }
  if (!client_left()) co_await serve_failure(teacher);
}

net::Awaitable<void> Flow::student_only() {
  decision_.reason = reason::kMode;
  Attempt& student = new_attempt(Stage::kStudent, *route_.cascade->student);
  const auto calls = subject();
  co_await internal::call_model(calls, student, request_.stream ? Delivery::kCollect : Delivery::kPlain);
  for (std::size_t i = 0; i < promise_->ladder().size(); ++i) {
    const Rung& rung = promise_->ladder()[i];
    if (rung.stage == Stage::kStudent && !rung.signal && !rung.examples && rung.model == student.model) student.rung = i;
  }
  if (student.rung) student.confidence = confidence_of(student, *student.rung);
  decision_.confidence = student.confidence;
  if (student.ok()) {
    co_await serve_attempt(student);
  } else if (!client_left()) {
    co_await serve_failure(student);
  }
}

net::Awaitable<void> Flow::single(std::size_t model, Stage stage, std::string_view why) {
  decision_.reason = why;
  co_await ask_with_retries(stage, model);
  Attempt& attempt = attempts_.back();
  decision_.confidence = attempt.confidence;
  if (!attempt.error && attempt.status == 200) {
    co_await serve_attempt(attempt);
    co_return;
  }
  const bool stand_in = stage == Stage::kTeacher && mode_ == Mode::kLive && Policy::on_teacher_failure(*route_.cascade, task_) == OnTeacherFailure::kStudent &&
                        route_.cascade->student && why != reason::kPinned;
  if (stand_in && !client_left()) {
    // Nothing is proven, but the configuration prefers an unproven answer to none: asked, marked, outside the promise.
    Attempt& student = new_attempt(Stage::kStudent, *route_.cascade->student);
    const auto calls = subject();
    co_await internal::call_model(calls, student, request_.stream ? Delivery::kCollect : Delivery::kPlain);
    if (student.ok()) {
      decision_.reason = attempt.forbidden() ? reason::kBudget : reason::kTeacherError;
      decision_.confidence = student.confidence;
      co_await serve_attempt(student);
      co_return;
    }
  }
  if (!recorded_ && !client_left()) co_await serve_failure(attempt);
}

net::Awaitable<void> Flow::ask_with_retries(Stage stage, std::size_t model) {
  auto calls = subject();
  calls.deadline = net::Deadline::after_ms(deps_.reactor.now(), policy_.models[model].config.timeout_ms);  // of all tries together
  for (int tries = 0;; ++tries) {
    if (hedge_ && hedge_->running()) {
      co_await hedge_->wait();
      const auto begun = std::find_if(attempts_.begin(), attempts_.end(), [this](const Attempt& a) { return &a == &hedge_->attempt(); });
      attempts_.splice(attempts_.end(), attempts_, begun);
    } else {
      Attempt& fresh = new_attempt(stage, model);
      co_await internal::call_model(calls, fresh, request_.stream ? Delivery::kOpen : Delivery::kPlain);
    }
    Attempt& attempt = attempts_.back();
    if (attempt.ok() || sink_.client_gone()) co_return;
    const auto wait_ms = retry_wait_ms(attempt, tries, deps_.random);
    // Where this failure has opened the circuit, it says more than the refusal that a retry would get.
    if (!wait_ms || policy_.models[model].config.state->breaker.rest_ms(deps_.reactor.now()) > 0) co_return;
    if (earlier(calls.deadline, calls.client_deadline).passed(deps_.reactor.now().plus_ms(*wait_ms))) co_return;
    if (!engine_.retry_budget_.take(deps_.reactor.now())) co_return;
    if (!co_await net::sleep_for(deps_.reactor, *wait_ms, sink_.cancel_token())) co_return;
  }
}

bool Flow::client_left() {
  if (!sink_.client_gone()) return false;
  settle_decision(nullptr);
  decision_.served_by.reset();
  decision_.reason = reason::kClientGone;
  record(error_info(ErrorKind::kCancelled).http_status, error_info(ErrorKind::kCancelled).label);
  return true;
}

net::Awaitable<void> Flow::refuse(const Error& error) {
  // Nobody was asked, and the teacher would not have been either.
  decision_.cost = decision_.teacher_cost = Picousd{0};
  record(error.http_status(), error_info(error.kind).label);
  auto sent = co_await sink_.fail(decision_, error);
  if (!sent) bump(deps_.counters.clients_gone);
}

void Flow::toss_coin() {
  if (mode_ == Mode::kShadow) {
    coin_probability_ = 1;
    coin_heads_ = true;
  } else {
    const double by_config = task_ != nullptr && task_->spot_check ? *task_->spot_check : route_.cascade->spot_check;
    coin_probability_ = promise_->by_hand() ? by_config : view_->coin;
    coin_heads_ = deps_.random.coin(coin_probability_);
    if (coin_heads_) bump(deps_.counters.coins);
  }
  test_row_ = coin_heads_ && deps_.random.coin(view_->test_share);
}

void Flow::look_into_cache() {
  const CascadeConfig& cascade = *route_.cascade;
  if (!cascade.cache) return;
  chat::append_canonical(request_, context_.body, canonical_);
  cache_scope_ = std::string(context_.tenant) + '\n' + cascade.name + '\n' + std::string(task_name_);
  cache_key_ = AnswerCache::Key(cache_scope_, canonical_);
  keyed_ = true;
  in_cache_ = deps_.cache.find(cache_key_, deps_.reactor.now(), cascade.cache_max_age_ms);
  // A stream lasts: its canonical text is written once more where its answer is to be remembered.
  if (request_.stream) std::string().swap(canonical_);
}

void Flow::observe() {
  if (!view_->counts) return;
  InputCounts& counts = *view_->counts;
  const auto one = [](std::atomic<std::uint64_t>& n) { n.fetch_add(1, std::memory_order_relaxed); };
  one(counts.requests);
  one(counts.bytes[view_->baseline->bytes.bin(static_cast<double>(context_.body.size()))]);
  if (!calibration::covers_prompt(*view_->policy, request_.prompt_hash)) one(counts.unknown_prompts);
  const std::size_t rung = view_->baseline->rung;
  const Rung& spec = promise_->ladder()[rung];
  if (spec.bound) {
    if (bound_) one(counts.confidence[view_->baseline->confidence.bin(view_->policy->rungs[rung].model.probability(bound_->raw, bound_->features))]);
    return;
  }
  if (spec.learns()) {
    const auto confidence = learned_ ? internal::learned_confidence(*view_->policy, rung, spec.stage, *learned_) : std::nullopt;
    if (confidence) one(counts.confidence[view_->baseline->confidence.bin(*confidence)]);
    return;
  }
  for (const Attempt& attempt : attempts_) {
    if (attempt.rung != spec.of || !attempt.ok()) continue;
    std::optional<double> confidence;
    if (spec.signal) {
      const auto read = signals_.find(rung);
      if (read != signals_.end() && read->second.usable) confidence = internal::signal_confidence(*view_->policy, rung, attempt, read->second, context_.body.size());
    } else if (attempt.features) {
      confidence = view_->policy->rungs[rung].model.probability(attempt.raw_confidence, student_features(attempt.features, context_.body.size()));
    }
    if (confidence) one(counts.confidence[view_->baseline->confidence.bin(*confidence)]);
    break;
  }
}

bool Flow::forbidden() const {
  return std::any_of(attempts_.begin(), attempts_.end(), [](const Attempt& attempt) { return attempt.forbidden(); });
}

internal::CallSubject Flow::subject() {
  return internal::CallSubject{deps_,           *runtime_,       request_, context_.body, decision_.request_id, context_.client_key, context_.traceparent,
                               sink_.cancel_token(), engine_.series_, engine_.accumulator_, {}, context_.deadline, {context_.key_name, task_name_, {}}, &cap_};
}

internal::CallSubject Flow::cheap_subject() {
  internal::CallSubject calls = subject();
  if (!context_.deadline.is_never()) calls.client_deadline.at.ns = context_.started.ns + (context_.deadline.at.ns - context_.started.ns) / 2;
  return calls;
}

Attempt& Flow::new_attempt(Stage stage, std::size_t model) {
  Attempt& attempt = attempts_.emplace_back();
  attempt.stage = stage;
  attempt.model = model;
  attempt.number = static_cast<std::uint8_t>(attempts_.size() - 1);
  return attempt;
}

std::shared_ptr<TaskPromise> Engine::promise_of(const Policy& policy, const CascadeConfig& cascade, const TaskConfig* config, std::string_view task) {
  auto& known = tasks_[&cascade];
  if (const auto found = known.find(task); found != known.end() && !found->second->replaced()) return found->second;
  std::shared_ptr<TaskPromise> promise;
  if (deps_.promises != nullptr) {
    promise = deps_.promises->task(policy, cascade, config, task);
  } else {
    auto ladder = make_ladder(policy, cascade, config);
    promise = std::make_shared<TaskPromise>(promise_key(cascade.name, task), std::string(task), std::move(ladder), "", Policy::by_hand(cascade, config));
  }
  if (known.size() < 4'096) known.insert_or_assign(std::string(task), promise);  // clients name tasks: they must not fill the memory
  return promise;
}

net::Awaitable<void> Engine::handle(RequestContext context, ClientSink& sink) {
  Flow flow(*this, std::move(context), sink);
  co_await flow.run();
}

net::Awaitable<void> Engine::shut_down(std::int64_t grace_ms) {
  const net::Deadline deadline = net::Deadline::after_ms(deps_.reactor.clock().mono(), grace_ms);
  while (off_path_.size() > 0 && !deadline.passed(deps_.reactor.clock().mono())) {
    co_await net::sleep_for(deps_.reactor, 20);
  }
  off_path_.cancel();
  co_await off_path_.wait();
}

}  // namespace understudy::cascade
