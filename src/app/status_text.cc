#include <fmt/format.h>

#include <algorithm>

#include "app/curve_text.h"
#include "app/human.h"
#include "app/status_report.h"
#include "app/table.h"

namespace understudy::app {
namespace {

using store::ModelSums;
using store::ModelTotals;
using store::Totals;
using Align = Table::Align;
using Cell = Table::Cell;

/// Two cells: a figure, and what it is a share of or lacks.
struct Figure {
  std::string value;
  std::string beside;
};

Figure count_of(std::int64_t n, std::int64_t whole) { return {human_count(n), percent(n, whole)}; }

/// A sum over `covered` of `requests` requests, so that what is not known is seen beside it.
Figure money(PicousdSum sum, std::int64_t requests, std::int64_t unknown, bool estimated) {
  if (requests > 0 && unknown == requests) return {"unknown", ""};
  return {human_usd(sum.value, estimated), unknown > 0 ? fmt::format("+ {} unknown", human_count(unknown)) : ""};
}

Figure agreement(const Totals& t) {
  const std::int64_t n = t.agreement_n();
  const auto share = t.agreement();
  if (!share || n == 0) return {"-", "no labels"};
  const auto agree = static_cast<std::int64_t>(*share * static_cast<double>(n) + 0.5);
  return {percent(agree, n), fmt::format("of {}", human_count(n))};
}

Figure saved(const Totals& t) {
  if (t.requests > 0 && t.saved_n == 0) return {"unknown", ""};
  Figure figure{human_usd(t.saved.value, t.teacher_cost_estimated > 0), ""};
  // The share is that of the teacher's price only where both sums are over the same requests.
  const bool same_requests = t.saved_n == t.requests - t.teacher_cost_unknown;
  if (same_requests && t.saved.value >= 0) figure.beside = percent(t.saved.value, t.teacher_cost.value);
  if (!same_requests) figure.beside = "of " + counted(t.saved_n, "request");
  return figure;
}

Figure mean(std::int64_t us, std::int64_t n) { return {n > 0 ? human_duration(us / n) : "-", ""}; }

/// Did some model send no usage, so that its tokens were counted by us?
bool counted_tokens(const std::vector<ModelTotals>& models, ModelSums ModelTotals::*period) {
  return std::any_of(models.begin(), models.end(), [&](const ModelTotals& m) { return (m.*period).usage.estimated; });
}

std::string totals_table(const Totals& day, const Totals& all, const std::vector<ModelTotals>& models, const TextStyle& style) {
  Table table({{"", Align::kLeft, false},
               {"last 24 h", Align::kRight, false},
               {"", Align::kLeft, false},
               {"all", Align::kRight, false},
               {"", Align::kLeft, false}});
  const auto add = [&](const char* name, auto&& figure, Ink ink = Ink::kNone) {
    const Figure left = figure(day);
    const Figure right = figure(all);
    table.add(
        {Cell(name), Cell(left.value, ink), Cell(left.beside, Ink::kDim), Cell(right.value, ink), Cell(right.beside, Ink::kDim)});
  };
  add(
      "Requests",
      [](const Totals& t) {
        return Figure{human_count(t.requests), ""};
      },
      Ink::kBold);
  for (std::size_t i = 0; i < kStageCount; ++i) {
    const bool usual = i == static_cast<std::size_t>(Stage::kStudent) || i == static_cast<std::size_t>(Stage::kTeacher);
    if (all.served_by[i] == 0 && !usual) continue;
    add(fmt::format("  {}", kStageNames[i]).c_str(), [i](const Totals& t) { return count_of(t.served_by[i], t.requests); });
  }
  if (all.failed > 0)
    add(
        "  failed", [](const Totals& t) { return count_of(t.failed, t.requests); }, Ink::kRed);
  add("Escalated", [](const Totals& t) { return count_of(t.escalated, t.requests); });
  add("Teacher calls", [](const Totals& t) { return count_of(t.teacher_calls, t.requests); });
  add("Spot checks", [](const Totals& t) { return count_of(t.coins, t.requests); });
  add("Agreement", agreement, Ink::kBold);
  add(
      "Spent",
      [&](const Totals& t) {
        return money(t.cost, t.requests, t.cost_unknown, counted_tokens(models, &t == &all ? &ModelTotals::all : &ModelTotals::last_24h));
      },
      Ink::kBold);
  add("Teacher alone",
      [](const Totals& t) { return money(t.teacher_cost, t.requests, t.teacher_cost_unknown, t.teacher_cost_estimated > 0); });
  add("Saved", saved, Ink::kGreen);
  add("Mean latency", [](const Totals& t) { return mean(t.latency_us, t.requests); });
  add("  of it ours", [](const Totals& t) { return mean(t.overhead_us, t.requests); });
  return table.render(style);
}

/// Names of the models that made calls whose cost is not known.
std::string models_without_cost(const store::Status& s) {
  std::string names;
  for (const store::ModelTotals& model : s.models) {
    if (model.all.cost_unknown > 0) names += (names.empty() ? "" : ", ") + printable(model.model);
  }
  return names;
}

/// What the figures above rest on.
std::string notes(const Totals& t, const store::Status& s, const TextStyle& style) {
  std::string out;
  const auto note = [&](const std::string& text) { out += paint(style, Ink::kDim, wrap(text, style.width)) + "\n"; };
  const std::int64_t known = t.requests - t.teacher_cost_unknown;
  if (t.teacher_cost_estimated > 0) {
    note(fmt::format("~ What the teacher alone would have cost is estimated for {} (others answered, or it sent no usage) and measured for {}.",
                     counted(t.teacher_cost_estimated, "request"), human_count(known - t.teacher_cost_estimated)));
  } else if (known > 0) {
    note(fmt::format("What the teacher alone would have cost is measured: it answered {}.",
                     known == t.requests ? "every one of these requests" : human_count(known) + " of these requests"));
  }
  if (t.cost_unknown > 0) {
    const std::string models = models_without_cost(s);
    note(
        fmt::format("The cost of {} is unknown and in no sum: a model has no price, or its server sent no usage{}. A price is "
                    "given by [models.NAME] "
                    "price = {{ input = \"...\", output = \"...\" }}.",
                    counted(t.cost_unknown, "request"), models.empty() ? "" : " (" + models + ")"));
  }
  if (t.teacher_cost_unknown > 0) {
    note(fmt::format("What the teacher would have cost is unknown for {}; no saving is counted there.",
                     counted(t.teacher_cost_unknown, "request")));
  }
  return out;
}

std::string labels_table(const Totals& t, const TextStyle& style) {
  if (t.labels.empty()) return {};
  Table table({{"LABELS FROM", Align::kLeft, false},
               {"JUDGED ANSWER", Align::kLeft, false},
               {"N", Align::kRight, false},
               {"AGREE", Align::kRight, false},
               {"", Align::kLeft, false}});
  for (const store::LabelTotals& label : t.labels) {
    const bool counts = label.of_served && (label.source == "coin" || label.source == "shadow");
    const char* remark = counts                         ? "counts as agreement"
                         : label.source == "shadow"     ? "see above: what live mode would have served"
                         : label.source == "escalation" ? "only unsure requests: says nothing about those served"
                                                        : "";
    table.add({printable(label.source), label.of_served ? "served" : "not served", human_count(label.n),
               percent(label.agree, label.n), Cell(remark, Ink::kDim)});
  }
  return "\n" + table.render(style);
}

/// What live mode would have done with shadow mode's requests.
std::string shadow_section(const store::Status& s, const std::optional<std::string>& task, const TextStyle& style) {
  store::ShadowTotals t;
  for (const store::ShadowTotals& one : s.shadow) {
    if (!task || *task == one.task) t.add(one);
  }
  if (t.requests == 0) return {};
  Table table({{"", Align::kLeft, false}, {"", Align::kRight, false}, {"", Align::kLeft, false}});
  const auto add = [&](const char* name, std::string value, std::string beside, Ink ink = Ink::kNone) {
    table.add({Cell(name), Cell(std::move(value), ink), Cell(std::move(beside), Ink::kDim)});
  };
  add("Student would serve", human_count(t.would_serve), percent(t.would_serve, t.requests));
  add("  agree with the teacher", t.judged > 0 ? percent(t.agree, t.judged) : "-", t.judged > 0 ? "of " + human_count(t.judged) : "no labels",
      Ink::kBold);
  if (t.cost_unknown == t.requests) {
    add("Would have saved", "unknown", "a model has no price", Ink::kGreen);
  } else {
    const std::string lacking = t.cost_unknown > 0 ? fmt::format("+ {} unknown", human_count(t.cost_unknown)) : "";
    add("Would have cost", human_usd(t.live_cost.value, t.estimated), lacking, Ink::kBold);
    add("Teacher alone", human_usd(t.teacher_cost.value, t.estimated), lacking);
    add("Would have saved", human_usd(t.saved().value, t.estimated), t.saved().value >= 0 ? percent(t.saved().value, t.teacher_cost.value) : "a loss",
        Ink::kGreen);
  }
  return "\n" + paint(style, Ink::kBold, fmt::format("Shadow: what live mode would have done with {}", counted(t.requests, "request"))) + "\n" +
         table.render(style);
}

std::string tasks_table(const store::Status& s, const TextStyle& style) {
  const bool only_unnamed = s.tasks.size() == 1 && s.tasks[0].task.empty();
  if (s.tasks.empty() || only_unnamed) return {};
  Table table({{"TASK", Align::kLeft, true},
               {"REQUESTS", Align::kRight, false},
               {"24 H", Align::kRight, false},
               {"TEACHER", Align::kRight, false},
               {"AGREEMENT", Align::kRight, false},
               {"", Align::kLeft, false},
               {"SPENT", Align::kRight, false},
               {"SAVED", Align::kRight, false}});
  for (const store::TaskTotals& task : s.tasks) {
    const Figure agree = agreement(task.all);
    table.add({task.task.empty() ? "(no name)" : printable(task.task), human_count(task.all.requests),
               human_count(task.last_24h.requests),
               percent(task.all.served_by[static_cast<std::size_t>(Stage::kTeacher)], task.all.requests), agree.value,
               Cell(agree.beside, Ink::kDim), money(task.all.cost, task.all.requests, task.all.cost_unknown, false).value,
               Cell(saved(task.all).value, Ink::kGreen)});
  }
  return "\n" + table.render(style);
}

std::string models_table(const store::Status& s, const TextStyle& style) {
  if (s.models.empty()) return {};
  Table table({{"MODEL", Align::kLeft, true},
               {"AS", Align::kLeft, false},
               {"PROVIDER", Align::kLeft, true},
               {"CALLS", Align::kRight, false},
               {"24 H", Align::kRight, false},
               {"ERRORS", Align::kRight, false},
               {"TOKENS IN", Align::kRight, false},
               {"CACHED", Align::kRight, false},
               {"OUT", Align::kRight, false},
               {"COST", Align::kRight, false},
               {"", Align::kLeft, false},
               {"MEAN", Align::kRight, false}});
  for (const store::ModelTotals& model : s.models) {
    const store::ModelSums& m = model.all;
    const bool no_usage = m.calls > 0 && m.usage_unknown == m.calls;
    const std::string mark = m.usage.estimated ? "~" : "";
    const auto tokens = [&](std::int64_t n) { return no_usage ? std::string("unknown") : mark + human_count(n); };
    const Figure cost = money(m.cost, m.calls, m.cost_unknown, m.usage.estimated);
    table.add({printable(model.model), std::string(stage_name(model.stage)), printable(model.provider), human_count(m.calls),
               human_count(model.last_24h.calls), Cell(human_count(m.errors), m.errors > 0 ? Ink::kRed : Ink::kNone),
               tokens(m.usage.input), tokens(m.usage.cached_input), tokens(m.usage.output), cost.value,
               Cell(cost.beside, Ink::kDim), mean(m.latency_us, m.calls).value});
  }
  return "\n" + table.render(style);
}

std::string attention(const store::Status& s, const TextStyle& style) {
  std::string out;
  const auto item = [&](Ink ink, const std::string& text) { out += "  " + paint(style, ink, wrap(text, style.width, 2)) + "\n"; };
  if (s.records_dropped > 0) {
    item(Ink::kRed, fmt::format("{} lost because the journal was full (disk full, or its writer far behind): sums are too low.",
                                counted(static_cast<std::int64_t>(s.records_dropped), "record")));
  }
  if (s.unsettled_reservations > 0) {
    item(Ink::kYellow,
         fmt::format("{} begun whose end is not recorded (running now, or cut off by a crash); {} set aside for that.",
                     counted(s.unsettled_reservations, "upstream call"), human_usd(s.unsettled.value)));
  }
  if (s.unfinished_requests > 0) {
    item(Ink::kYellow,
         fmt::format("{} unfinished: running now, or cut off by a crash.", counted(s.unfinished_requests, "request")));
  }
  for (const store::AlarmRecord& alarm : s.alarms) {
    item(Ink::kYellow, fmt::format("{} {} {}: {}", short_time(alarm.time, s.now), printable(alarm.name), printable(alarm.subject),
                                   printable(alarm.message)));
  }
  return out.empty() ? out : "\n" + paint(style, Ink::kBold, "Attention") + "\n" + out;
}

std::string lessons_section(const LessonFigures& l, const TextStyle& style) {
  const std::string summary = lessons_summary(l);
  return summary.empty() ? summary : "\n" + wrap("Lessons: " + summary, style.width) + "\n";
}

std::string nothing_yet(const StatusReport& report) {
  return fmt::format(
      "Nothing is recorded in {} yet. Next:\n"
      "  understudy serve --student M --teacher M --data {}     start the gateway\n"
      "  set your application's base_url to http://127.0.0.1:8080/v1 and let it send requests\n"
      "  understudy demo                                        or see the whole loop first\n",
      report.data, report.data);
}

}  // namespace

std::string lessons_summary(const LessonFigures& l) {
  const store::LessonTotals& t = l.totals;
  if (t.candidate + t.active + t.retired == 0 && t.spent.value == 0) return {};
  std::string text = fmt::format("{} in use, {} not agreed to by the teacher, {} retired; {} spent on them today", human_count(t.active), human_count(t.candidate), human_count(t.retired),
                                 human_usd(l.spent_today.value));
  if (l.live) {
    Picousd most;
    for (const auto& [cascade, budget] : l.live->budgets) most = std::max(most, budget);
    text += fmt::format(" of {}, {} in all", human_usd(most.value), human_usd(t.spent.value));
    if (l.live->waiting + l.live->queued > 0) {
      text += fmt::format("; {} wait for the teacher{}", human_count(static_cast<std::int64_t>(l.live->waiting + l.live->queued)),
                          l.live->budget_spent ? " (today's money is spent)" : l.live->paused ? " (it refuses or fails; it is asked again)" : "");
    }
    if (const auto lost = l.live->dropped_queue + l.live->dropped_store; lost > 0) text += fmt::format("; {} dropped since the start", human_count(static_cast<std::int64_t>(lost)));
  } else {
    text += fmt::format(", {} in all", human_usd(t.spent.value));
  }
  return text + ".";
}

std::string status_text(const StatusReport& report, const TextStyle& style) {
  const store::Status& s = report.status;
  if (s.all.requests == 0) return nothing_yet(report) + attention(s, style);
  std::string out = paint(style, Ink::kBold, report.data);
  if (s.first_request)
    out += fmt::format(", since {} UTC", human_time(*s.first_request).substr(0, 16));
  if (report.task) {
    const auto task =
        std::find_if(s.tasks.begin(), s.tasks.end(), [&](const store::TaskTotals& t) { return t.task == *report.task; });
    out += fmt::format(", task {}\n\n", report.task->empty() ? "(no name)" : printable(*report.task));
    if (task == s.tasks.end()) return out + "No requests.\n";
    out += totals_table(task->last_24h, task->all, s.models, style) + notes(task->all, s, style) + shadow_section(s, report.task, style) + labels_table(task->all, style);
    return report.curve && !report.curve->points.empty() ? out + "\n" + curve_text(*report.curve, style) : out;
  }
  out += "\n\n" + totals_table(s.last_24h, s.all, s.models, style) + notes(s.all, s, style) + shadow_section(s, report.task, style) + labels_table(s.all, style);
  out += tasks_table(s, style) + models_table(s, style) + lessons_section(report.lessons, style) + budgets_section(report.budgets, style) + attention(s, style);
  out += fmt::format("\nStore: {} on disk, {} of it texts", human_bytes(s.database_bytes), human_bytes(s.bodies_bytes));
  if (s.journal_events > 0)
    out += fmt::format("; {} still in the journal", counted(static_cast<std::int64_t>(s.journal_events), "event"));
  return out + ".\n";
}

}  // namespace understudy::app
