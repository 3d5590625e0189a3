#include "lessons/internal/worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/hash.h"
#include "base/log.h"
#include "lessons/internal/make_lesson.h"
#include "providers/factory.h"

namespace understudy::lessons::internal {
namespace {

constexpr std::int64_t kDayUs = 86'400'000'000;
constexpr std::size_t kMostKnown = 500'000, kMostUnsaved = 100, kMostCorrections = 1'000;
constexpr std::uint32_t kPage = 1'000;

bool worth_less(const Lesson& a, const Lesson& b) {
  const bool a_told = a.provenance == Provenance::kFeedback, b_told = b.provenance == Provenance::kFeedback;
  return a_told != b_told ? b_told : a.value < b.value;
}

}  // namespace

std::uint64_t input_key(const LessonScope& scope, std::uint64_t input_hash) {
  return hash64(fmt::format("{}\n{}\n{}\n{:x}", scope.tenant, scope.cascade, scope.task, scope.prompt_hash), input_hash);
}

bool append_lesson(store::Journal& journal, const Lesson& lesson, Picousd spent) {
  const std::string detail = lesson_json(lesson);
  store::LessonEvent event;
  event.request_id = lesson.request_id;
  event.lesson_id = lesson.id;
  event.tenant = lesson.scope.tenant;
  event.cascade = lesson.scope.cascade;
  event.task = lesson.scope.task;
  event.state = state_name(lesson.state);
  event.provenance = provenance_name(lesson.provenance);
  event.prompt_hash = lesson.scope.prompt_hash;
  event.input_hash = lesson.input_hash;
  event.created_us = lesson.created.us;
  event.spent = spent;
  event.detail = detail;
  return journal.append(event);
}

Worker::Worker(LessonServiceOptions options, net::Reactor& reactor)
    : options_(std::move(options)),
      reactor_(reactor),
      clock_(*options_.clock),
      random_(options_.seed),
      ids_(clock_, secret_),
      queue_(options_.queue),
      book_(options_.most_usable) {
  if (options_.budgets != nullptr) purse_.emplace(*options_.budgets, options_.journal);
}

void Worker::load() {
  if (options_.data.empty()) return;
  auto reader = store::StoreReader::open(options_.data, &clock_);
  if (!reader) {
    log::warn("lessons: {}", reader.error().message);
    return;
  }
  store::LessonFilter filter;
  filter.limit = kPage;
  for (bool more = true; more;) {
    const auto page = reader->lessons(filter);
    if (!page) {
      log::warn("lessons: {}", page.error().message);
      break;
    }
    for (const store::LessonRecord& record : page->lessons) {
      auto lesson = parse_lesson(record.detail);
      if (!lesson) {
        count(&LessonReport::unreadable);
        continue;
      }
      if (known_inputs_.size() < kMostKnown && lesson->agreed_by_teacher) known_inputs_.emplace(input_key(lesson->scope, lesson->input_hash), lesson->id);
      if (lesson->provenance == Provenance::kFeedback) corrected_.emplace(lesson->request_id, lesson->id);
      if (lesson->state == LessonState::kRetired) continue;
      if (lesson->state == LessonState::kActive && book_.size() < options_.most_usable) book_.add(UsableLesson::from(*lesson));
      if (lesson->teaching != Teaching::kPending || waiting_.size() >= options_.most_to_teach) continue;
      // A call was under way when the process ended: it may have cost as much as was set aside, and the store says so.
      if (lesson->reserved.value > 0) {
        lesson->cost = lesson->cost + lesson->reserved;
        lesson->cost_unknown = true;
        lesson->reserved = {};
      }
      waiting_.emplace(lesson->id, std::move(*lesson));
    }
    more = page->next.has_value();
    filter.after = page->next;
  }
  const WallTime now = clock_.wall();
  if (const auto spent = reader->lesson_spend(WallTime{now.us / kDayUs * kDayUs})) {
    const Int128 known = std::clamp<Int128>(spent->value, 0, std::numeric_limits<std::int64_t>::max() / 4);
    budget_.restore(Picousd{static_cast<std::int64_t>(known)}, now);
  }
}

net::Awaitable<void> Worker::run(LessonPlan plan, std::promise<Result<void>>* ready) {
  pool_ = std::make_unique<net::ClientPool>(reactor_, options_.client);
  auto done = configure(std::move(plan));
  const bool good = done.has_value();
  ready->set_value(std::move(done));
  if (good) {
    net::TaskGroup group(reactor_);
    group.spawn(take_in_forever());
    group.spawn(teach_forever());
    co_await group.wait();
    take_in();   // what was offered is kept
  }
  for (auto& done_promise : settlers_) done_promise.set_value();
  settlers_.clear();
  providers_.clear();
  pool_.reset();
}

Result<void> Worker::configure(LessonPlan plan) {
  std::map<std::string, std::shared_ptr<providers::Provider>> made;
  for (const CascadePlan& cascade : plan.cascades) {
    auto provider = options_.make_provider ? options_.make_provider(*pool_, cascade.teacher) : providers::make_provider(*pool_, cascade.teacher);
    if (!provider) return fail(std::move(provider.error()));
    made[cascade.name] = std::move(*provider);
  }
  plan_ = std::move(plan);
  providers_ = std::move(made);   // one that is being asked lives on until it has answered
  pauses_.clear();
  no_money_on_.clear();
  no_schema_.clear();
  const std::lock_guard lock(report_mutex_);
  report_.budgets.clear();
  for (const CascadePlan& cascade : plan_.cascades) report_.budgets[cascade.name] = cascade.budget_per_day.value_or(Picousd{});
  return {};
}

bool Worker::offer(LessonOffer offer) { return queue_.push(std::move(offer), clock_.wall()); }

void Worker::correct(Correction correction) {
  {
    const std::lock_guard lock(corrections_mutex_);
    if (corrections_.size() < kMostCorrections) {
      corrections_.push_back(std::move(correction));
      return;
    }
  }
  count(&LessonReport::dropped_queue);
}

LessonReport Worker::report() {
  LessonReport report;
  {
    const std::lock_guard lock(report_mutex_);
    report = report_;
  }
  report.queued = queue_.size();
  report.dropped_queue += queue_.dropped();
  report.usable = book_.size();
  report.spent_today = budget_.spent_today(clock_.wall());
  return report;
}

net::Awaitable<void> Worker::take_in_forever() {
  while (!stop_.cancelled()) {
    take_in();
    take_corrections();
    look_at_prompts();
    let_go();
    co_await net::sleep_for(reactor_, options_.tick_ms, stop_.token());
  }
}

void Worker::take_in() {
  for (auto& unsaved : std::exchange(unsaved_, {})) put_or_try_later(unsaved.lesson, unsaved.spent);
  while (auto taken = queue_.pop()) accept(taken->offer, taken->value);
}

void Worker::accept(const LessonOffer& offer, double value) {
  if (known_inputs_.contains(input_key(offer.scope, offer.input_hash))) return count(&LessonReport::repeated);
  auto lesson = make_lesson(offer, plan_.redact);
  if (!lesson) return count(&LessonReport::unfit);
  lesson->value = value;
  keep(std::move(*lesson));
}

bool Worker::keep(Lesson lesson) {
  lesson.id = ids_.next().replace(0, 3, "les");
  lesson.created = clock_.wall();
  lesson.state = lesson.agreed_by_teacher ? LessonState::kActive : LessonState::kCandidate;
  if (lesson.teaching == Teaching::kPending) {
    lesson.teaching_note = why_not_taught(lesson);
    if (!lesson.teaching_note.empty()) lesson.teaching = Teaching::kAnswerOnly;
  }
  if (!put(lesson)) {
    count(&LessonReport::dropped_store);
    return false;
  }
  count(&LessonReport::stored);
  if (lesson.agreed_by_teacher && known_inputs_.size() < kMostKnown) known_inputs_.emplace(input_key(lesson.scope, lesson.input_hash), lesson.id);
  if (lesson.provenance == Provenance::kFeedback && corrected_.size() < kMostKnown) corrected_.emplace(lesson.request_id, lesson.id);
  book_.add(UsableLesson::from(lesson));
  if (lesson.teaching == Teaching::kPending) {
    to_teach(std::move(lesson));
  } else {
    count(&LessonReport::answer_only);
  }
  return true;
}

void Worker::to_teach(Lesson lesson) {
  const std::string id = lesson.id;
  waiting_.insert_or_assign(id, std::move(lesson));
  while (waiting_.size() > options_.most_to_teach) {
    const auto least = std::min_element(waiting_.begin(), waiting_.end(), [](const auto& a, const auto& b) {
      // One with a call under way keeps its place.
      const bool a_busy = a.second.reserved.value > 0, b_busy = b.second.reserved.value > 0;
      return a_busy != b_busy ? b_busy : worth_less(a.second, b.second);
    });
    finish(std::string(least->first), Teaching::kAnswerOnly, "more valuable lessons wait for the teacher");
  }
}

bool Worker::put(const Lesson& lesson, Picousd spent) {
  return options_.journal == nullptr || append_lesson(*options_.journal, lesson, spent);
}

void Worker::put_or_try_later(const Lesson& lesson, Picousd spent) {
  if (put(lesson, spent)) return;
  if (unsaved_.size() < kMostUnsaved) {
    unsaved_.push_back({lesson, spent});
  } else {
    count(&LessonReport::dropped_store);
  }
}

const CascadePlan* Worker::plan_of(const Lesson& lesson) const {
  const auto found = std::find_if(plan_.cascades.begin(), plan_.cascades.end(), [&](const CascadePlan& c) { return c.name == lesson.scope.cascade; });
  return found == plan_.cascades.end() ? nullptr : &*found;
}

std::string Worker::why_not_taught(const Lesson& lesson) const {
  const CascadePlan* plan = plan_of(lesson);
  if (plan == nullptr) return "its cascade is not configured any more";
  if (!plan->budget_per_day || plan->budget_per_day->value <= 0) return "lesson_budget_usd_per_day is 0";
  if (plan->teacher.key_from_client) return "the teacher is called with the caller's own key";
  if (plan->teacher.api == providers::Api::kRecorded) return "a recorded teacher explains nothing";
  if (!plan->price || !plan->price(Usage{.input = 1000, .output = 1000}, clock_.wall())) return "the teacher's price is not known";
  return {};
}

Result<Lesson> Worker::find(const std::string& id) {
  if (const auto waiting = waiting_.find(id); waiting != waiting_.end()) return waiting->second;
  for (const Unsaved& unsaved : unsaved_) {
    if (unsaved.lesson.id == id) return unsaved.lesson;
  }
  auto reader = store::StoreReader::open(options_.data, &clock_);
  if (!reader) return fail(std::move(reader.error()));
  auto record = reader->lesson(id);
  if (!record) return fail(std::move(record.error()));
  return parse_lesson(record->detail);
}

void Worker::set_retired(Lesson lesson, std::string why) {
  lesson.state = LessonState::kRetired;
  lesson.retired_because = std::move(why);
  book_.retire(lesson.id);
  count(&LessonReport::retired);
  if (const auto waiting = waiting_.find(lesson.id); waiting != waiting_.end()) {
    if (waiting->second.reserved.value > 0) {
      // A call runs: when it ends, it finds this.
      waiting->second.state = lesson.state;
      waiting->second.retired_because = lesson.retired_because;
    } else {
      waiting_.erase(waiting);
    }
  }
  put_or_try_later(lesson, {});
}

Result<void> Worker::retire(const std::string& id, const std::optional<std::string>& tenant, const std::string& why) {
  auto lesson = find(id);
  if (!lesson) return fail(std::move(lesson.error()));
  if (tenant && lesson->scope.tenant != *tenant) return fail(ErrorKind::kNotFound, fmt::format("there is no lesson {}; `understudy lessons list` shows them", id));
  if (lesson->state != LessonState::kRetired) set_retired(std::move(*lesson), why);
  return {};
}

}  // namespace understudy::lessons::internal
