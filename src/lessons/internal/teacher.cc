// Worker: the teacher is asked about lessons, the most valuable first.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "chat/answer.h"
#include "lessons/internal/make_lesson.h"
#include "lessons/internal/worker.h"
#include "lessons/teaching.h"

namespace understudy::lessons::internal {
namespace {

constexpr std::int64_t kDayUs = 86'400'000'000;
constexpr std::size_t kMostReplyBytes = std::size_t{1} << 20;
constexpr std::size_t kMostInstructions = 32 * 1024;
constexpr std::size_t kMostPrompts = 64;   ///< whose instructions are remembered
/// Tokens that a teacher may write: what is set aside for a call; what it really wrote is settled.
constexpr std::int64_t kForeseenOutput = 1'500;

}  // namespace

net::Awaitable<void> Worker::teach_forever() {
  while (!stop_.cancelled()) {
    take_in();
    take_corrections();
    const auto next = choose();
    {
      const std::lock_guard lock(report_mutex_);
      report_.waiting = waiting_.size();
    }
    if (next) {
      const bool agreed = waiting_.at(*next).agreed_by_teacher;
      if (agreed) {
        co_await teach(*next);
      } else {
        co_await verify(*next);
      }
      continue;
    }
    for (auto& done : std::exchange(settlers_, {})) done.set_value();
    co_await net::sleep_for(reactor_, options_.tick_ms, stop_.token());
  }
}

std::optional<std::string> Worker::choose() {
  const MonoTime now = clock_.mono();
  const std::int64_t today = clock_.wall().us / kDayUs;
  const Lesson* best = nullptr;
  bool broke = false, paused = false;
  std::vector<std::pair<std::string, std::string>> never;
  for (const auto& [id, lesson] : waiting_) {
    if (std::string why = why_not_taught(lesson); !why.empty()) {
      never.emplace_back(id, std::move(why));
      continue;
    }
    const CascadePlan* plan = plan_of(lesson);
    if (const auto day = no_money_on_.find(plan->name); day != no_money_on_.end() && day->second == today) {
      broke = true;
      continue;
    }
    const auto pause = pauses_.find(plan->name);
    if ((pause != pauses_.end() && pause->second.until > now) || plan->teacher.state->breaker.rest_ms(now) > 0) {
      paused = true;
      continue;
    }
    const auto told = [](const Lesson& l) { return l.provenance == Provenance::kFeedback; };
    if (best == nullptr || std::pair(told(lesson), lesson.value) > std::pair(told(*best), best->value)) best = &lesson;
  }
  const auto chosen = best == nullptr ? std::nullopt : std::optional(best->id);
  for (auto& [id, why] : never) finish(id, Teaching::kAnswerOnly, std::move(why));
  const std::lock_guard lock(report_mutex_);
  report_.budget_spent = broke;
  report_.paused = paused;
  return chosen;
}

net::Awaitable<std::optional<Worker::Reply>> Worker::ask(std::string id, const CascadePlan* given, std::string body) {
  const CascadePlan plan = *given;   // a reload may replace it meanwhile
  const auto found = providers_.find(plan.name);
  if (found == providers_.end()) co_return std::nullopt;
  const std::shared_ptr<providers::Provider> provider = found->second;
  const WallTime now = clock_.wall();
  Usage foreseen;
  foreseen.input = chat::estimate_tokens(body);
  foreseen.output = kForeseenOutput;
  foreseen.estimated = true;
  const auto estimate = plan.price(foreseen, now);
  if (!budget_.reserve(plan.budget_per_day, estimate, now)) {
    no_money_on_[plan.name] = now.us / kDayUs;
    co_return std::nullopt;
  }
  Lesson& lesson = waiting_.at(id);
  const std::string task = lesson.scope.task;
  const SpendSubject payer{{}, task, plan.teacher.name};
  std::optional<BudgetHold> hold;
  if (purse_ && purse_->on()) {
    auto held = purse_->reserve(payer, plan.most ? plan.most(body.size(), now) : estimate, now);
    if (!held) {
      budget_.settle(*estimate, {});
      if (held.error().kind == ErrorKind::kBudgetExceeded) {
        no_money_on_[plan.name] = now.us / kDayUs;
      } else {
        pauses_[plan.name].until = clock_.mono().plus_ms(options_.first_pause_ms);
      }
      co_return std::nullopt;
    }
    hold = *held;
  }
  lesson.reserved = *estimate;
  if (!put(lesson, *estimate)) {
    // Without a record of it nothing is paid.
    lesson.reserved = {};
    budget_.settle(*estimate, {});
    if (hold) purse_->settle(payer, *hold, {});
    pauses_[plan.name].until = clock_.mono().plus_ms(options_.first_pause_ms);
    co_return std::nullopt;
  }
  count(&LessonReport::calls);
  Reply reply;
  Usage usage;
  bool known = false;
  {
    const std::string_view piece = body;
    providers::ChatCall call;
    call.body = std::span<const std::string_view>(&piece, 1);
    call.request_id = id;
    call.cancel = stop_.token();
    call.deadline = net::Deadline::after_ms(clock_.mono(), std::min(options_.call_timeout_ms, plan.teacher.timeout_ms));
    auto sent = co_await provider->chat(call);
    if (!sent) {
      reply.error = std::move(sent.error());
    } else {
      reply.status = (*sent)->status();
      reply.retry_after_ms = (*sent)->retry_after_ms();
      auto bytes = co_await (*sent)->body(kMostReplyBytes);
      if (!bytes) {
        reply.error = std::move(bytes.error());
      } else if (reply.status == 200) {
        if (auto answer = chat::parse_answer(*bytes)) {
          reply.text = std::string(chat::answer_text(*answer));
          if (answer->usage) {
            usage = *answer->usage;
            known = true;
          }
        } else {
          reply.error = std::move(answer.error());
        }
      }
    }
  }
  const bool unasked = reply.error && (reply.error->kind == ErrorKind::kUpstreamUnreachable || reply.error->kind == ErrorKind::kConfig);
  if (!known && !unasked && (reply.status == 200 || reply.status == 0)) {
    // It has read the request, and perhaps written an answer: counted by rule of thumb.
    usage.input = foreseen.input;
    usage.output = chat::estimate_tokens(reply.text);
    usage.estimated = true;
  }
  reply.cost = plan.price(usage, now).value_or(*estimate);
  budget_.settle(*estimate, reply.cost);
  if (hold) purse_->settle(payer, *hold, reply.cost);
  if (reply.refused()) count(&LessonReport::failed_calls);
  Lesson& after = waiting_.at(id);   // one with money set aside keeps its place
  after.reserved = {};
  after.cost = after.cost + reply.cost;
  put_or_try_later(after, reply.cost - *estimate);
  if (after.state == LessonState::kRetired) {
    waiting_.erase(id);
    co_return std::nullopt;
  }
  if (stop_.cancelled()) co_return std::nullopt;
  if (!reply.refused()) pauses_.erase(plan.name);
  co_return reply;
}

void Worker::pause(const CascadePlan& plan, const std::string& id, const Reply& reply) {
  Pause& pause = pauses_[plan.name];
  pause.ms = pause.ms == 0 ? options_.first_pause_ms : std::min(pause.ms * 2, options_.longest_pause_ms);
  const std::int64_t wait = std::max(pause.ms, std::min(reply.retry_after_ms.value_or(0), options_.longest_pause_ms));
  pause.until = clock_.mono().plus_ms(wait + static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(wait / 4 + 1))));
  const std::string why = reply.error ? reply.error->message : fmt::format("status {}", reply.status);
  log::debug("lessons: the teacher of cascade '{}' could not explain ({}); it is asked again in {} ms", plan.name, why, wait);
  // A refusal for now says nothing about the lesson.
  if (reply.status == 429) return;
  if (++tries_[id] >= options_.most_tries) finish(id, Teaching::kAnswerOnly, fmt::format("the teacher could not be asked: {}", why));
}

