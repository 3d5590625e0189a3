#include "app/explain_report.h"

#include <fmt/format.h>

#include <cmath>

#include "app/answer_text.h"
#include "app/human.h"
#include "app/record_json.h"
#include "app/section.h"
#include "app/table.h"
#include "base/time_format.h"
#include "calibration/features.h"

namespace understudy::app {
namespace {

using store::AttemptRecord;
using store::RequestDetail;
using store::RequestRecord;
using Align = Table::Align;

constexpr std::size_t kNameWidth = Section::kNameWidth;

std::string joined(std::initializer_list<std::string> parts, std::string_view separator = ", ") {
  std::string out;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    if (!out.empty()) out += separator;
    out += part;
  }
  return out;
}

std::string named(std::string_view name, const std::string& value) {
  return value.empty() ? "" : fmt::format("{} {}", name, printable(value));
}

/// "student, qwen"; the zero-config names "student" and "teacher" are not said twice.
std::string stage_and_model(Stage stage, const std::string& model) {
  const std::string name(stage_name(stage));
  return joined({name, model == name ? "" : printable(model)});
}

std::string coin_text(const RequestRecord& r) {
  if (r.coin_probability <= 0) return "none tossed";
  std::string text = fmt::format("{} (probability {})", r.coin_heads ? "heads: picked" : "tails: not picked", r.coin_probability);
  if (r.agrees) {
    text += fmt::format("; student {} with the teacher{}", *r.agrees ? "agrees" : "disagrees",
                        r.label_source.empty() ? "" : " (label from " + printable(r.label_source) + ")");
  }
  return text;
}

std::string threshold_text(const RequestRecord& r) {
  if (!r.confidence && !r.threshold) return "none";
  const std::string confidence = r.confidence ? fmt::format("{:.4f}", *r.confidence) : "none";
  return fmt::format("{}, threshold {}", confidence,
                     r.threshold ? fmt::format("{}{}", *r.threshold, r.threshold_by_hand ? " (set by hand)" : "") : "never");
}

/// What was spent beside the request, to have a label; "" where nothing was.
std::string labels_cost(const RequestDetail& detail) {
  Picousd sum;
  bool any = false, known = true, estimated = false;
  for (const AttemptRecord& a : detail.attempts) {
    if (!a.off_path) continue;
    any = true;
    known = known && a.cost.has_value();
    estimated = estimated || (a.usage && a.usage->estimated);
    sum = sum + a.cost.value_or(Picousd{0});
  }
  if (!any) return {};
  return fmt::format("{} spent beside it, for a label", known ? human_usd(std::optional(sum), estimated) : "an unknown amount");
}

std::string decision_section(const RequestDetail& detail, WallTime now, const TextStyle& style) {
  const RequestRecord& r = detail.request;
  Section s(style);
  s.line("when", fmt::format("{} UTC ({}); took {}, {} of it ours", human_time(r.finished_at), human_ago(r.finished_at, now),
                             human_duration(r.latency_us), human_duration(r.overhead_us)));
  s.line("asked", joined({named("model", r.requested_model), named("route", r.route), r.streamed ? "streamed" : ""}));
  s.line("task", r.task.empty() ? "(no name)" : printable(r.task));
  s.line("from", joined({named("tenant", r.tenant), named("key", r.key), named("session", r.session),
                         named("consumer", r.consumer), named("tags", r.tags)}));
  if (!r.finished) return s.take();
  s.line("served by", r.served_by ? joined({stage_and_model(*r.served_by, r.served_model), named("rung", r.served_rung)}) : "nobody");
  s.line("reason", joined({printable(r.reason), r.escalated ? "escalated" : ""}));
  s.line("confidence", threshold_text(r));
  s.line("spot check", coin_text(r));
  s.line("policy", joined({printable(r.policy_version), named("promise", r.promise_version), named("cascade", r.cascade), named("mode", r.mode)}));
  s.line("status", joined({std::to_string(r.status), printable(r.error), r.complete ? "answer complete" : "answer not complete",
                           r.client_gone ? "client gone" : ""}));
  const std::string saved = r.cost && r.teacher_cost ? human_usd(*r.teacher_cost - *r.cost, r.teacher_cost_estimated || r.cost_estimated) : "unknown";
  s.line("cost", fmt::format("{}; the teacher alone {}; saved {}", human_usd(r.cost, r.cost_estimated),
                             human_usd(r.teacher_cost, r.teacher_cost_estimated), saved));
  s.line("labels", labels_cost(detail));
  return s.take();
}

std::string promise_section(const RequestRecord& r, const ExplainedPromise& promise, const TextStyle& style) {
  if (!promise.policy && !promise.row) return {};
  Section s(style);
  if (promise.policy) {
    const calibration::LadderPolicy& p = *promise.policy;
    s.line("version", fmt::format("{}, proven {} UTC: alpha {:.3g}, delta {:.3g}", p.version, human_time(WallTime{p.proven_at_us}), p.alpha, p.delta));
    s.line("proof", fmt::format("of {} fresh rows that it serves {} were bad: at most {:.2f} % disagree (delta spent {:.3g})", p.rows, p.bad, 100 * p.upper_bound, p.delta_spent));
    for (std::size_t i = 0; i < p.rungs.size(); ++i) {
      const std::string name = i < promise.rungs.size() ? printable(promise.rungs[i]) : fmt::format("rung {}", i);
      s.line(i == 0 ? "thresholds" : "", fmt::format("{}: {} ({})", name, p.rungs[i].threshold ? fmt::format("{:.4f}", *p.rungs[i].threshold) : "never", p.rungs[i].model.method));
    }
  }
  if (promise.row) {
    const calibration::LabelledRow& row = *promise.row;
    if (!row.shown.empty()) s.line("lessons", fmt::format("shown as examples: {}{}", fmt::join(row.shown, ", "), row.withheld.empty() ? "" : fmt::format("; held back by a coin: {}", fmt::join(row.withheld, ", "))));
    s.line("row", fmt::format("{} row, probability {:.3g}: {}", row.use == calibration::RowUse::kTest ? "test" : "fit", row.propensity, promise.row_fate));
    for (std::size_t i = 0; i < row.rungs.size(); ++i) {
      const calibration::RungOutcome& o = row.rungs[i];
      const std::string name = i < promise.row_rungs.size() ? printable(promise.row_rungs[i]) : fmt::format("rung {}", i);
      const std::string verdict = o.verdict ? fmt::format("; {} says {:.2f}", printable(row.verdicts_by), *o.verdict) : std::string();
      s.line(i == 0 ? "outcomes" : "", o.usable ? fmt::format("{}: raw confidence {:.4f}, {}{}", name, o.raw, o.bad ? "disagrees with the teacher" : "agrees with the teacher", verdict) : name + ": no usable answer");
    }
    if (row.estimated) s.line("", "so the distilled judge: the row may teach, and is no label");
  } else if (r.coin_heads) {
    s.line("row", "none: its label was not made (yet), or could not be kept");
  }
  return "\n" + paint(style, Ink::kBold, "Promise") + "\n" + s.take();
}

void write_promise(JsonWriter& w, const ExplainedPromise& promise) {
  w.key("promise");
  if (promise.policy) {
    const calibration::LadderPolicy& p = *promise.policy;
    w.begin_object().field("version", p.version).field("alpha", p.alpha).field("delta", p.delta).field("delta_spent", p.delta_spent);
    w.field("rows", p.rows).field("bad", p.bad).field("upper_bound", p.upper_bound).field("proven_at", format_rfc3339(WallTime{p.proven_at_us}));
    w.key("thresholds").begin_object();
    for (std::size_t i = 0; i < p.rungs.size(); ++i) {
      w.key(i < promise.rungs.size() ? promise.rungs[i] : fmt::format("rung_{}", i));
      p.rungs[i].threshold ? w.number(*p.rungs[i].threshold) : w.string("never");
    }
    w.end_object().end_object();
  } else {
    w.null();
  }
  w.key("row");
  if (!promise.row) {
    w.null();
    return;
  }
  const calibration::LabelledRow& row = *promise.row;
  w.begin_object().field("use", row.use == calibration::RowUse::kTest ? "test" : "fit").field("propensity", row.propensity).field("fate", promise.row_fate);
  const auto lessons = [&](std::string_view key, const std::vector<std::string>& ids) {
    w.key(key).begin_array();
    for (const std::string& id : ids) w.string(id);
    w.end_array();
  };
  lessons("lessons_shown", row.shown);
  lessons("lessons_withheld", row.withheld);
  write_text(w, "verdicts_by", row.verdicts_by);
  w.field("estimated", row.estimated);
  w.key("rungs").begin_array();
  for (std::size_t i = 0; i < row.rungs.size(); ++i) {
    const calibration::RungOutcome& o = row.rungs[i];
    w.begin_object().field("rung", i < promise.row_rungs.size() ? promise.row_rungs[i] : fmt::format("rung_{}", i)).field("usable", o.usable);
    write_optional(w, "raw_confidence", o.usable ? std::optional(o.raw) : std::nullopt);
    write_optional(w, "agrees", o.usable ? std::optional(!o.bad) : std::nullopt);
    write_optional(w, "verdict", o.verdict);
    w.end_object();
  }
  w.end_array().end_object();
}

std::string usage_text(const AttemptRecord& a) {
  if (!a.usage) return "unknown";
  const Usage& u = *a.usage;
  const auto part = [](std::int64_t n, std::string_view what) {
    return n > 0 ? fmt::format("{} {}", human_count(n), what) : std::string();
  };
  const std::string in = joined(
      {part(u.cached_input, "cached"), part(u.cache_write_5m, "cache write 5 min"), part(u.cache_write_1h, "cache write 1 h")});
  const std::string out = part(u.reasoning, "reasoning");
  return fmt::format("{}{} in{}, {}{} out{}", u.estimated ? "~" : "", human_count(u.input), in.empty() ? "" : " (" + in + ")",
                     u.estimated ? "~" : "", human_count(u.output), out.empty() ? "" : " (" + out + ")");
}

std::string features_table(const AttemptRecord& a, const TextStyle& style) {
  if (a.features.empty()) return {};
  const auto names = calibration::feature_names(static_cast<std::uint16_t>(a.feature_schema));
  const std::size_t rows = (a.features.size() + 1) / 2;
  Table table({{"", Align::kLeft, false}, {"", Align::kRight, false}, {"", Align::kLeft, false}, {"", Align::kRight, false}});
  const auto name = [&](std::size_t i) { return i < names.size() ? std::string(names[i]) : fmt::format("feature {}", i); };
  const auto value = [&](std::size_t i) {
    return std::isfinite(a.features[i]) ? fmt::format("{:.4g}", a.features[i]) : std::string("none");
  };
  for (std::size_t i = 0; i < rows; ++i) {
    const std::size_t j = i + rows;
    const bool two = j < a.features.size();
    table.add({name(i), value(i), two ? name(j) : "", two ? value(j) : ""});
  }
  return paint(style, Ink::kDim,
               fmt::format("  features (list {}{})\n", a.feature_schema, names.empty() ? ", not known to this version" : "")) +
         table.render(style, 4);
}

/// A text whole, every line behind four spaces, or one line of it.
std::string text_block(std::string_view name, const std::string& text, bool full, const TextStyle& style) {
  if (!full) {
    const std::size_t width = style.width == 0 ? 200 : style.width - kNameWidth - 2;
    return "  " + paint(style, Ink::kDim, pad_right(name, kNameWidth)) + excerpt(text, width) + "\n";
  }
  std::string out = "  " + paint(style, Ink::kDim, name) + "\n    ";
  for (const char c : printable(text, true)) {
    out += c;
    if (c == '\n') out += "    ";
  }
  return out + "\n";
}

std::string attempt_section(const AttemptRecord& a, bool full, const TextStyle& style) {
  const char* role = a.served ? ", served" : a.off_path ? ", beside the request (for a label only)" : ", not served";
  std::string out =
      "\n" + paint(style, Ink::kBold, fmt::format("Attempt {}: {}", a.attempt, stage_and_model(a.stage, a.model))) + role +
      (a.rung.empty() ? "" : ", for the rung " + printable(a.rung)) + "\n";
  Section s(style);
  const std::string upstream = a.upstream_model == a.model ? "" : printable(a.upstream_model);
  s.line("upstream", joined({printable(a.provider), upstream}, " "));
  s.line("result", joined({a.status == 0 ? "no status" : fmt::format("status {}", a.status), printable(a.error),
                           named("finish", a.finish_reason)}));
  s.line("took", a.first_byte_us > 0
                     ? fmt::format("{} (first byte after {})", human_duration(a.latency_us), human_duration(a.first_byte_us))
                     : human_duration(a.latency_us));
  s.line("tokens", usage_text(a));
  s.line("cost", human_usd(a.cost, a.usage && a.usage->estimated));
  s.line("confidence", a.confidence ? fmt::format("{:.4f}", *a.confidence) : "none");
  out += s.take() + features_table(a, style);
  if (a.error.empty() || a.answer.stored) {
    out += text_block("answer", full && a.answer.stored ? a.answer.text : stored_answer_text(a.answer), full, style);
  }
  return out;
}

std::string labels_section(const RequestDetail& detail, const TextStyle& style) {
  if (detail.labels.empty()) return {};
  std::string out = "\n" + paint(style, Ink::kBold, "Labels") + "\n";
  for (const store::LabelRecord& label : detail.labels) {
    const bool again = label.stage == Stage::kTeacher;  // asked a second time, to see how steady it is
    const std::string whose = label.rung.empty() || again ? std::string(stage_name(label.stage)) : printable(label.rung);
    out += fmt::format("  {}: the {}'s {} {} with the teacher's{} (asked for with probability {})\n", printable(label.source), whose,
                       again ? "second answer" : "answer", label.agrees ? "agrees" : "disagrees",
                       label.comparator.empty() ? "" : ", compared by " + printable(label.comparator), label.propensity);
  }
  return out;
}

std::string feedback_section(const RequestDetail& detail, bool full, const TextStyle& style) {
  if (detail.feedback.empty()) return {};
  std::string out = "\n" + paint(style, Ink::kBold, "Feedback") + "\n";
  for (const store::FeedbackRecord& feedback : detail.feedback) {
    const std::string score = feedback.score ? fmt::format("score {}", *feedback.score) : "";
    out += fmt::format("  from {}: {}\n", printable(feedback.source), joined({score, named("label", feedback.label)}));
    if (!feedback.correction.empty()) out += text_block("correction", feedback.correction, full, style);
    if (!feedback.comment.empty()) out += text_block("comment", feedback.comment, full, style);
  }
  return out;
}

std::string unsettled_section(const RequestDetail& detail, const TextStyle& style) {
  if (detail.unsettled.empty()) return {};
  std::string out = "\n" + paint(style, Ink::kBold, "Calls begun whose end is not recorded") + "\n";
  for (const store::ReservationRecord& r : detail.unsettled) {
    out += fmt::format("  attempt {}: {}, {}; {} set aside\n", r.attempt, stage_name(r.stage), printable(r.model),
                       human_usd(r.reserved));
  }
  return out;
}

}  // namespace

