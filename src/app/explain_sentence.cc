#include <fmt/format.h>

#include <algorithm>

#include "app/explain_report.h"
#include "app/human.h"
#include "cascade/decision.h"

namespace understudy::app {
namespace {

using store::AttemptRecord;
using store::RequestDetail;
using store::RequestRecord;
namespace reason = cascade::reason;

std::string by_hand(const RequestRecord& r) { return r.threshold_by_hand ? " (set by hand)" : ""; }

/// "the student (qwen)" where the model's name says more than the stage's.
std::string who(Stage stage, const std::string& model) {
  const std::string name = fmt::format("the {}", stage_name(stage));
  return model.empty() || model == stage_name(stage) ? name : fmt::format("{} ({})", name, printable(model));
}

/// Who served, as the subject of a clause.
std::string server(const RequestRecord& r) { return r.served_by ? who(*r.served_by, r.served_model) : "nobody"; }

const AttemptRecord* attempt_of(const RequestDetail& detail, Stage stage) {
  const auto found = std::find_if(detail.attempts.begin(), detail.attempts.end(),
                                  [&](const AttemptRecord& a) { return a.stage == stage && !a.off_path; });
  return found == detail.attempts.end() ? nullptr : &*found;
}

/// "with confidence 0.93, at or above 0.80 (set by hand)".
std::string against_threshold(const RequestRecord& r) {
  if (!r.confidence) return "without a confidence";
  const std::string confidence = human_confidence(*r.confidence, r.threshold);
  if (!r.threshold) return fmt::format("with confidence {}, and no threshold keeps the promise", confidence);
  return fmt::format("with confidence {}, {} {}{}", confidence, *r.confidence >= *r.threshold ? "at or above" : "below",
                     human_confidence(*r.threshold, r.confidence), by_hand(r));
}

std::string student_failed(const RequestDetail& detail) {
  const AttemptRecord* student = attempt_of(detail, Stage::kStudent);
  if (student == nullptr) return "The student failed";
  std::string subject = who(Stage::kStudent, student->model);
  subject[0] = 'T';
  std::string what = student->error.empty() ? "" : printable(student->error);
  if (student->status != 0) what += fmt::format("{}status {}", what.empty() ? "" : ", ", student->status);
  return fmt::format("{} failed{}", subject, what.empty() ? "" : " (" + what + ")");
}

std::string decided(const RequestDetail& detail) {
  const RequestRecord& r = detail.request;
  if (!r.served_by && r.reason == reason::kClientGone) return "The client left before there was an answer, so nobody else was asked";
  if (!r.served_by) {
    return fmt::format("No answer was served: the client got an error (status {}{})", r.status,
                       r.error.empty() ? "" : ", " + printable(r.error));
  }
  if (r.reason == reason::kConfident)
    return fmt::format("The student answered {}, so its answer was served", against_threshold(r));
  if (r.reason == reason::kBelowThreshold)
    return fmt::format("The student answered {}, so {} was asked and served", against_threshold(r), server(r));
  if (r.reason == reason::kNoSignal) {
    return fmt::format(
        "The student's answer came without logprobs, so that nothing says how sure it was; {} was asked and served", server(r));
  }
  if (r.reason == reason::kStudentError) return fmt::format("{}, so {} was asked and served", student_failed(detail), server(r));
  if (r.reason == reason::kCacheHit)
    return "The same request had been answered before: the stored answer was served and no model was called for it";
  if (r.reason == reason::kMode) return fmt::format("The mode \"{}\" said who answers: {} served", printable(r.mode), server(r));
  if (r.reason == reason::kShadow)
    return fmt::format("In shadow mode the teacher serves everything and the rest runs beside it: {} served", server(r));
  if (r.reason == reason::kNoCalibration)
    return fmt::format("No version of the task's promise was proven, so {} served (`understudy tasks show` says what is missing)", server(r));
  if (r.reason == reason::kNewPrompt) {
    return fmt::format("The proof in force is about other prompts (system message, tools or format), so {} served", server(r));
  }
  if (r.reason == reason::kPinned)
    return fmt::format("The task \"{}\" is pinned to the teacher: {} served", printable(r.task), server(r));
  if (r.reason == reason::kNoStudent)
    return fmt::format("The cascade \"{}\" has no student: {} served", printable(r.cascade), server(r));
  if (r.reason == reason::kTeacherError) {
    return fmt::format("The teacher failed, and on_teacher_failure = \"student\" let {} serve, outside the promise", server(r));
  }
  if (r.reason == reason::kDirect)
    return fmt::format("The client named the model \"{}\", which answered alone", printable(r.requested_model));
  return fmt::format("Served by {}; reason: {}", server(r), r.reason.empty() ? "not recorded" : printable(r.reason));
}

std::string costs(const RequestRecord& r) {
  const std::string spent = r.cost ? "it cost " + human_usd(r.cost, r.cost_estimated) : "what it cost is unknown";
  const bool teacher_only = r.served_by == Stage::kTeacher && r.cost && r.teacher_cost && *r.cost == *r.teacher_cost;
  if (teacher_only) return spent + ", all of it the teacher's";
  if (!r.teacher_cost) return spent + "; what the teacher would have cost is unknown";
  const std::string teacher = human_usd(r.teacher_cost, r.teacher_cost_estimated);
  const bool teacher_answered = r.served_by == Stage::kTeacher || !r.teacher_cost_estimated;
  return fmt::format("{}, the teacher {} {}", spent, teacher_answered ? "alone would have cost" : "would have cost", teacher);
}

}  // namespace

std::string explain_sentence(const RequestDetail& detail) {
  const RequestRecord& r = detail.request;
  if (!r.finished) {
    return "The end of this request is not recorded: it is still running, or the gateway was cut off. What is known of it:";
  }
  std::string text = fmt::format("{}; {}.", decided(detail), costs(r));
  if (r.client_gone && r.reason != reason::kClientGone) text += " The client had gone before the end.";
  if (r.coin_heads) text += " The spot check's coin fell on it: student and teacher are compared.";
  return text;
}

}  // namespace understudy::app
