#include "app/lessons_report.h"

#include <fmt/format.h>

#include "app/human.h"
#include "app/record_json.h"
#include "app/section.h"
#include "app/table.h"
#include "base/json_writer.h"
#include "base/time_format.h"

namespace understudy::app {
namespace {

using Align = Table::Align;
using Cell = Table::Cell;
using lessons::Lesson;
using lessons::LessonState;
using lessons::Teaching;

Cell state_cell(std::string_view state) {
  return {std::string(state), state == "active" ? Ink::kGreen : state == "candidate" ? Ink::kYellow : Ink::kDim};
}

std::string taught_text(const Lesson& lesson) {
  switch (lesson.teaching) {
    case Teaching::kPending: return "waits";
    case Teaching::kTaught: return "yes";
    case Teaching::kAnswerOnly: break;
  }
  return "answer";
}

void write_ledger(JsonWriter& w, const lessons::LessonLedger& l) {
  const auto count = [](std::uint64_t n) { return static_cast<std::int64_t>(n); };
  w.begin_object().field("injected", count(l.injected)).field("injected_judged", count(l.injected_judged)).field("injected_agree", count(l.injected_agree));
  w.field("withheld", count(l.withheld)).field("withheld_judged", count(l.withheld_judged)).field("withheld_agree", count(l.withheld_agree)).end_object();
}

void write_summary(JsonWriter& w, const store::LessonRecord& record, const Lesson& l) {
  w.begin_object().field("id", l.id).field("created_at", format_rfc3339(l.created)).field("request_id", l.request_id);
  write_text(w, "tenant", l.scope.tenant);
  w.field("cascade", l.scope.cascade);
  write_text(w, "task", l.scope.task);
  w.field("state", record.state).field("provenance", record.provenance).field("agreed_by_teacher", l.agreed_by_teacher);
  w.field("teaching", lessons::teaching_name(l.teaching));
  write_usd(w, "cost", l.cost_unknown ? std::nullopt : std::optional(l.cost));
  w.field("input", l.text).field("answer", l.answer);
  write_text(w, "student_answer", l.student_answer);
  w.key("ledger");
  write_ledger(w, l.ledger);
  w.end_object();
}

std::string share(std::uint64_t part, std::uint64_t whole) { return whole == 0 ? "not judged yet" : fmt::format("{} of {} agree with the teacher ({})", part, whole, percent(part, whole)); }

}  // namespace

Result<Lesson> read_lesson(const store::LessonRecord& record) {
  auto lesson = lessons::parse_lesson(record.detail);
  if (!lesson) return fail(std::move(lesson.error()));
  const auto count = [](std::int64_t n) { return static_cast<std::uint64_t>(n); };
  lesson->ledger = {count(record.injected),        count(record.injected_judged), count(record.injected_agree),
                    count(record.withheld),        count(record.withheld_judged), count(record.withheld_agree)};
  return lesson;
}

std::string lesson_line(const Lesson& lesson) {
  std::string out = lessons::lesson_json(lesson);
  out.pop_back();
  out += ",\"ledger\":";
  JsonWriter w(out);
  write_ledger(w, lesson.ledger);
  return out + "}\n";
}

std::string lessons_text(const store::LessonPage& page, WallTime now, const std::string& more, const TextStyle& style) {
  if (page.lessons.empty()) return "No such lessons.\n";
  Table table({{"TIME (UTC)", Align::kLeft, false},
               {"LESSON", Align::kLeft, false},
               {"TASK", Align::kLeft, true},
               {"STATE", Align::kLeft, false},
               {"FROM", Align::kLeft, false},
               {"TAUGHT", Align::kLeft, false},
               {"SHOWN", Align::kRight, false},
               {"INPUT", Align::kLeft, true},
               {"ANSWER", Align::kLeft, true}});
  for (const store::LessonRecord& record : page.lessons) {
    const auto lesson = read_lesson(record);
    if (!lesson) {
      table.add({short_time(record.created, now), printable(record.lesson_id), record.task.empty() ? "-" : printable(record.task), state_cell(record.state),
                 printable(record.provenance), "-", "-", "(cannot be read)", ""});
      continue;
    }
    constexpr std::size_t kExcerpt = 60;
    table.add({short_time(record.created, now), printable(record.lesson_id), record.task.empty() ? "-" : printable(record.task), state_cell(record.state),
               printable(record.provenance), taught_text(*lesson), std::to_string(lesson->ledger.injected), excerpt(lesson->text, kExcerpt), excerpt(lesson->answer, kExcerpt)});
  }
  return table.render(style) + (more.empty() ? more : paint(style, Ink::kDim, "More: " + more) + "\n");
}

std::string lessons_json(const store::LessonPage& page, bool full) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.lessons/1").key("lessons").begin_array();
  std::int64_t unreadable = 0;
  for (const store::LessonRecord& record : page.lessons) {
    const auto lesson = read_lesson(record);
    if (!lesson) {
      ++unreadable;
    } else if (full) {
      std::string line = lesson_line(*lesson);
      line.pop_back();
      w.raw(line);
    } else {
      write_summary(w, record, *lesson);
    }
  }
  w.end_array().field("unreadable", unreadable).key("next");
  page.next ? w.string(*page.next) : w.null();
  w.end_object();
  return out + "\n";
}

