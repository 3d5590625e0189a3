#include "app/requests_report.h"

#include <fmt/format.h>

#include <cmath>

#include "app/answer_text.h"
#include "app/human.h"
#include "app/record_json.h"
#include "app/table.h"
#include "calibration/features.h"
#include "store/rung_name.h"

namespace understudy::app {
namespace {

using Align = Table::Align;
using Cell = Table::Cell;

/// Columns for an excerpt: what the terminal has, or a fair size where the output is a file.
std::size_t excerpt_width(const TextStyle& style, std::size_t before) {
  constexpr std::size_t kInFiles = 160;
  return style.width == 0 ? kInFiles : style.width - std::min(style.width - 20, before);
}

std::string next_page(const std::string& more, const TextStyle& style) {
  return more.empty() ? more : paint(style, Ink::kDim, "More: " + more) + "\n";
}

Cell served_cell(const store::RequestRecord& r) {
  if (!r.served_by) return {"failed", Ink::kRed};
  return {std::string(stage_name(*r.served_by)), *r.served_by == Stage::kTeacher ? Ink::kYellow : Ink::kGreen};
}

std::string saved_text(const store::RequestRecord& r) {
  if (!r.cost || !r.teacher_cost) return "unknown";
  return human_usd(*r.teacher_cost - *r.cost, r.teacher_cost_estimated || r.cost_estimated);
}

std::string confidence_text(const store::RequestRecord& r) {
  return r.confidence ? human_confidence(*r.confidence, r.threshold) : "-";
}

/// Why the teacher was asked, in one phrase.
std::string why(const store::RequestRecord& r) {
  std::string text = printable(r.reason);
  if (r.confidence && r.threshold) {
    text += fmt::format(": confidence {} against {}{}", confidence_text(r), human_confidence(*r.threshold, r.confidence),
                        r.threshold_by_hand ? " (by hand)" : "");
  } else if (r.confidence) {
    text += fmt::format(": confidence {}, no threshold", confidence_text(r));
  }
  return text;
}

std::string said(const store::RequestDetail& detail, Stage stage, std::size_t width) {
  if (const store::AttemptRecord* attempt = answer_of(detail, stage)) return excerpt(stored_answer_text(attempt->answer), width);
  for (const store::AttemptRecord& attempt : detail.attempts) {
    if (attempt.stage == stage) return fmt::format("failed: {} (status {})", printable(attempt.error), attempt.status);
  }
  return "(not asked)";
}

void write_answer(JsonWriter& w, std::string_view key, const store::RequestDetail& detail, Stage stage) {
  const store::AttemptRecord* attempt = answer_of(detail, stage);
  w.key(key);
  if (attempt == nullptr) {
    w.null();
    return;
  }
  w.begin_object().field("model", attempt->model);
  write_optional(w, "confidence", attempt->confidence);
  write_usd(w, "cost", attempt->cost);
  w.key("text");
  attempt->answer.stored ? w.string(message_text(attempt->answer.text)) : w.null();
  w.field("truncated", attempt->answer.truncated());
  write_text(w, "rung", attempt->rung);
  w.field("latency_ms", static_cast<double>(attempt->latency_us) / 1e3);
  w.field("first_byte_ms", static_cast<double>(attempt->first_byte_us) / 1e3);
  w.key("usage");
  write_usage(w, attempt->usage);
  write_features(w, *attempt);
  w.end_object();
}

/// Keys of an escalation inside an object that the caller has opened.
void write_escalation_fields(JsonWriter& w, const Escalation& escalation) {
  write_request_fields(w, escalation.request);
  if (escalation.detail) {
    write_optional(w, "student_agrees", store::judged_agreement(*escalation.detail));
    write_body(w, "request", escalation.detail->body);
    write_answer(w, "student", *escalation.detail, Stage::kStudent);
    write_answer(w, "teacher", *escalation.detail, Stage::kTeacher);
  } else {
    write_optional(w, "student_agrees", escalation.request.agrees);
    w.key("request").null().key("student").null().key("teacher").null();
  }
}

/// "mean_logprob -0.07, margin 3.5": what the student's confidence was made of; "" where nothing is stored.
std::string signals_text(const store::AttemptRecord& attempt) {
  const auto names = calibration::feature_names(static_cast<std::uint16_t>(attempt.feature_schema));
  std::string text;
  for (std::size_t i = 0; i < attempt.features.size(); ++i) {
    if (!std::isfinite(attempt.features[i])) continue;
    const std::string name = i < names.size() ? std::string(names[i]) : fmt::format("feature_{}", i);
    text += fmt::format("{}{} {:.3g}", text.empty() ? "" : ", ", name, attempt.features[i]);
  }
  return text;
}

/// "731 ms: student 30 ms, teacher 700 ms".
std::string took(const store::RequestRecord& r, const std::optional<store::RequestDetail>& detail) {
  std::string text = human_duration(r.latency_us), parts;
  if (!detail) return text;
  for (const Stage stage : {Stage::kStudent, Stage::kTeacher}) {
    const store::AttemptRecord* attempt = answer_of(*detail, stage);
    if (attempt != nullptr) parts += fmt::format("{} {} {}", parts.empty() ? ":" : ",", stage_name(stage), human_duration(attempt->latency_us));
  }
  return text + parts;
}

void write_next(JsonWriter& w, const std::optional<std::string>& next) {
  w.key("next");
  next ? w.string(*next) : w.null();
}

}  // namespace

const store::AttemptRecord* answer_of(const store::RequestDetail& detail, Stage stage) {
  const store::AttemptRecord* last = nullptr;
  for (const store::AttemptRecord& attempt : detail.attempts) {
    if (attempt.stage != stage || !attempt.error.empty() || store::is_signal_rung(attempt.rung)) continue;
    if (attempt.served) return &attempt;
    last = &attempt;
  }
  return last;
}

std::string requests_text(const store::RequestPage& page, WallTime now, const std::string& more, const TextStyle& style) {
  if (page.requests.empty()) return "No such requests.\n";
  Table table({{"TIME (UTC)", Align::kLeft, false},
               {"REQUEST", Align::kLeft, false},
               {"TASK", Align::kLeft, true},
               {"BY", Align::kLeft, false},
               {"REASON", Align::kLeft, true},
               {"CONF", Align::kRight, false},
               {"COST", Align::kRight, false},
               {"SAVED", Align::kRight, false},
               {"TOOK", Align::kRight, false}});
  for (const store::RequestRecord& r : page.requests) {
    const std::string reason = r.error.empty() ? r.reason : fmt::format("{} {}", r.status, r.error);
    table.add({short_time(r.finished_at, now), printable(r.request_id), r.task.empty() ? "-" : printable(r.task), served_cell(r),
               printable(reason), confidence_text(r), human_usd(r.cost, r.cost_estimated), saved_text(r), human_duration(r.latency_us)});
  }
  return table.render(style) + next_page(more, style);
}

std::string requests_json(const store::RequestPage& page) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.requests/1");
  w.key("requests").begin_array();
  for (const store::RequestRecord& r : page.requests) {
    w.begin_object();
    write_request_fields(w, r);
    w.end_object();
  }
  w.end_array();
  write_next(w, page.next);
  w.end_object();
  return out + "\n";
}

