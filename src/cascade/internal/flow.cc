#include "cascade/internal/flow.h"

namespace understudy::cascade {

using internal::Delivery;

namespace {

void bump(std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

Flow::Flow(Engine& engine, RequestContext context, ClientSink& sink)
    : engine_(engine), deps_(engine.deps_), runtime_(engine.runtime_), policy_(*runtime_->policy), context_(std::move(context)), sink_(sink) {
  decision_.request_id = std::move(context_.request_id);
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
  const bool pinned = task_ != nullptr && task_->pin_teacher;
  if (route_.direct_model && !context_.mode) {
    const Stage stage = *route_.direct_model == cascade.student ? Stage::kStudent : Stage::kTeacher;
    co_await single(*route_.direct_model, stage, reason::kDirect);
  } else if (mode_ == Mode::kOff || mode_ == Mode::kTeacher) {
    co_await single(cascade.teacher, Stage::kTeacher, reason::kMode);
  } else if (request_.bypass != chat::Bypass::kNone) {
    co_await single(cascade.teacher, Stage::kTeacher, chat::bypass_reason(request_.bypass));
  } else if (pinned) {
    co_await single(cascade.teacher, Stage::kTeacher, reason::kPinned);
  } else if (!cascade.student) {
    co_await single(cascade.teacher, Stage::kTeacher, reason::kNoStudent);
  } else if (mode_ == Mode::kStudent) {
    co_await student_only();
  } else if (mode_ == Mode::kShadow) {
    toss_coin();
    co_await single(cascade.teacher, Stage::kTeacher, reason::kShadow);
    start_labels();
  } else {
    toss_coin();
    co_await live();
    start_labels();
  }
}

net::Awaitable<void> Flow::live() {
  const CascadeConfig& cascade = *route_.cascade;
  decision_.threshold = threshold();
  if (cascade.cache) {
    chat::append_canonical(request_, context_.body, canonical_);
    cache_scope_ = std::string(context_.tenant) + '\n' + cascade.name + '\n' + std::string(task_name_);
    cache_key_ = AnswerCache::Key(cache_scope_, canonical_);
    cached_ = deps_.cache.find(cache_key_, deps_.reactor.now(), cascade.cache_max_age_ms);
    if (cached_) {
      decision_.served_by = Stage::kCache;
      decision_.model = cached_->model;
      decision_.confidence = cached_->confidence;
      decision_.reason = reason::kCacheHit;
      co_await serve_cached(*cached_);
      co_return;
    }
  }
  Attempt& student = new_attempt(Stage::kStudent, *cascade.student);
  const auto calls = subject();
  co_await internal::call_model(calls, student, request_.stream ? Delivery::kCollect : Delivery::kPlain);
  decision_.confidence = student.confidence;
  if (client_left()) co_return;  // nobody waits for the teacher
  if (!student.ok()) {
    co_await escalate(reason::kStudentError);
  } else if (!student.confidence) {
    co_await escalate(reason::kNoSignal);
  } else if (*student.confidence < threshold()) {
    co_await escalate(reason::kBelowThreshold);
  } else {
    decision_.reason = reason::kConfident;
    co_await serve_attempt(student);
  }
}

net::Awaitable<void> Flow::escalate(std::string_view why) {
  decision_.escalated = true;
  decision_.reason = why;
  label_source_ = coin_heads_ ? "coin" : "escalation";
  co_await ask_with_retries(Stage::kTeacher, route_.cascade->teacher);
  Attempt& student = attempts_.front();
  Attempt& teacher = attempts_.back();
  if (!teacher.error && teacher.status == 200) {
    co_await serve_attempt(teacher);
  } else if (route_.cascade->on_teacher_failure == OnTeacherFailure::kStudent && student.ok()) {
    decision_.reason = reason::kTeacherError;
    co_await serve_attempt(student);
  } else if (!client_left()) {
    co_await serve_failure(teacher);
  }
}

net::Awaitable<void> Flow::student_only() {
  decision_.reason = reason::kMode;
  Attempt& student = new_attempt(Stage::kStudent, *route_.cascade->student);
  const auto calls = subject();
  co_await internal::call_model(calls, student, request_.stream ? Delivery::kCollect : Delivery::kPlain);
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
  } else if (!client_left()) {
    co_await serve_failure(attempt);
  }
}

net::Awaitable<void> Flow::ask_with_retries(Stage stage, std::size_t model) {
  auto calls = subject();
  calls.deadline = net::Deadline::after_ms(deps_.reactor.now(), policy_.models[model].config.timeout_ms);  // of all tries together
  for (int tries = 0;; ++tries) {
    Attempt& attempt = new_attempt(stage, model);
    co_await internal::call_model(calls, attempt, request_.stream ? Delivery::kOpen : Delivery::kPlain);
    if (attempt.ok() || sink_.client_gone()) co_return;
    const auto wait_ms = retry_wait_ms(attempt, tries, deps_.random);
    if (!wait_ms || earlier(calls.deadline, calls.client_deadline).passed(deps_.reactor.now().plus_ms(*wait_ms))) co_return;
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
    return;
  }
  coin_probability_ = task_ != nullptr && task_->spot_check ? *task_->spot_check : route_.cascade->spot_check;
  coin_heads_ = deps_.random.coin(coin_probability_);
  if (coin_heads_) bump(deps_.counters.coins);
}

double Flow::threshold() const {
  if (task_ != nullptr && task_->escalate_below) return *task_->escalate_below;
  return route_.cascade->escalate_below;
}

internal::CallSubject Flow::subject() {
  return internal::CallSubject{deps_,           *runtime_,       request_, context_.body, decision_.request_id, context_.client_key, context_.traceparent,
                               sink_.cancel_token(), engine_.series_, engine_.accumulator_, {}, context_.deadline};
}

Attempt& Flow::new_attempt(Stage stage, std::size_t model) {
  Attempt& attempt = attempts_.emplace_back();
  attempt.stage = stage;
  attempt.model = model;
  attempt.number = static_cast<std::uint8_t>(attempts_.size() - 1);
  return attempt;
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
