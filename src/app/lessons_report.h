#pragma once
/// `understudy lessons list|show`, as text and as JSON (docs/formats/cli-json.md). Pure.

#include <string>

#include "app/terminal.h"
#include "base/clock.h"
#include "base/error.h"
#include "lessons/lesson.h"
#include "store/queries.h"

namespace understudy::app {

/// A stored lesson with its counters. kCorrupt where its JSON cannot be read.
Result<lessons::Lesson> read_lesson(const store::LessonRecord& record);

/// `more`: the command line that shows the next page; "" where there is none.
std::string lessons_text(const store::LessonPage& page, WallTime now, const std::string& more, const TextStyle& style);
/// understudy.lessons/1. `full`: each lesson whole, as in exports; else without reasoning, examples, parts and messages.
std::string lessons_json(const store::LessonPage& page, bool full);

std::string lesson_text(const lessons::Lesson& lesson, WallTime now, const TextStyle& style);
/// understudy.lesson/1 with `ledger`: one line.
std::string lesson_line(const lessons::Lesson& lesson);

}  // namespace understudy::app