std::string escalations_text(const EscalationPage& page, WallTime now, const std::string& more, const TextStyle& style) {
  if (page.escalations.empty()) return "No such escalations.\n";
  std::string out;
  const auto line = [&](std::string_view name, const std::string& text) { out += fmt::format("  {:<9}{}\n", name, text); };
  for (const Escalation& escalation : page.escalations) {
    const store::RequestRecord& r = escalation.request;
    out += fmt::format("{}  {}", paint(style, Ink::kBold, printable(r.request_id)), short_time(r.finished_at, now));
    if (!r.task.empty()) out += "  " + printable(r.task);
    if (!r.tenant.empty()) out += "  " + paint(style, Ink::kDim, "tenant " + printable(r.tenant));
    out += "\n";
    line("why", why(r));
    if (escalation.detail) {
      const std::size_t width = excerpt_width(style, 11);
      line("asked", excerpt(stored_request_text(escalation.detail->body), width));
      line("student", said(*escalation.detail, Stage::kStudent, width));
      line("teacher", said(*escalation.detail, Stage::kTeacher, width));
      const store::AttemptRecord* student = answer_of(*escalation.detail, Stage::kStudent);
      if (const std::string signals = student != nullptr ? signals_text(*student) : ""; !signals.empty()) line("signals", truncate(signals, width));
    } else {
      line("texts", "(not stored)");
    }
    const auto agrees = escalation.detail ? store::judged_agreement(*escalation.detail) : r.agrees;
    if (agrees) line("same?", *agrees ? "yes: the student's answer agrees with the teacher's" : "no");
    line("took", took(r, escalation.detail));
    line("cost",
         fmt::format("{} (the teacher alone: {})", human_usd(r.cost, r.cost_estimated), human_usd(r.teacher_cost, r.teacher_cost_estimated)));
    out += "\n";
  }
  return out + next_page(more, style);
}

std::string escalations_json(const EscalationPage& page) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.escalations/1");
  w.key("escalations").begin_array();
  for (const Escalation& escalation : page.escalations) {
    w.begin_object();
    write_escalation_fields(w, escalation);
    w.end_object();
  }
  w.end_array();
  write_next(w, page.next);
  w.end_object();
  return out + "\n";
}

void append_escalation_line(const Escalation& escalation, std::string& out) {
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.escalation/1");
  write_escalation_fields(w, escalation);
  w.key("attempts").begin_array();
  if (escalation.detail) {
    for (const store::AttemptRecord& attempt : escalation.detail->attempts) write_attempt(w, attempt);
  }
  w.end_array().key("labels").begin_array();
  if (escalation.detail) {
    for (const store::LabelRecord& label : escalation.detail->labels) write_label(w, label);
  }
  w.end_array().key("feedback").begin_array();
  if (escalation.detail) {
    for (const store::FeedbackRecord& feedback : escalation.detail->feedback) write_feedback(w, feedback);
  }
  w.end_array().field("after", escalation.request.after).end_object();
  out += '\n';
}

}  // namespace understudy::app
