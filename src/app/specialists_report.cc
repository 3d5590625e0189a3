#include "app/specialists_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "app/human.h"
#include "app/section.h"
#include "app/specialist_summary.h"
#include "app/table.h"
#include "base/json_writer.h"
#include "calibration/binomial.h"
#include "specialists/answer_judge.h"
#include "specialists/intent_specialist.h"
#include "specialists/judge_specialist.h"
#include "specialists/rerank_specialist.h"

namespace understudy::app {
namespace {

using specialists::ReliabilityBin;

std::string trimmed_line(std::string line) {
  if (line.ends_with('\n')) line.pop_back();
  return line;
}

/// What only one kind has, for `show`.
void write_particulars(JsonWriter& w, const specialists::NamedSpecialist& one) {
  if (one.intent) {
    w.key("label_names").begin_array();
    for (const std::string& label : one.intent->labels()) w.string(label);
    w.end_array();
  }
  if (one.judge) {
    w.key("bands").begin_array();
    for (const specialists::JudgeBand& band : one.judge->calibration().bands) {
      w.begin_object().field("alpha", band.alpha).key("yes_from");
      band.yes_from ? w.number(*band.yes_from) : w.null();
      w.key("no_to");
      band.no_to ? w.number(*band.no_to) : w.null();
      w.end_object();
    }
    w.end_array();
  }
  if (one.answer_judge && one.answer_judge->form() == specialists::JudgeForm::kScore) {
    const specialists::AnswerScale& scale = one.answer_judge->facts().scale;
    w.key("scale").begin_object().field("lowest", scale.lowest).field("highest", scale.highest).field("step", scale.step).end_object();
  }
}

void write_one(JsonWriter& w, const ListedSpecialist& one, bool whole) {
  w.field("name", one.name).field("folder", one.folder);
  if (!one.specialist) {
    w.field("error", one.error);
    return;
  }
  const SpecialistSummary s = summary_of(*one.specialist);
  w.field("kind", one.specialist->kind);
  if (const auto task = one.specialist->task(); !task.empty()) w.field("task", task);
  w.field("id", one.specialist->id());
  if (s.labels) w.field("labels", *s.labels);
  w.field("rows", s.rows);
  if (one.specialist->rerank) w.field("queries", one.specialist->rerank->facts().queries);
  if (one.specialist->judge) w.field("supported", one.specialist->judge->facts().supported);
  if (one.specialist->task() == "preference") w.field("ties", one.specialist->answer_judge->facts().ties);
  if (!s.rung.empty()) w.field("rung", s.rung).field("cross_encoder", s.cross_encoder);
  w.field("size_bytes", one.specialist->bytes).key("tasks").begin_array();
  for (const std::string& task : one.tasks) w.string(task);
  w.end_array().key("calibration").begin_object().field("source", s.source).field("rows", s.calibration_rows);
  w.field(s.quality_name, s.quality);
  for (const auto& [name, value] : s.others) w.field(name, value);
  w.field("ece15", s.ece15).field("brier", s.brier);
  if (whole && one.specialist->intent) {
    w.key("bins").begin_array();
    for (const ReliabilityBin& bin : one.specialist->intent->calibration().bins) w.begin_object().field("rows", bin.rows).field("probability", bin.probability).field("accuracy", bin.accuracy).end_object();
    w.end_array();
  }
  w.end_object();
  if (!whole) return;
  w.field("seed", s.seed).field("command", s.command).key("data").begin_object().field("file", s.data_file).field("xxh3_128", s.data_hash).end_object();
  if (!s.rung.empty()) w.field("trainer", s.trainer);
  if (one.specialist->rerank && one.specialist->rerank->order()) specialists::append_order(w, *one.specialist->rerank->order());
  write_particulars(w, *one.specialist);
  w.key("recheck");
  if (one.recheck) w.raw(trimmed_line(monitors::recheck_json(*one.recheck)));
  else w.null();
}

}  // namespace

std::string specialists_json(const std::vector<ListedSpecialist>& all, const std::string& directory) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.specialists/1").field("directory", directory).key("specialists").begin_array();
  for (const ListedSpecialist& one : all) {
    w.begin_object();
    write_one(w, one, false);
    w.end_object();
  }
  w.end_array().end_object();
  return out + "\n";
}