std::string explain_text(const RequestDetail& detail, WallTime now, bool full, const TextStyle& style, const ExplainedPromise& promise) {
  std::string out = paint(style, Ink::kBold, printable(detail.request.request_id)) + "\n" +
                    wrap(explain_sentence(detail), style.width) + "\n\n";
  out += decision_section(detail, now, style) + promise_section(detail.request, promise, style);
  for (const AttemptRecord& attempt : detail.attempts) out += attempt_section(attempt, full, style);
  if (detail.request.finished && detail.attempts.empty()) out += "\nNo model was called.\n";
  out += unsettled_section(detail, style) + labels_section(detail, style) + feedback_section(detail, full, style);
  out += "\n" + paint(style, Ink::kBold, "Request") + "\n";
  out += text_block(full ? "body" : "message", full && detail.body.stored ? detail.body.text : stored_request_text(detail.body),
                    full, style);
  if (!full && detail.body.stored) out += paint(style, Ink::kDim, "  (whole texts: --full)") + "\n";
  return out;
}

std::string explain_json(const RequestDetail& detail, const ExplainedPromise& promise) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.explain/1").field("explanation", explain_sentence(detail));
  write_request_fields(w, detail.request);
  write_promise(w, promise);
  write_body(w, "request", detail.body);
  w.key("attempts").begin_array();
  for (const AttemptRecord& attempt : detail.attempts) write_attempt(w, attempt);
  w.end_array().key("labels").begin_array();
  for (const store::LabelRecord& label : detail.labels) write_label(w, label);
  w.end_array().key("feedback").begin_array();
  for (const store::FeedbackRecord& feedback : detail.feedback) write_feedback(w, feedback);
  w.end_array().key("unsettled").begin_array();
  for (const store::ReservationRecord& reservation : detail.unsettled) write_reservation(w, reservation);
  w.end_array().end_object();
  return out + "\n";
}

}  // namespace understudy::app
