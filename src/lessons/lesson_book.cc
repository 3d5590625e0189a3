#include "lessons/lesson_book.h"

#include <algorithm>
#include <tuple>

namespace understudy::lessons {

std::shared_ptr<const UsableLesson> UsableLesson::from(const Lesson& lesson) {
  if (lesson.state != LessonState::kActive || !lesson.agreed_by_teacher) return nullptr;
  auto usable = std::make_shared<UsableLesson>();
  usable->id = lesson.id;
  usable->scope = lesson.scope;
  usable->provenance = lesson.provenance;
  usable->created = lesson.created;
  usable->input_hash = lesson.input_hash;
  usable->text = lesson.text;
  usable->messages = lesson.messages;
  usable->answer = lesson.answer;
  usable->examples = lesson.examples;
  usable->student_answer = lesson.student_answer;
  usable->value = lesson.value;
  return usable;
}

std::size_t UsableLesson::bytes() const {
  std::size_t sum = text.size() + messages.size() + answer.size() + student_answer.size();
  for (const LessonExample& example : examples) sum += example.input.size() + example.answer.size();
  return sum;
}

std::vector<std::string> LessonBook::add(std::shared_ptr<const UsableLesson> lesson) {
  std::vector<std::string> gone;
  if (lesson == nullptr) return gone;
  const std::lock_guard lock(mutex_);
  remove(lesson->id);
  Place& place = shelves_[lesson->scope];
  scope_of_.emplace(lesson->id, lesson->scope);
  place.version = ++version_;
  const std::string id = lesson->id;
  bytes_ += lesson->bytes();
  place.by_worth.insert(worth(*lesson));
  place.lessons.emplace(id, std::move(lesson));
  while (scope_of_.size() > most_ || bytes_ > most_bytes_) gone.push_back(remove_least());
  return gone;
}

bool LessonBook::retire(const std::string& id) {
  const std::lock_guard lock(mutex_);
  return remove(id);
}

bool LessonBook::remove(const std::string& id) {
  const auto known = scope_of_.find(id);
  if (known == scope_of_.end()) return false;
  Place& place = shelves_[known->second];
  const auto found = place.lessons.find(id);
  bytes_ -= found->second->bytes();
  place.by_worth.erase(worth(*found->second));
  place.lessons.erase(found);
  place.version = ++version_;
  scope_of_.erase(known);
  return true;
}

LessonBook::Worth LessonBook::worth(const UsableLesson& lesson) { return {rank(lesson.provenance), lesson.created, lesson.id}; }

std::string LessonBook::remove_least() {
  const auto fuller = [](const auto& a, const auto& b) { return a.second.lessons.size() < b.second.lessons.size(); };
  const auto fullest = std::max_element(shelves_.begin(), shelves_.end(), fuller);
  std::string id = std::get<2>(*fullest->second.by_worth.begin());
  remove(id);
  return id;
}

void LessonBook::for_each(const LessonScope& scope, const std::function<bool(const std::shared_ptr<const UsableLesson>&)>& visit) const {
  std::vector<std::shared_ptr<const UsableLesson>> found;
  {
    const std::lock_guard lock(mutex_);
    const auto place = shelves_.find(scope);
    if (place == shelves_.end()) return;
    found.reserve(place->second.lessons.size());
    for (const auto& [id, lesson] : place->second.lessons) found.push_back(lesson);
  }
  for (const auto& lesson : found) {
    if (!visit(lesson)) return;
  }
}

std::vector<LessonScope> LessonBook::scopes() const {
  const std::lock_guard lock(mutex_);
  std::vector<LessonScope> all;
  for (const auto& [scope, place] : shelves_) {
    if (!place.lessons.empty()) all.push_back(scope);
  }
  return all;
}

std::uint64_t LessonBook::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

std::uint64_t LessonBook::version(const LessonScope& scope) const {
  const std::lock_guard lock(mutex_);
  const auto place = shelves_.find(scope);
  return place == shelves_.end() ? 0 : place->second.version;
}

std::size_t LessonBook::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::size_t LessonBook::size() const {
  const std::lock_guard lock(mutex_);
  return scope_of_.size();
}

std::size_t LessonBook::size(const LessonScope& scope) const {
  const std::lock_guard lock(mutex_);
  const auto place = shelves_.find(scope);
  return place == shelves_.end() ? 0 : place->second.lessons.size();
}

}  // namespace understudy::lessons