void Worker::finish(const std::string& id, Teaching teaching, std::string note, Picousd spent) {
  const auto waiting = waiting_.find(id);
  if (waiting == waiting_.end()) return;
  Lesson lesson = std::move(waiting->second);
  waiting_.erase(waiting);
  tries_.erase(id);
  lesson.teaching = teaching;
  lesson.teaching_note = std::move(note);
  put_or_try_later(lesson, spent);
  if (lesson.state == LessonState::kActive) book_.add(UsableLesson::from(lesson));
  count(teaching == Teaching::kTaught ? &LessonReport::taught : &LessonReport::answer_only);
}

std::string Worker::instructions_for(const Lesson& lesson) {
  if (options_.data.empty()) return {};
  // Reading one request means reading the journal's tail, so once for all lessons of a prompt. Not known: each time.
  const auto key = std::pair(lesson.scope.tenant, lesson.scope.prompt_hash);
  const bool shared = lesson.scope.prompt_hash != 0;
  if (const auto known = instructions_.find(key); shared && known != instructions_.end()) return plan_.redact.json(known->second);
  auto reader = store::StoreReader::open(options_.data, &clock_);
  if (!reader) return {};
  const auto detail = reader->request(lesson.request_id);
  if (!detail || !detail->body.stored) return {};   // its text is gone, or was never kept
  std::string raw = instructions_of(detail->body.text);
  if (raw.size() > kMostInstructions) raw.clear();
  std::string out = plan_.redact.json(raw);
  if (shared && !detail->body.truncated()) {
    if (instructions_.size() >= kMostPrompts) instructions_.clear();
    instructions_.emplace(key, std::move(raw));
  }
  return out;
}