std::string specialists_text(const std::vector<ListedSpecialist>& all, const std::string& directory, const TextStyle& style) {
  if (all.empty()) return fmt::format("No specialists in {}. Train one: understudy train intent --data ROWS --out {}/NAME\n", printable(directory), printable(directory));
  Table table({{"NAME"}, {"KIND"}, {"LABELS", Table::Align::kRight}, {"ROWS", Table::Align::kRight}, {"ACCURACY", Table::Align::kRight}, {"ECE", Table::Align::kRight},
               {"SIZE", Table::Align::kRight}, {"TASKS", Table::Align::kLeft, true}});
  std::string errors;
  for (const ListedSpecialist& one : all) {
    if (!one.specialist) {
      errors += fmt::format("{}: {}\n", printable(one.name), printable(one.error));
      continue;
    }
    const SpecialistSummary s = summary_of(*one.specialist);
    table.add({one.name, one.specialist->kind_text(), s.labels ? human_count(static_cast<std::int64_t>(*s.labels)) : std::string("-"), human_count(static_cast<std::int64_t>(s.rows)),
               fmt::format("{:.3f}", s.quality), fmt::format("{:.3f}", s.ece15), human_bytes(one.specialist->bytes), one.tasks.empty() ? std::string("-") : printable(fmt::format("{}", fmt::join(one.tasks, ", ")))});
  }
  return (table.empty() ? std::string() : table.render(style) + "Accuracy (of rerankers nDCG@10, of judges of claims balanced accuracy, of scores Spearman) and ECE: on rows held back from its training.\n") + errors;
}

std::string specialist_json(const ListedSpecialist& one) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.specialist-shown/1");
  write_one(w, one, true);
  w.end_object();
  return out + "\n";
}

std::string specialist_text(const ListedSpecialist& one, const TextStyle& style) {
  const SpecialistSummary s = summary_of(*one.specialist);
  const auto rows = [](std::size_t n) { return counted(static_cast<std::int64_t>(n), "row"); };
  Section section(style);
  section.line("folder", printable(one.folder));
  const bool keeps_order = one.specialist->rerank && one.specialist->rerank->keeps_order();
  section.line("kind", fmt::format("{}, {}, {}", one.specialist->kind_text(), keeps_order ? "keeps the order that came" :
                                   s.labels ? fmt::format("{} labels", human_count(static_cast<std::int64_t>(*s.labels))) : fmt::format("first rung {}, {}", s.rung, s.cross_encoder ? "cross-encoder" : "no cross-encoder"),
                                   human_bytes(one.specialist->bytes)));
  section.line("trained on", fmt::format("{} of {}", rows(s.rows), printable(s.data_file)));
  section.line("command", printable(s.command));
  if (!s.trainer.empty()) section.line("trainer", printable(s.trainer));
  if (one.specialist->rerank && one.specialist->rerank->order()) section.line("order", order_text(*one.specialist->rerank->order()));
  const std::string where = s.source == "file" ? rows(s.calibration_rows) + " given for calibration" : rows(s.calibration_rows) + " held back";
  section.line("right", s.labels ? fmt::format("{:.2f} % of {}", 100 * s.quality, where) : fmt::format("{} {:.4f} on {}", quality_text(s.quality_name), s.quality, where));
  for (const auto& [name, value] : s.others) section.line("", fmt::format("{} {:.4f}", name, value));
  section.line("calibrated", fmt::format("ECE-15 {:.4f}, Brier {:.4f}, id {}", s.ece15, s.brier, one.specialist->id()));
  if (!one.tasks.empty()) section.line("tasks", printable(fmt::format("{}", fmt::join(one.tasks, ", "))));
  if (one.recheck) {
    const monitors::Recheck& r = *one.recheck;
    section.line("rechecked", fmt::format("{}: {:.1f} % agreement with {} ({:.1f} to {:.1f}, {}), promised {:.1f} %{}", human_time(r.at), 100 * r.all.share(), printable(r.teacher), 100 * r.all.interval.low,
                                          100 * r.all.interval.high, rows(r.all.rows), 100 * r.promised, r.version == one.specialist->id() ? "" : fmt::format(", calibration {}", printable(r.version))));
    if (!r.alarm.empty()) section.line("ALARM", printable(r.alarm));
  }
  std::string out = fmt::format("{}\n", paint(style, Ink::kBold, one.name)) + section.take();
  if (!one.specialist->intent) return out;
  Table bins({{"SAID", Table::Align::kRight}, {"RIGHT", Table::Align::kRight}, {"ROWS", Table::Align::kRight}});
  for (const ReliabilityBin& bin : one.specialist->intent->calibration().bins) {
    if (bin.rows > 0) bins.add({fmt::format("{:.3f}", bin.probability), fmt::format("{:.3f}", bin.accuracy), human_count(static_cast<std::int64_t>(bin.rows))});
  }
  return out + "\nProbability said, and share that was right:\n" + bins.render(style, 2);
}

