#include "cascade/internal/lesson_offer.h"

namespace understudy::cascade::internal {

bool complete_lesson(lessons::LessonOffer& offer, const std::vector<Rung>& ladder, const std::vector<RungTrace>& traces, std::string_view served_rung,
                     const TaskConfig* task, const chat::Answer& teacher, const Verdicts* verdicts) {
  if (!teacher.tool_calls.empty() || !teacher.content || teacher.content->empty()) return false;
  offer.answer = *teacher.content;
  std::optional<std::size_t> about;
  for (std::size_t i = 0; i < ladder.size(); ++i) {
    // The answer of a rung with a signal is that of the rung it looks at.
    const std::size_t answered = ladder[i].signal ? ladder[i].of : i;
    if (!traces[answered].answer) continue;
    const bool served = ladder[i].name == served_rung && !served_rung.empty();
    if (served || (!about && ladder[i].stage == Stage::kStudent)) about = answered;
    if (served) break;
  }
  if (!about) return true;
  const chat::Answer& student = *traces[*about].answer;
  offer.student_answer = chat::answer_text(student);
  offer.student_rung = ladder[*about].name;
  offer.student_agrees = compare_answers(task, student, teacher, verdicts).agrees;
  if (!offer.student_confidence) offer.student_confidence = traces[*about].raw;
  return true;
}

}  // namespace understudy::cascade::internal