std::string lesson_text(const Lesson& l, WallTime now, const TextStyle& style) {
  Section s(style);
  std::string out = fmt::format("{}  {}  {}\n", paint(style, Ink::kBold, printable(l.id)), lessons::state_name(l.state), human_time(l.created));
  if (l.state == LessonState::kRetired) s.line("retired", printable(l.retired_because));
  s.line("where", fmt::format("cascade {}, task {}, tenant {}, prompt {}", printable(l.scope.cascade), l.scope.task.empty() ? "(none)" : printable(l.scope.task),
                              l.scope.tenant.empty() ? "(none)" : printable(l.scope.tenant), lessons::hash_text(l.scope.prompt_hash)));
  s.line("from", fmt::format("{}, request {} ({})", lessons::provenance_name(l.provenance), printable(l.request_id), human_ago(l.created, now)));
  s.line("input", printable(l.text));
  s.line("answer", printable(l.answer) + (l.agreed_by_teacher ? "" : "  (the teacher has not agreed to it: not used)"));
  if (!l.student_answer.empty()) {
    s.line("student", printable(l.student_answer) + (l.student_agrees ? (*l.student_agrees ? "  (right, but unsure)" : "  (wrong)") : "") +
                          (l.student_confidence ? fmt::format("  confidence {}", human_confidence(*l.student_confidence)) : ""));
  }
  const std::string note = l.teaching_note.empty() ? "" : ": " + printable(l.teaching_note);
  s.line("taught", l.teaching == Teaching::kTaught ? fmt::format("by {}", printable(l.teacher_model)) : l.teaching == Teaching::kPending ? "not yet" + note : "answer only" + note);
  s.line("reasoning", printable(l.reasoning));
  for (const lessons::LessonExample& e : l.examples) s.line("example", fmt::format("{}  ->  {}", printable(e.input), printable(e.answer)));
  for (const lessons::LessonPart& p : l.parts) s.line("reliable", fmt::format("{}: {} ({})", printable(p.part), human_confidence(p.reliability), printable(p.rests_on)));
  s.line("cost", human_usd(l.cost_unknown ? std::nullopt : std::optional(l.cost)));
  s.line("shown", fmt::format("{}; {}", counted(static_cast<std::int64_t>(l.ledger.injected), "time"), share(l.ledger.injected_agree, l.ledger.injected_judged)));
  s.line("withheld", fmt::format("{}; {}", counted(static_cast<std::int64_t>(l.ledger.withheld), "time"), share(l.ledger.withheld_agree, l.ledger.withheld_judged)));
  return out + s.take();
}

}  // namespace understudy::app