double Comparison::p_value() const {
  const std::size_t differ = only_first + only_second;
  return std::min(1.0, 2 * calibration::binomial_cdf(std::min(only_first, only_second), differ, 0.5));
}

std::string comparison_json(const ListedSpecialist& first, const ListedSpecialist& second, const std::optional<Comparison>& rows) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.specialists-compared/1").key("specialists").begin_array();
  for (const ListedSpecialist* one : {&first, &second}) {
    w.begin_object();
    write_one(w, *one, false);
    w.end_object();
  }
  w.end_array().key("on_rows");
  if (rows) {
    w.begin_object().field("file", rows->file).field("rows", rows->rows).field("same", rows->same);
    w.field("only_first_right", rows->only_first).field("only_second_right", rows->only_second).field("p_value", rows->p_value()).key("specialists").begin_array();
    for (const Comparison::Side* side : {&rows->first, &rows->second}) w.begin_object().field("accuracy", side->accuracy).field("ece15", side->ece15).field("served_at_0.05", side->served_at_5).end_object();
    w.end_array().end_object();
  } else {
    w.null();
  }
  w.end_object();
  return out + "\n";
}

std::string comparison_text(const ListedSpecialist& first, const ListedSpecialist& second, const std::optional<Comparison>& rows, const TextStyle& style) {
  const specialists::IntentCalibration &a = first.specialist->intent->calibration(), &b = second.specialist->intent->calibration();
  Table table({{""}, {first.name, Table::Align::kRight}, {second.name, Table::Align::kRight}});
  const auto add = [&](const char* name, double x, double y) { table.add({name, fmt::format("{:.4f}", x), fmt::format("{:.4f}", y)}); };
  const auto count = [](std::size_t n) { return human_count(static_cast<std::int64_t>(n)); };
  table.add({"labels", count(first.specialist->intent->labels().size()), count(second.specialist->intent->labels().size())});
  table.add({"trained on", count(first.specialist->intent->facts().rows), count(second.specialist->intent->facts().rows)});
  table.add({"size", human_bytes(first.specialist->bytes), human_bytes(second.specialist->bytes)});
  add("own accuracy", a.accuracy, b.accuracy);
  add("own ECE-15", a.ece15, b.ece15);
  if (rows) {
    add("accuracy", rows->first.accuracy, rows->second.accuracy);
    add("ECE-15", rows->first.ece15, rows->second.ece15);
    add("served at 5 %", rows->first.served_at_5, rows->second.served_at_5);
  }
  std::string out = table.render(style);
  out += wrap("\"own\": each on the rows held back from its own training, so not comparable where these differ.", style.width) + "\n";
  if (!rows) return out + "On the same rows: --rows FILE --split test\n";
  out += wrap(fmt::format("On {} of {}: {} answered alike; only {} was right on {}, only {} on {} ({}).", counted(static_cast<std::int64_t>(rows->rows), "row"), printable(rows->file), count(rows->same),
                          first.name, count(rows->only_first), second.name, count(rows->only_second),
                          rows->p_value() < 0.05 ? fmt::format("a real difference, p = {:.3g}", rows->p_value()) : fmt::format("no difference is shown, p = {:.2f}", rows->p_value())),
              style.width) +
         "\n";
  return out;
}

}  // namespace understudy::app
