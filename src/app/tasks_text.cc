#include <fmt/format.h>

#include <algorithm>

#include "app/human.h"
#include "app/section.h"
#include "app/table.h"
#include "app/tasks_report.h"
#include "base/time_format.h"

namespace understudy::app {
namespace {

using Align = Table::Align;
using Cell = Table::Cell;

std::string share(std::optional<double> value) { return value ? fmt::format("{:.1f} %", 100 * *value) : "-"; }

std::string money(PicousdSum sum, std::int64_t covered, std::int64_t requests, bool estimated) {
  return covered > 0 || requests == 0 ? human_usd(sum.value, estimated) : "unknown";
}

std::string saved_text(const store::Totals& t) { return money(t.saved, t.saved_n, t.requests, t.teacher_cost_estimated > 0); }

Cell state_cell(const TaskView& task) {
  std::string text(task.by_hand ? std::string_view("by hand") : task.status());
  if (task.shadow) text += ", shadow";
  if (task.pinned) return {text + ", pinned", Ink::kYellow};
  return {text, task.status() == "proven" ? Ink::kGreen : task.status() == "never" ? Ink::kRed : Ink::kNone};
}

std::string labels_cell(const TaskView& task) {
  if (!task.report || task.by_hand) return "-";
  return human_count(static_cast<std::int64_t>(task.report->promise.fit_rows + task.report->promise.test_rows));
}

std::string needed_cell(const TaskView& task) {
  const auto labels = task.labels_needed();
  if (!labels) return "-";
  return fmt::format("{}{}", task.report->promise.labels_guessed && *labels > 0 ? "~" : "", human_count(static_cast<std::int64_t>(*labels)));
}

std::string interval(const ShareInterval& i) {
  return fmt::format("{:.1f} % of {} ({:.1f} % to {:.1f} %)", 100 * i.share, human_count(i.n), 100 * i.low, 100 * i.high);
}

std::string served_text(const store::Totals& t) {
  std::string out;
  for (std::size_t i = 0; i < kStageCount; ++i) {
    if (t.served_by[i] == 0) continue;
    out += fmt::format("{}{} {} ({})", out.empty() ? "" : ", ", kStageNames[i], human_count(t.served_by[i]), percent(t.served_by[i], t.requests));
  }
  if (t.failed > 0) out += fmt::format("{}failed {}", out.empty() ? "" : ", ", human_count(t.failed));
  return out.empty() ? "nobody yet" : out;
}

std::string proof_text(const TaskView& task, WallTime now) {
  const calibration::LadderPolicy* policy = task.policy();
  if (policy == nullptr) return {};
  return fmt::format("version {}, {} rows, {} bad: at most {:.2f} % disagree; {}", policy->version, policy->rows, policy->bad, 100 * policy->upper_bound, human_ago(WallTime{policy->proven_at_us}, now));
}

std::string labels_text(const TaskView& task) {
  if (!task.report || task.by_hand) return {};
  const calibration::PromiseReport& p = task.report->promise;
  std::string out = fmt::format("{} to fit, {} to test; epoch {}, {}, {:.3g} of delta left", human_count(static_cast<std::int64_t>(p.fit_rows)), human_count(static_cast<std::int64_t>(p.test_rows)), p.epoch,
                                counted(p.tests, "test"), p.delta_left);
  if (const auto needed = task.labels_needed(); needed && *needed > 0) out += fmt::format("; {}{} more needed", p.labels_guessed ? "about " : "", human_count(static_cast<std::int64_t>(*needed)));
  return out;
}

std::string watch_text(const TaskView& task) {
  if (task.policy() == nullptr) return {};
  const calibration::PromiseReport& p = task.report->promise;
  return fmt::format("{} since the switch, {} bad; evidence {:.3g} against it, an alarm at {:.3g}{}", counted(static_cast<std::int64_t>(p.watched), "spot check"), p.watched_bad, p.e_value,
                     1 / task.report->options.promise.delta, p.suspect ? "; something looks wrong, the coin is raised" : "");
}

std::string judge_text(const TaskView& task) {
  if (!task.report || task.by_hand || task.report->promise.judge.by.empty()) return {};
  const calibration::JudgeCheck& judge = task.report->promise.judge;
  std::string out = fmt::format("{}: says the same as the judge in {} of {}; {}", printable(judge.by), judge.same, counted(static_cast<std::int64_t>(judge.both), "verdict"),
                                judge.trusted() ? fmt::format("{} rest on it alone", counted(static_cast<std::int64_t>(judge.alone), "fit row"))
                                                : fmt::format("trusted from {} on, {:.0f} % of them the same", calibration::kJudgedByBoth, 100 * calibration::kLeastSame));
  for (const auto& share : judge.shares) {
    const calibration::PredictionPowered& d = share.disagreement;
    out += fmt::format("; {}: {:.1f} % disagree ({:.1f} % to {:.1f} %, corrected by {} judged rows)", printable(share.rung), 100 * d.rate, 100 * d.interval.low, 100 * d.interval.high, share.judged);
  }
  return out;
}

std::string spend_text(const TaskView& task) {
  if (!task.label_spent_today) return {};
  return fmt::format("{} today, over all tasks{}", human_usd(task.label_spent_today), task.label_budget ? fmt::format("; the budget is {} a day", human_usd(task.label_budget)) : "");
}

}  // namespace

std::string tasks_text(const TasksReport& report, const TextStyle& style) {
  if (report.tasks.empty()) return "No task has been seen yet. Requests name theirs in the header x-understudy-task or in metadata.task.\n";
  Table table({{"TASK", Align::kLeft, true},
               {"STATE", Align::kLeft, false},
               {"ALPHA", Align::kRight, false},
               {"LABELS", Align::kRight, false},
               {"NEEDED", Align::kRight, false},
               {"BOUND", Align::kRight, false},
               {"COIN", Align::kRight, false},
               {"THRESHOLDS", Align::kLeft, true},
               {"CHEAP", Align::kRight, false},
               {"REQUESTS", Align::kRight, false},
               {"COST", Align::kRight, false},
               {"SAVED", Align::kRight, false}});
  for (const TaskView& task : report.tasks) {
    const store::Totals& t = task.all;
    const calibration::LadderPolicy* policy = task.policy();
    table.add({printable(task.also.empty() ? task_label(task) : task.cascade + "/" + task_label(task)), state_cell(task), task.alpha() ? fmt::format("{:.3g}", *task.alpha()) : "-", labels_cell(task),
               needed_cell(task), policy != nullptr ? share(policy->upper_bound) : "-", task.coin() ? fmt::format("{:.3g}", *task.coin()) : "-", printable(threshold_list(task, ", ")), share(task.cheap_share()),
               human_count(t.requests), money(t.cost, t.requests - t.cost_unknown, t.requests, false), saved_text(t)});
  }
  return table.render(style) + paint(style, Ink::kDim, "Why, and what would lower the bill: understudy tasks show TASK") + "\n";
}

std::string task_text(const TasksReport& report, const TaskView& task, const TextStyle& style) {
  const store::Totals& t = task.all;
  std::string out = paint(style, Ink::kBold, printable(task_label(task)));
  if (!task.cascade.empty()) out += fmt::format("  (cascade {})", printable(task.cascade));
  out += "\n" + wrap(state_sentence(task, report.now), style.width) + "\n\n";
  Section s(style);
  s.line("promise", task.alpha() ? fmt::format("alpha {:.3g}, delta {:.3g}", *task.alpha(), *task.delta()) : task.by_hand ? "none: the threshold is set by hand" : "");
  s.line("proof", proof_text(task, report.now));
  s.line("thresholds", printable(threshold_list(task, ", ")));
  s.line("labels", labels_text(task));
  s.line("coin", task.coin() ? fmt::format("{:.3g} of requests are spot-checked", *task.coin()) : "");
  s.line("watch", watch_text(task));
  s.line("distilled judge", judge_text(task));
  const auto agreement = measured_agreement(task);
  s.line("agreement", agreement ? interval(*agreement) + " of spot-checked cheap answers, of all time" : "not measured yet");
  const auto noise = noise_floor(task);
  s.line("noise floor", noise ? interval(*noise) + " of the teacher's second answers differ from its first" : "not measured yet (the teacher is asked twice for some labels)");
  s.line("served by", served_text(t));
  s.line("cost", fmt::format("{}; the teacher alone {}; saved {}", money(t.cost, t.requests - t.cost_unknown, t.requests, false),
                             money(t.teacher_cost, t.requests - t.teacher_cost_unknown, t.requests, t.teacher_cost_estimated > 0), saved_text(t)));
  s.line("label spend", spend_text(task));
  s.line("pinned", task.pinned ? "to the teacher" : "");
  s.line("mode", task.shadow ? "shadow: the teacher serves everything" : "");
  s.line("also in", printable(fmt::format("{}", fmt::join(task.also, ", "))));
  out += s.take();

  out += "\n" + paint(style, Ink::kBold, "Why the bill is what it is") + "\n";
  for (const std::string& reason : bill_reasons(task)) s.point(reason);
  out += s.take() + "\n" + paint(style, Ink::kBold, "What would lower it") + "\n";
  for (const std::string& advice : bill_advice(task)) s.point(advice);
  out += s.take();
  if (!task.alarms.empty()) {
    out += "\n" + paint(style, Ink::kBold, "Alarms") + "\n";
    for (std::size_t i = 0; i < std::min<std::size_t>(task.alarms.size(), 10); ++i) {
      const store::AlarmRecord& alarm = task.alarms[i];
      s.point(fmt::format("{} {}: {}", short_time(alarm.time, report.now), printable(alarm.name), printable(alarm.message)));
    }
    out += s.take() + paint(style, Ink::kDim, "What each means and what to do: docs/operate/promise.md") + "\n";
  }
  return out;
}

}  // namespace understudy::app
