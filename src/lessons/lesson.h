#pragma once
/// A lesson: what the teacher answered where the student was unsure or wrong, kept so that it need not be asked again. Written off the
/// user's path. The same type in memory, in the store (its JSON, docs/formats/lesson.md) and in exports.
///
/// A lesson belongs to one tenant and never leaves it; it is valid for one prompt template (`LessonScope::prompt_hash`). Texts are
/// redacted before they get here. Reasoning is stored with the lesson and never returned to users: what may be shown to a student is
/// a `UsableLesson` (lesson_book.h), which has none.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/money.h"

namespace understudy::lessons {

enum class LessonState : std::uint8_t {
  kCandidate,  ///< stored, not used: the teacher has not agreed to it yet, or its teaching is under way
  kActive,     ///< may be shown to a student
  kRetired,    ///< not used any more; kept for its ledger
};
std::string_view state_name(LessonState state);
std::optional<LessonState> parse_state(std::string_view name);

enum class Provenance : std::uint8_t {
  kImport,      ///< brought in from recorded traffic
  kEscalation,  ///< the student was not sure enough and the teacher served
  kSpotCheck,   ///< the teacher was asked beside it and disagreed
  kFeedback,    ///< a user's correction
};
std::string_view provenance_name(Provenance provenance);
std::optional<Provenance> parse_provenance(std::string_view name);
/// Of two lessons for the same room the one of higher rank stays: feedback 3, spot check 2, escalation 1, import 0.
constexpr int rank(Provenance provenance) { return static_cast<int>(provenance); }

enum class Teaching : std::uint8_t {
  kPending,     ///< the teacher will be asked for reasoning and examples
  kTaught,      ///< it has given them
  kAnswerOnly,  ///< it will not be asked, or its reply was no use; `teaching_note` says why
};
std::string_view teaching_name(Teaching teaching);

/// Where a lesson may be used; all of it must be equal.
struct LessonScope {
  std::string tenant;             ///< "" where requests have none
  std::string cascade;
  std::string task;               ///< "" for requests without one
  std::uint64_t prompt_hash = 0;  ///< ChatRequest::prompt_hash; 0: the requests have no prompt in common
  friend auto operator<=>(const LessonScope&, const LessonScope&) = default;
};

struct LessonExample {
  std::string input;
  std::string answer;
  friend bool operator==(const LessonExample&, const LessonExample&) = default;
};

/// How much one part of the answer can be relied on.
struct LessonPart {
  std::string part;
  double reliability = 0;   ///< 0..1, as the teacher says
  std::string rests_on;
  friend bool operator==(const LessonPart&, const LessonPart&) = default;
};

/// How often it was shown, and what came of it. Counted by request, pooled over like lessons by whoever judges them.
struct LessonLedger {
  std::uint64_t injected = 0;          ///< shown to the student
  std::uint64_t injected_judged = 0;   ///< of those, compared with the teacher's answer
  std::uint64_t injected_agree = 0;
  std::uint64_t withheld = 0;          ///< chosen, and held back by a coin
  std::uint64_t withheld_judged = 0;
  std::uint64_t withheld_agree = 0;
  friend bool operator==(const LessonLedger&, const LessonLedger&) = default;
};

struct Lesson {
  std::string id;                  ///< "les_" + 26 characters, sorts by time
  std::string request_id;          ///< that it came from; deleting the request deletes the lesson
  LessonScope scope;
  std::uint64_t input_hash = 0;    ///< of the canonical request: one lesson an input
  WallTime created;
  LessonState state = LessonState::kCandidate;
  std::string retired_because;     ///< "" unless retired
  Provenance provenance = Provenance::kEscalation;
  bool agreed_by_teacher = false;  ///< `answer` is the teacher's own, or the teacher's own agrees with it. Without it a lesson is never active

  // input
  std::string text;                ///< text of the last user message
  std::string messages;            ///< JSON array of the request's messages without system and developer ones
  std::string parameters;          ///< JSON object of sampling fields (temperature, max_tokens, ...); "" where there are none

  // teacher
  std::string answer;              ///< the final answer as text
  std::string reasoning;           ///< step by step; "" unless taught. Never returned to users
  std::vector<LessonExample> examples;   ///< further ones that show the same rule; at most 3
  std::vector<LessonPart> parts;
  std::string teacher_model;       ///< configured name
  Teaching teaching = Teaching::kPending;
  std::string teaching_note;       ///< why it is answer-only, or waits
  std::optional<WallTime> taught;
  Picousd cost;                    ///< what asking for the teaching has cost so far, known costs only
  bool cost_unknown = false;       ///< some call's cost is not known
  Picousd reserved;                ///< set aside for the call that runs; 0 when none does

  // student
  std::string student_answer;      ///< "" where it was not asked, or the answer was no text
  std::optional<double> student_confidence;
  std::string student_rung;
  std::optional<bool> student_agrees;

  double value = 0;                ///< expected, in USD a day, when it was offered (offer.h)
  LessonLedger ledger;             ///< not part of the JSON: kept in counters of the store
};

/// Its JSON form, one line, without the ledger.
std::string lesson_json(const Lesson& lesson);

/// kCorrupt where it is no lesson: not an object, a field of the wrong type or missing, a number out of range. Unknown fields are
/// skipped. `lesson_json(*parse_lesson(j)) == j` for each j that lesson_json wrote.
Result<Lesson> parse_lesson(std::string_view json);

/// Sixteen lower-case hexadecimal digits, and back; JSON numbers would lose bits.
std::string hash_text(std::uint64_t hash);
std::optional<std::uint64_t> parse_hash_text(std::string_view text);

}  // namespace understudy::lessons
