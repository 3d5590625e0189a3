#pragma once
/// What a request has shown, as an offer to the lessons.

#include <string_view>
#include <vector>

#include "cascade/internal/rung_traces.h"
#include "lessons/offer.h"

namespace understudy::cascade::internal {

/// Fills in the teacher's answer, and the student's: that of the rung which served, else of the first that answered. False where the
/// teacher's answer is no text alone: calls of tools are not shown to students.
bool complete_lesson(lessons::LessonOffer& offer, const std::vector<Rung>& ladder, const std::vector<RungTrace>& traces, std::string_view served_rung,
                     const TaskConfig* task, const chat::Answer& teacher, const Verdicts* verdicts = nullptr);

}  // namespace understudy::cascade::internal
