#include "app/teacher_training.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "app/active_learning.h"
#include "app/config_sections.h"
#include "app/human.h"
#include "app/labelled_rows.h"
#include "app/output.h"
#include "app/specialist_opinions.h"
#include "app/stop_on_signal.h"
#include "app/train_support.h"

namespace understudy::app {
namespace {

namespace fs = std::filesystem;
using labelling::AskEnd;
using labelling::Task;

/// What does not go together. `places.data` is empty with a teacher.
Result<void> check(Task task, const TeacherArguments& a, const TrainPlaces& places) {
  if (!a.wanted()) {
    if (!a.unlabelled.empty() || a.labels_only || !a.labels.empty() || !a.labels_out.empty() || a.active || !a.other.empty()) return fail(ErrorKind::kUsage, "--unlabelled, --labels, --labels-out, --labels-only and --active need --teacher");
    if (places.data.empty()) return fail(ErrorKind::kUsage, "--data FILE (labelled rows) is needed, or --teacher MODEL with --unlabelled FILE");
    if (places.out.empty()) return fail(ErrorKind::kUsage, "--out DIR is needed: the folder to make");
    return {};
  }
  if (!places.data.empty() || places.split) return fail(ErrorKind::kUsage, "--teacher makes the labelled rows that --data would give: give one of both (--unlabelled-split chooses among rows without labels)");
  if (a.unlabelled.empty()) return fail(ErrorKind::kUsage, "--teacher needs --unlabelled FILE: rows to ask about");
  if (!a.labels_only && places.out.empty()) return fail(ErrorKind::kUsage, "--out DIR is needed: the folder to make; or --labels-only");
  if (places.out.empty() && a.labels_out.empty()) return fail(ErrorKind::kUsage, "--labels-only needs --labels-out FILE, or --out DIR, beside which the labels are written");
  if (!a.labels_only) APP_CHECK(must_be_new(places.out));
  if (task == Task::kIntent && a.labels.empty()) return fail(ErrorKind::kUsage, "--teacher needs --labels: the labels that there are, as a,b,c or a file");
  if (!a.other.empty() && !a.active) return fail(ErrorKind::kUsage, "--judge and --reranker say where two models disagree: they go with --active");
  if (a.active && !places.calibration.empty()) return fail(ErrorKind::kUsage, "--active keeps random rows for the calibration: leave --calibration out");
  return {};
}

std::string labels_file(const TeacherArguments& a, std::string out) {
  if (!a.labels_out.empty()) return a.labels_out;
  while (out.size() > 1 && out.ends_with('/')) out.pop_back();
  return out + ".labels.jsonl";
}

/// Labelled rows into a file. kInvalidRequest: there are none.
Result<std::size_t> write_labelled(const TeacherLabels& labels, std::span<const std::size_t> places, const std::string& file, AskEnd end) {
  std::size_t count = 0;
  const std::string text = labels.labelled(places, count);
  if (count == 0) {
    return fail(ErrorKind::kInvalidRequest, end == AskEnd::kBudget ? "no row has a label: the budget does not reach for one call" : "no row has a label: the teacher gave no usable answer");
  }
  APP_CHECK(write_whole(file, text));
  return count;
}

/// Those of `places` that are not in `without`.
std::vector<std::size_t> rest_of(std::span<const std::size_t> places, std::span<const std::size_t> without, std::size_t rows) {
  std::vector<bool> out_of(rows);
  for (const std::size_t i : without) out_of[i] = true;
  std::vector<std::size_t> out;
  for (const std::size_t i : places) {
    if (!out_of[i]) out.push_back(i);
  }
  return out;
}

/// A random part, a first model from it, and a part that is chosen by what that says. @return how many rows have a label
Result<std::size_t> label_actively(const TeacherArguments& a, TeacherLabels& labels, const std::string& file, TrainPlaces& places, const FirstModel& first_model, std::stop_token stop) {
  const TeacherRows& rows = labels.rows();
  const auto order = labels.sample(rows.rows.size(), places.seed);
  const ActivePlan plan = plan_active(rows, order, a.sample, a.active_share, places.seed);
  APP_CHECK(labels.confirm(std::span(order).first(plan.random.size() + plan.choose)));  // those chosen are not known yet, but as many
  APP_TRY(random, labels.ask(plan.random, stop));
  auto training = rest_of(plan.random, plan.calibration, rows.rows.size());
  const std::string calibration_file = file + ".calibration.jsonl", first = file + ".first";
  APP_TRY(kept, write_labelled(labels, plan.calibration, calibration_file, random.end));
  APP_TRY(seeded, write_labelled(labels, training, file, random.end));
  AskEnd end = random.end;
  if (end == AskEnd::kDone && plan.choose > 0) {
    std::error_code ignored;
    fs::remove_all(first, ignored);  // of a run that was killed
    print_error(fmt::format("a first model, from {}, chooses the next", counted(static_cast<std::int64_t>(seeded), "row")));
    APP_CHECK(first_model(file, first));
    const auto opinions = opinions_of(first, rows);
    fs::remove_all(first, ignored);
    if (!opinions) return fail(opinions.error());
    std::vector<Opinion> others;
    if (!a.other.empty()) {
      APP_TRY(said, opinions_of(a.other, rows));
      others = std::move(said);
    }
    const auto chosen = labelling::worthiest_rows(worth_asking(*opinions, others), plan.pool, plan.choose);
    APP_TRY(asked, labels.ask(chosen, stop));
    end = asked.end;
    training.insert(training.end(), chosen.begin(), chosen.end());
  }
  APP_TRY(trained, write_labelled(labels, training, file, end));
  places.calibration = calibration_file;
  return trained + kept;
}

}  // namespace

void add_teacher_arguments(CLI::App& cli, Task task, TeacherArguments& a) {
  add_teacher_choice(cli, a.teacher);
  cli.add_option("--unlabelled", a.unlabelled, "With --teacher: rows without labels, plain, gzip or zstd")->type_name("FILE");
  cli.add_option("--unlabelled-split", a.split, "Rows of this split of it (default: train where it has splits)");
  if (task == Task::kIntent) cli.add_option("--labels", a.labels, "With --teacher: the labels, as a,b,c or a file: one a line, or labelled rows")->type_name("LIST|FILE");
  cli.add_option("--sample", a.sample, "With --teacher: rows to label, drawn by --seed; a larger sample holds the smaller one")->check(CLI::Range(std::size_t{1}, std::size_t{100'000'000}))->capture_default_str();
  cli.add_flag("--active", a.active, "With --teacher: a first model, from a random part of the sample, chooses the rest: what it is least sure of");
  cli.add_option("--active-share", a.active_share, "With --active: share of the sample that is chosen")->check(CLI::Range(0.0, 0.9))->capture_default_str();
  if (task == Task::kRelevance) cli.add_option("--judge", a.other, "With --active: a judge's folder; what it and the first model disagree about goes first")->type_name("DIR");
  if (task == Task::kFaithfulness) cli.add_option("--reranker", a.other, "With --active: a reranker's folder; what it and the first model disagree about goes first")->type_name("DIR");
  cli.add_option("--labels-out", a.labels_out, "With --teacher: file for the labelled rows (default: OUT.labels.jsonl); what was asked is kept beside it, in .asked")->type_name("FILE");
  cli.add_flag("--labels-only", a.labels_only, "With --teacher: stop before training");
  for (const char* option : {"--data", "--out"}) cli.get_option(option)->required(false);
}

Result<std::optional<std::string>> teacher_before_training(Task task, const TeacherArguments& a, TrainPlaces& places, const FirstModel& first_model) {
  APP_CHECK(check(task, a, places));
  if (!a.wanted()) return std::optional<std::string>();
  APP_TRY(teacher, choose_teacher(a.teacher, process_environment()));
  APP_TRY(text, read_whole(a.unlabelled));
  if (a.task_of) {
    APP_TRY(found, a.task_of(text));
    if (found != task && !a.other.empty()) return fail(ErrorKind::kUsage, fmt::format("--reranker: a reranker says nothing of rows of the form \"{}\"", labelling::task_name(found)));
    task = found;
  }
  labelling::Question question;
  question.task = task;
  if (task == Task::kIntent) {
    APP_TRY(names, read_label_names(a.labels));
    question.labels = std::move(names);
  }
  APP_TRY(rows, parse_teacher_rows(task, text, a.unlabelled, a.split, "train"));
  const std::string file = labels_file(a, places.out);
  APP_TRY(labels, TeacherLabels::open(std::move(rows), std::move(question), std::move(teacher), a.teacher, file + ".asked"));
  std::size_t count = 0;
  const StopOnSignal stop;
  if (a.active) {
    APP_TRY(labelled, label_actively(a, labels, file, places, first_model, stop.token()));
    count = labelled;
  } else {
    const auto sample = labels.sample(a.sample, places.seed);
    APP_CHECK(labels.confirm(sample));
    APP_TRY(report, labels.ask(sample, stop.token()));
    APP_TRY(labelled, write_labelled(labels, sample, file, report.end));
    count = labelled;
  }
  places.data = file;
  if (!a.labels_only) return std::optional<std::string>();
  return fmt::format("{}: {}, labelled by {}\n", file, counted(static_cast<std::int64_t>(count), "row"), labels.teacher().config.upstream_model);
}

}  // namespace understudy::app
