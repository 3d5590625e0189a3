#pragma once
#include "lessons/lesson_book.h"

namespace understudy::lessons::internal {

/// Whether the lesson's request was one message of the user, as far as its `messages` tell; a lesson without them is.
bool is_single_turn(const UsableLesson& lesson);

}  // namespace understudy::lessons::internal
