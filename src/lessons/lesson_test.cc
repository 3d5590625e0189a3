#include "lessons/lesson.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "lessons/lesson_book.h"

namespace understudy::lessons {
namespace {

Lesson sample(int n, Provenance provenance = Provenance::kEscalation) {
  Lesson lesson;
  lesson.id = "les_" + std::to_string(n);
  lesson.request_id = "req_" + std::to_string(n);
  lesson.scope = {"acme", "default", "intent", 0xFEDCBA9876543210u};
  lesson.input_hash = 0xFFFFFFFFFFFFFFFFu;
  lesson.created = {1'760'000'000'000'000 + n};
  lesson.state = LessonState::kActive;
  lesson.provenance = provenance;
  lesson.agreed_by_teacher = true;
  lesson.text = "where is \"my\" card\n?";
  lesson.messages = R"([{"role":"user","content":"where is \"my\" card\n?"}])";
  lesson.parameters = R"({"temperature":0})";
  lesson.answer = "card_arrival";
  lesson.reasoning = "secret steps";
  lesson.examples = {{"card late", "card_arrival"}};
  lesson.parts = {{"intent", 0.75, "the word card"}};
  lesson.teacher_model = "teacher";
  lesson.teaching = Teaching::kTaught;
  lesson.taught = WallTime{1'760'000'000'000'999};
  lesson.cost = {123'456'789};
  lesson.student_answer = "lost_card";
  lesson.student_confidence = 0.5;
  lesson.student_rung = "student";
  lesson.student_agrees = false;
  lesson.value = 0.125;
  return lesson;
}

TEST(Lesson, JsonReadsBackAsItWas) {
  const std::string json = lesson_json(sample(1));
  const auto read = parse_lesson(json);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(lesson_json(*read), json);
  EXPECT_EQ(read->scope.prompt_hash, 0xFEDCBA9876543210u);
  EXPECT_EQ(read->examples, sample(1).examples);
  EXPECT_EQ(read->parts, sample(1).parts);
  Lesson bare;
  bare.id = "les_0";
  const auto read_bare = parse_lesson(lesson_json(bare));
  ASSERT_TRUE(read_bare) << read_bare.error().message;
  EXPECT_FALSE(read_bare->student_confidence);
  EXPECT_FALSE(read_bare->taught);
  EXPECT_EQ(read_bare->parameters, "");
}

TEST(Lesson, DamagedJsonNamesTheField) {
  const std::string json = lesson_json(sample(1));
  EXPECT_FALSE(parse_lesson("{"));
  EXPECT_FALSE(parse_lesson("[]"));
  for (const auto& [from, to, field] : {std::tuple{"\"reliability\":0.75", "\"reliability\":1.5", "reliability"}, {"\"active\"", "\"live\"", "state"},
                                        {"fedcba9876543210", "fedcba987654321", "prompt_hash"}, {"\"created_us\":", "\"created\":", "created_us"},
                                        {"\"reserved_picousd\":0", "\"reserved_picousd\":-1", "cost_picousd"}}) {
    std::string damaged = json;
    const auto at = damaged.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    damaged.replace(at, std::string_view(from).size(), to);
    const auto read = parse_lesson(damaged);
    ASSERT_FALSE(read) << to;
    EXPECT_NE(read.error().message.find(field), std::string::npos) << read.error().message;
  }
}

TEST(LessonBook, ShowsALessonInItsOwnScopeOnly) {
  LessonBook book;
  book.add(UsableLesson::from(sample(1)));
  const auto count = [&](const LessonScope& scope) {
    int n = 0;
    book.for_each(scope, [&](const auto&) { return ++n > 0; });
    return n;
  };
  const LessonScope own = sample(1).scope;
  EXPECT_EQ(count(own), 1);
  for (const LessonScope& other : {LessonScope{"evil", own.cascade, own.task, own.prompt_hash}, LessonScope{"", own.cascade, own.task, own.prompt_hash},
                                   LessonScope{own.tenant, "other", own.task, own.prompt_hash}, LessonScope{own.tenant, own.cascade, "other", own.prompt_hash},
                                   LessonScope{own.tenant, own.cascade, own.task, own.prompt_hash + 1}}) {
    EXPECT_EQ(count(other), 0);
  }
}

TEST(LessonBook, TakesOnlyActiveLessonsThatTheTeacherAgreesWith) {
  Lesson lesson = sample(1, Provenance::kFeedback);
  EXPECT_NE(UsableLesson::from(lesson), nullptr);
  lesson.agreed_by_teacher = false;
  EXPECT_EQ(UsableLesson::from(lesson), nullptr);
  lesson.agreed_by_teacher = true;
  lesson.state = LessonState::kCandidate;
  EXPECT_EQ(UsableLesson::from(lesson), nullptr);
  lesson.state = LessonState::kRetired;
  EXPECT_EQ(UsableLesson::from(lesson), nullptr);
}

TEST(LessonBook, VersionsTellOfEveryChange) {
  LessonBook book;
  const LessonScope scope = sample(1).scope;
  EXPECT_EQ(book.version(scope), 0u);
  book.add(UsableLesson::from(sample(1)));
  const auto added = book.version(scope);
  EXPECT_GT(added, 0u);
  EXPECT_FALSE(book.retire("les_9"));
  EXPECT_EQ(book.version(scope), added);
  EXPECT_TRUE(book.retire("les_1"));
  EXPECT_GT(book.version(scope), added);
  EXPECT_EQ(book.size(), 0u);
  EXPECT_TRUE(book.scopes().empty());
}

TEST(LessonBook, TheLeastMakesRoom) {
  LessonBook book(2);
  book.add(UsableLesson::from(sample(1, Provenance::kFeedback)));
  book.add(UsableLesson::from(sample(2)));
  EXPECT_EQ(book.add(UsableLesson::from(sample(3))), std::vector<std::string>{"les_2"});
  EXPECT_EQ(book.size(), 2u);
}

// A hundred thousand lessons of long texts would fill the memory.
TEST(LessonBook, HoldsSoManyBytesAtMost) {
  const std::size_t one = UsableLesson::from(sample(1))->bytes();
  ASSERT_GT(one, 0u);
  LessonBook book(100, 3 * one);
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(book.add(UsableLesson::from(sample(i))).empty());
  EXPECT_EQ(book.bytes(), 3 * one);
  Lesson longer = sample(3);
  longer.text += "x";
  EXPECT_EQ(book.add(UsableLesson::from(longer)), std::vector<std::string>{"les_1"}) << "in the place of itself, and one byte too many";
  EXPECT_EQ(book.bytes(), 2 * one + 1);
  book.retire("les_2");
  book.retire("les_3");
  EXPECT_EQ(book.bytes(), 0u);
}

}  // namespace
}  // namespace understudy::lessons
