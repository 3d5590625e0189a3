// Why a task's bill is what it is and what would lower it, in sentences for somebody who has not read the theory.
#include <fmt/format.h>

#include <algorithm>

#include "app/human.h"
#include "app/tasks_report.h"

namespace understudy::app {
namespace {

using calibration::PromiseState;

/// "5 %", "4.1 %", "0.25 %".
std::string share_text(double share) {
  std::string text = fmt::format("{:.{}f}", 100 * share, share < 0.01 && share > 0 ? 2 : 1);
  while (text.find('.') != std::string::npos && (text.ends_with('0') || text.ends_with('.'))) {
    const bool point = text.ends_with('.');
    text.pop_back();
    if (point) break;
  }
  return text + " %";
}

std::string interval_text(const ShareInterval& i) { return fmt::format("{} of {} ({} to {} with 95 % confidence)", share_text(i.share), human_count(i.n), share_text(i.low), share_text(i.high)); }

std::string cli_name(const TaskView& task) { return task.task.empty() ? "-" : printable(task.task); }

std::string promised(const TaskView& task) {
  return fmt::format("at most {} of what cheap stages serve disagrees with the teacher, at {} confidence", share_text(task.alpha().value_or(0)), share_text(1 - task.delta().value_or(0)));
}

bool budget_is_spent(const TaskView& task) { return task.label_budget && task.label_spent_today && task.label_spent_today->value >= task.label_budget->value * 98 / 100; }

std::string labels_missing(const TaskView& task) {
  const auto labels = task.labels_needed();
  if (!labels) return {};
  const auto requests = task.requests_needed();
  std::string text = counted(static_cast<std::int64_t>(*labels), "more label");
  if (requests) text += fmt::format(" (about {} at coin {:.3g})", counted(static_cast<std::int64_t>(*requests), "request"), *task.coin());
  text += " until the first cheap answer";
  const calibration::PromiseReport& p = task.report->promise;
  if (p.labels_guessed) {
    text += ": a first guess from alpha and delta alone, before anything is known of the student";
  } else if (p.foreseen_share) {
    text += fmt::format("; then about {} of requests would be served cheaply", share_text(*p.foreseen_share));
  }
  return text;
}

}  // namespace

std::string state_sentence(const TaskView& task, WallTime now) {
  if (task.pinned) return "Pinned to the teacher: it answers every request until the pin is taken off.";
  if (task.by_hand) {
    const auto agreement = measured_agreement(task);
    const std::string who = *task.by_hand > 1 ? "The task's specialist serves where its score is outside the band" : fmt::format("The student serves at confidence {} and above", *task.by_hand);
    return fmt::format("{}: set by hand, outside the promise. {}", who,
                       agreement ? fmt::format("Measured agreement with the teacher: {}.", interval_text(*agreement)) : std::string("Nothing has measured its agreement with the teacher yet."));
  }
  if (!task.report) return "No label has been collected for it yet: the teacher answers.";
  if (const calibration::LadderPolicy* policy = task.policy()) {
    return fmt::format("Proven: {}. Version {} was tested on {} fresh rows that it serves, {} bad, so its disagreement is at most {}; proven {}.", promised(task), policy->version,
                       human_count(static_cast<std::int64_t>(policy->rows)), policy->bad, share_text(policy->upper_bound), human_ago(WallTime{policy->proven_at_us}, now));
  }
  if (task.report->promise.state == PromiseState::kNever) {
    return fmt::format("Nothing can be promised now ({}): the teacher answers every request, and labels go on being collected.", task.report->promise.why);
  }
  return fmt::format("Warming up ({}): the teacher answers every request until it is proven that {}.", task.report->promise.why, promised(task));
}

std::vector<std::string> bill_reasons(const TaskView& task) {
  std::vector<std::string> out;
  const store::Totals& t = task.all;
  if (t.requests == 0) return {"No request of it has been answered yet, so it costs nothing."};
  const std::int64_t teacher = t.served_by[static_cast<std::size_t>(Stage::kTeacher)];
  out.push_back(fmt::format("{} of {} were answered by cheap stages, {} by the teacher.", share_text(task.cheap_share().value_or(0)), counted(t.requests, "request"), share_text(static_cast<double>(teacher) / static_cast<double>(t.requests))));
  if (t.requests > t.cost_unknown && t.requests > t.teacher_cost_unknown) {
    out.push_back(fmt::format("It cost {} in all, labels included; the teacher alone would have cost {}.", human_usd(t.cost.value), human_usd(t.teacher_cost.value, t.teacher_cost_estimated > 0)));
    if (t.saved_n > 0 && t.saved.value < 0) {
      out.push_back(fmt::format("So far that is a loss of {}: cheap answers and labels are paid for beside the teacher's until a version is proven.", human_usd(-t.saved.value)));
    }
  }
  if (t.teacher_calls > teacher) {
    out.push_back(fmt::format("{} went to the teacher without serving anybody: spot checks, retries and failures.", counted(t.teacher_calls - teacher, "call")));
  }
  if (const calibration::LadderPolicy* policy = task.policy()) {
    const double coin = task.coin().value_or(0);
    if (coin > task.report->options.spot_check + 1e-9) {
      out.push_back(fmt::format("The coin is at {:.3g}, above its floor of {:.3g}: {}.", coin, task.report->options.spot_check,
                                task.report->promise.suspect ? "something looks wrong and is watched closely" : "a larger pool of fresh rows allows bolder thresholds"));
    }
    const bool none = std::none_of(policy->rungs.begin(), policy->rungs.end(), [](const calibration::RungPolicy& r) { return r.threshold.has_value(); });
    if (none) out.push_back("The version in force lets no stage serve.");
  }
  if (t.cost_unknown > 0) out.push_back(fmt::format("The cost of {} is not known (no price, or no usage sent) and in no sum.", counted(t.cost_unknown, "request")));
  return out;
}

std::vector<std::string> bill_advice(const TaskView& task) {
  std::vector<std::string> out;
  const auto add = [&](std::string text) { out.push_back(std::move(text)); };
  if (task.pinned) {
    add(fmt::format("Take the pin off: `understudy tasks pin {} auto` (or pin = \"auto\" in its [tasks.NAME]).", cli_name(task)));
    return out;
  }
  if (task.shadow) add("Shadow mode lets the teacher serve everything: with mode = \"live\" the promise decides.");
  const auto noise = noise_floor(task);
  if (noise && noise->n >= 20 && task.alpha() && noise->share > *task.alpha() / 2) {
    add(fmt::format("The teacher disagrees with itself in {}: an alpha of {} leaves little or no room for a student. Ask with temperature 0, choose a comparator that forgives what does not matter, or promise a larger alpha.",
                    interval_text(*noise), share_text(*task.alpha())));
  }
  if (budget_is_spent(task)) {
    add(fmt::format("Today's money for labels is spent ({} of {}): none are collected until midnight UTC. A larger label_budget_usd_per_day brings the first cheap answer sooner.",
                    human_usd(task.label_spent_today), human_usd(task.label_budget)));
  }
  if (task.by_hand) {
    add("Without escalate_below or escalate_between the promise chooses the thresholds, and cheap stages serve as much as can be proven.");
    const auto agreement = measured_agreement(task);
    if (agreement) add(fmt::format("A lower threshold serves more; agreement now is {}.", interval_text(*agreement)));
    return out;
  }
  if (!task.report) {
    if (out.empty()) add("Send requests through a cascade with a student: labels are collected by themselves.");
    return out;
  }
  const calibration::PromiseReport& p = task.report->promise;
  if (task.report->rungs.empty()) add("Its cascade has no cheap stage: name a student.");
  if (const cascade::FewShotUplift& u = task.report->uplift; u.rows > 0) {
    add(fmt::format("Examples: on {} that the student answered both ways they made {} answers right and {} wrong: uplift {:+.3f} ({:+.3f} to {:+.3f}).",
                    counted(static_cast<std::int64_t>(u.rows), "labelled request"), u.better, u.worse, u.mean, u.low, u.high));
  }
  if (!task.report->few_shots.empty()) add(fmt::format("Few-shots: {}.", task.report->few_shots));
  if (task.report->rows_lost > 0) add(fmt::format("{} could not be kept: look at the log for the disk or the journal.", counted(static_cast<std::int64_t>(task.report->rows_lost), "labelled row")));
  if (task.policy() != nullptr) {
    add("Traffic: bolder thresholds are tested by themselves as fresh rows come in.");
    add(fmt::format("A better student or a signal (signals = [...]) tells more of its right answers from wrong ones; a larger alpha than {} serves more at once.", share_text(*task.alpha())));
    return out;
  }
  if (p.state == PromiseState::kWarming && !p.labels_guessed && !p.labels_needed) {
    add(fmt::format("As far as {} tell, no threshold of the student's confidence could be shown to keep alpha = {}. Labels go on being collected and may change that; if they do not: a better student, a signal (signals = [\"self_check\"], or samples), or a larger alpha.",
                    counted(static_cast<std::int64_t>(p.fit_rows + p.test_rows), "label"), share_text(*task.alpha())));
    return out;
  }
  if (p.state == PromiseState::kNever) {
    add(fmt::format("The student's confidence cannot tell right answers from wrong ones well enough for alpha = {}: try a better student, a signal (signals = [\"self_check\"], or samples), or a larger alpha. More labels alone will not help.", share_text(*task.alpha())));
    return out;
  }
  if (const std::string missing = labels_missing(task); !missing.empty()) add(missing + ".");
  if (p.fit_rows + p.test_rows == 0 && task.all.requests >= 20) {
    add("Requests come but no labels: see whether the student answers (`understudy doctor`), whether it gives logprobs, and whether the label budget is large enough.");
  }
  return out;
}

}  // namespace understudy::app