net::Awaitable<void> Worker::teach(std::string id) {
  const std::string instructions = instructions_for(waiting_.at(id));
  std::string bad_reply, bad_reason;
  bool repairing = false;
  for (int round = 0; round < 3; ++round) {
    const CascadePlan* plan = plan_of(waiting_.at(id));
    if (plan == nullptr) co_return;
    const CascadePlan asked = *plan;
    TeachingRequest request;
    request.model = asked.teacher.upstream_model;
    request.instructions = instructions;
    request.json_schema = !no_schema_.contains(asked.teacher.name);
    request.bad_reply = bad_reply;
    request.bad_reason = bad_reason;
    std::string body = teaching_body(waiting_.at(id), request, secret_);
    const auto reply = co_await ask(id, plan, std::move(body));
    if (!reply) co_return;
    if (reply->refused()) {
      if (request.json_schema && (reply->status == 400 || reply->status == 422)) {
        no_schema_.insert(asked.teacher.name);   // asked again in words
        continue;
      }
      pause(asked, id, *reply);
      co_return;
    }
    auto taught = parse_teaching(reply->text);
    if (taught) {
      Lesson& lesson = waiting_.at(id);
      lesson.reasoning = plan_.redact.text(taught->reasoning);
      lesson.examples = std::move(taught->examples);
      lesson.parts = std::move(taught->parts);
      for (LessonExample& e : lesson.examples) e = {plan_.redact.text(e.input), plan_.redact.text(e.answer)};
      for (LessonPart& p : lesson.parts) p = {plan_.redact.text(p.part), p.reliability, plan_.redact.text(p.rests_on)};
      lesson.taught = clock_.wall();
      if (repairing) count(&LessonReport::repaired);
      finish(id, Teaching::kTaught, "");
      co_return;
    }
    if (repairing) break;
    repairing = true;
    bad_reply = reply->text.substr(0, 4'000);
    bad_reason = taught.error().message;
  }
  finish(id, Teaching::kAnswerOnly, fmt::format("the teacher's reply could not be read, also when it was asked again: {}", bad_reason.empty() ? "it was refused" : bad_reason));
}

}  // namespace understudy::lessons::internal
