// Worker: users' corrections, and prompts that are not in use any more.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "base/log.h"
#include "chat/request.h"
#include "chat/splice.h"
#include "lessons/internal/make_lesson.h"
#include "lessons/internal/worker.h"

namespace understudy::lessons::internal {
namespace {

/// Newest requests that are looked at; a task's prompts are told apart from so many of its own; one share in so many is still in use.
constexpr std::uint32_t kRecentRequests = 5'000;
constexpr std::int64_t kLeastRequests = 50, kShareInUse = 50;

/// The text of a stored assistant message; nullopt where it was not kept, only in part, or is none.
std::optional<std::string> text_of(const store::Body& message) {
  if (!message.stored || message.truncated()) return std::nullopt;
  simdjson::dom::parser parser;
  std::string_view content;
  if (parser.parse(message.text)["content"].get_string().get(content) || content.empty()) return std::nullopt;
  return std::string(content);
}

}  // namespace

void Worker::take_corrections() {
  std::vector<Correction> corrections;
  {
    const std::lock_guard lock(corrections_mutex_);
    corrections.swap(corrections_);
  }
  if (corrections.empty()) return;
  auto reader = store::StoreReader::open(options_.data, &clock_);
  if (!reader) {
    log::warn("lessons: {}", reader.error().message);
    return;
  }
  for (const Correction& correction : corrections) correct_one(*reader, correction);
}

void Worker::correct_one(store::StoreReader& reader, const Correction& correction) {
  const auto detail = reader.request(correction.request_id);
  if (!detail || detail->request.tenant != correction.tenant) return;   // nobody's, or another tenant's: nothing to learn from
  const store::RequestRecord& r = detail->request;
  if (!detail->body.stored || detail->body.truncated()) return count(&LessonReport::unfit);
  // What the exact test may have drawn is its alone. A coin's row that is not there yet might still become the test's.
  const auto test = reader.is_test_row(correction.request_id);
  if (!test || test->value_or(r.coin_heads && !r.threshold_by_hand)) return count(&LessonReport::unfit);

  LessonOffer offer;
  offer.request_id = correction.request_id;
  offer.scope = {r.tenant, r.cascade, r.task, r.prompt_hash};
  offer.input_hash = r.input_hash;
  offer.provenance = Provenance::kFeedback;
  offer.body = detail->body.text;
  offer.answer = correction.truth;
  offer.agreed_by_teacher = false;
  offer.teacher_cost = r.teacher_cost;
  std::optional<std::string> teacher;
  for (const store::AttemptRecord& attempt : detail->attempts) {
    const auto text = text_of(attempt.answer);
    if (!text) continue;
    if (attempt.stage == Stage::kTeacher && !teacher) {
      teacher = text;
      offer.teacher_model = attempt.model;
    } else if (attempt.stage == Stage::kStudent && offer.student_answer.empty()) {
      offer.student_answer = *text;
      offer.student_confidence = attempt.confidence;
      offer.student_rung = attempt.rung.empty() ? "student" : attempt.rung;
    }
  }
  calibration::ComparatorSpec by_shape;
  const auto configured = plan_.compare.find(r.task);
  if (configured == plan_.compare.end()) by_shape.comparator = calibration::default_comparator({correction.truth});
  const calibration::ComparatorSpec& spec = configured == plan_.compare.end() ? by_shape : configured->second;
  const std::string truth = plan_.redact.text(correction.truth);
  if (teacher) offer.agreed_by_teacher = calibration::agrees(spec, plan_.redact.text(*teacher), truth);
  if (!offer.student_answer.empty()) offer.student_agrees = calibration::agrees(spec, plan_.redact.text(offer.student_answer), truth);
  if (offer.agreed_by_teacher) offer.answer = *teacher;   // in the form that the application knows

  const auto earlier = known_inputs_.find(input_key(offer.scope, offer.input_hash));
  if (earlier != known_inputs_.end()) {
    if (auto lesson = find(earlier->second); lesson && lesson->state != LessonState::kRetired) {
      if (!calibration::agrees(spec, lesson->answer, truth)) {
        set_retired(std::move(*lesson), "a user's correction says otherwise");
      } else {
        if (lesson->provenance == Provenance::kFeedback) return;
        lesson->provenance = Provenance::kFeedback;
        put_or_try_later(*lesson, {});
        if (const auto waiting = waiting_.find(lesson->id); waiting != waiting_.end()) waiting->second.provenance = lesson->provenance;
        book_.add(UsableLesson::from(*lesson));
        return count(&LessonReport::corrections);
      }
    }
    // One more of the same input would stand beside a lesson that says the same or was taken out of use.
    if (offer.agreed_by_teacher) return;
  }
  // The latest word of a request's users counts.
  if (const auto told = corrected_.find(correction.request_id); told != corrected_.end()) {
    auto lesson = find(told->second);
    if (lesson && lesson->answer == truth) return;
    if (lesson && lesson->state != LessonState::kRetired) set_retired(std::move(*lesson), "a later correction came");
    corrected_.erase(told);
  }
  auto lesson = make_lesson(offer, plan_.redact);
  if (!lesson) return count(&LessonReport::unfit);
  // The teacher has spoken, and says otherwise: it is not asked about a truth that it does not share.
  if (teacher && !offer.agreed_by_teacher) {
    lesson->teaching = Teaching::kAnswerOnly;
    lesson->teaching_note = "the teacher's own answer is another";
  }
  if (keep(std::move(*lesson))) count(&LessonReport::corrections);
}

net::Awaitable<void> Worker::verify(std::string id) {
  const Lesson& lesson = waiting_.at(id);
  const CascadePlan asked = *plan_of(lesson);
  std::string body;
  if (auto reader = store::StoreReader::open(options_.data, &clock_)) {
    if (const auto detail = reader->request(lesson.request_id); detail && detail->body.stored && !detail->body.truncated()) body = detail->body.text;
  }
  const auto request = chat::parse_chat_request(body);
  if (!request) {
    finish(id, Teaching::kAnswerOnly, "the request's text is gone, so the teacher cannot be asked whether it agrees");
    co_return;
  }
  std::string model = "\"" + asked.teacher.upstream_model + "\"", sent;
  chat::Splice splice(body);
  splice.replace(request->model_span, model);
  if (request->stream) splice.replace(request->stream_span, "false");
  if (request->stream && request->stream_options_span.present()) splice.replace(request->stream_options_span, "null");
  for (const std::string_view piece : splice.pieces()) sent += piece;
  const auto reply = co_await ask(id, &asked, std::move(sent));
  if (!reply) co_return;
  if (reply->refused()) {
    pause(asked, id, *reply);
    co_return;
  }
  Lesson& judged = waiting_.at(id);
  calibration::ComparatorSpec by_shape;
  const auto configured = plan_.compare.find(judged.scope.task);
  if (configured == plan_.compare.end()) by_shape.comparator = calibration::default_comparator({judged.answer});
  const std::string own = plan_.redact.text(reply->text);
  judged.teacher_model = asked.teacher.name;
  if (!calibration::agrees(configured == plan_.compare.end() ? by_shape : configured->second, own, judged.answer)) {
    finish(id, Teaching::kAnswerOnly, "the teacher's own answer is another");
    co_return;
  }
  judged.answer = own;
  judged.agreed_by_teacher = true;
  judged.state = LessonState::kActive;
  known_inputs_.insert_or_assign(input_key(judged.scope, judged.input_hash), id);
  put_or_try_later(judged, {});
  book_.add(UsableLesson::from(judged));
}

void Worker::let_go() {
  if (options_.data.empty() || clock_.mono() < next_gone_) return;
  next_gone_ = clock_.mono().plus_ms(options_.gone_ms);
  instructions_.clear();   // nor are the prompts of requests that are gone
  std::vector<std::string> shown;
  for (const LessonScope& scope : book_.scopes()) {
    book_.for_each(scope, [&](const auto& lesson) { return shown.push_back(lesson->id), true; });
  }
  if (shown.empty()) return;
  auto reader = store::StoreReader::open(options_.data, &clock_);
  if (!reader) return;
  const auto ids = reader->lesson_ids();
  if (!ids) return;
  const std::set<std::string, std::less<>> there(ids->begin(), ids->end());
  // Twice: a busy writer may hide the journal's newest events from one look.
  const std::set<std::string> before = std::exchange(missing_, {});
  for (const std::string& id : shown) {
    if (there.contains(id)) continue;
    if (!before.contains(id)) {
      missing_.insert(id);
      continue;
    }
    book_.retire(id);
    const auto waiting = waiting_.find(id);
    if (waiting != waiting_.end() && waiting->second.reserved.value == 0) waiting_.erase(waiting);
  }
}

void Worker::look_at_prompts() {
  if (options_.data.empty() || clock_.mono() < next_prompts_) return;
  next_prompts_ = clock_.mono().plus_ms(options_.prompts_ms);
  const auto scopes = book_.scopes();
  if (scopes.empty()) return;
  auto reader = store::StoreReader::open(options_.data, &clock_);
  if (!reader) return;
  const auto uses = reader->recent_prompts(kRecentRequests);
  if (!uses) return;
  std::map<std::tuple<std::string, std::string, std::string>, std::int64_t> total;
  for (const store::PromptUse& use : *uses) total[{use.tenant, use.cascade, use.task}] += use.requests;
  for (const LessonScope& scope : scopes) {
    const std::int64_t all = total[{scope.tenant, scope.cascade, scope.task}];
    std::int64_t own = 0;
    for (const store::PromptUse& use : *uses) {
      if (use.tenant == scope.tenant && use.cascade == scope.cascade && use.task == scope.task && use.prompt_hash == scope.prompt_hash) own = use.requests;
    }
    // A task that gives no prompt, or too few requests, says nothing.
    if (scope.prompt_hash == 0 || all < kLeastRequests || own * kShareInUse >= all) continue;
    std::vector<std::string> old;
    book_.for_each(scope, [&](const auto& lesson) { return old.push_back(lesson->id), true; });
    for (const std::string& id : old) {
      if (auto lesson = find(id)) set_retired(std::move(*lesson), "the task's prompt has changed");
    }
    log::info("lessons: {} of task '{}' were retired: its prompt has changed", old.size(), scope.task);
  }
}

}  // namespace understudy::lessons::internal
