#pragma once
/// The lessons that may be shown to students now, by where they may be used. In memory, shared by all threads: loaded from the store at
/// start, changed by the lessons' thread as lessons come and retire, read by reactors.
///
///   book.for_each(scope, [&](const std::shared_ptr<const UsableLesson>& lesson) { ...; return true; });
///
/// It holds no reasoning: what is in it may reach a model that users can ask.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "lessons/lesson.h"

namespace understudy::lessons {

/// An active lesson as a student may see it. Immutable.
struct UsableLesson {
  std::string id;
  LessonScope scope;
  Provenance provenance = Provenance::kEscalation;
  WallTime created;
  std::uint64_t input_hash = 0;        ///< a request must not be shown the lesson made from its own input in tests of itself
  std::string text;                    ///< of the last user message: what likeness is measured on
  std::string messages;                ///< JSON array: the turns before the answer, without system and developer messages
  std::string answer;
  std::vector<LessonExample> examples; ///< the teacher's own, of the same rule
  std::string student_answer;
  double value = 0;

  /// Of its texts.
  std::size_t bytes() const;

  /// nullptr unless the lesson is active and the teacher agrees with it.
  static std::shared_ptr<const UsableLesson> from(const Lesson& lesson);
};

/// Thread-safe. A lock is held for a look-up or the copy of a vector of pointers, never while a visitor runs.
class LessonBook {
 public:
  /// Beyond `most` lessons, or texts of `most_bytes` in all, the least of the fullest shelf goes: lower rank first, then the older one.
  explicit LessonBook(std::size_t most = 100'000, std::size_t most_bytes = std::size_t{64} << 20) : most_(most), most_bytes_(most_bytes) {}

  /// Puts it in, in place of one of the same id. nullptr is ignored. Ids of lessons that had to make room are returned.
  std::vector<std::string> add(std::shared_ptr<const UsableLesson> lesson);
  /// False where it was not in.
  bool retire(const std::string& id);

  /// Visits the lessons of exactly this scope in no particular order until `visit` returns false. What comes or goes meanwhile is seen
  /// by the next look. O(lessons of the scope).
  void for_each(const LessonScope& scope, const std::function<bool(const std::shared_ptr<const UsableLesson>&)>& visit) const;

  /// The scopes that have lessons.
  std::vector<LessonScope> scopes() const;

  /// Grows with every change, of everything or of one scope (0: it never had a lesson); to know when an index built from
  /// for_each is out of date.
  std::uint64_t version() const;
  std::uint64_t version(const LessonScope& scope) const;
  std::size_t size() const;
  std::size_t bytes() const;   ///< of texts
  std::size_t size(const LessonScope& scope) const;

 private:
  using Shelf = std::map<std::string, std::shared_ptr<const UsableLesson>>;   ///< by id
  using Worth = std::tuple<int, WallTime, std::string>;   ///< rank, time, id: the least goes first
  static Worth worth(const UsableLesson& lesson);
  struct Place {
    Shelf lessons;
    std::set<Worth> by_worth;   ///< of the same lessons: one that makes room is found without looking at all
    std::uint64_t version = 0;
  };
  bool remove(const std::string& id);
  std::string remove_least();

  const std::size_t most_, most_bytes_;
  mutable std::mutex mutex_;
  std::map<LessonScope, Place> shelves_;                   ///< guarded, like all below
  std::unordered_map<std::string, LessonScope> scope_of_;
  std::uint64_t version_ = 0;
  std::size_t bytes_ = 0;   ///< of all lessons' texts
};

}  // namespace understudy::lessons
