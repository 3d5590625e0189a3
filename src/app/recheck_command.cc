#include "app/recheck_command.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <CLI/CLI.hpp>

#include "app/config_sections.h"
#include "app/labelled_rows.h"
#include "app/specialist_opinions.h"
#include "app/stop_on_signal.h"
#include "base/hash.h"
#include "specialists/intent_specialist.h"

namespace understudy::app {
namespace {

namespace fs = std::filesystem;

/// Id of the calibration that stands in the folder; "" where it cannot be read, which opening it tells.
std::string version_of(const fs::path& folder) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view id;
  const std::string json = monitors::file_text(folder / "specialist.json");
  return parser.parse(json).get(root) || root["calibration"]["id"].get(id) ? std::string() : std::string(id);
}

}  // namespace

void add_recheck_arguments(CLI::App& cli, RecheckArguments& a) {
  add_teacher_choice(cli, a.teacher);
  cli.get_option("--teacher")->required();
  cli.add_option("--rows", a.rows, "Rows to draw from, like those that it answers now; labels in them are not looked at")->required()->type_name("FILE");
  cli.add_option("--split", a.split, "Rows of this split (default: test where the file has splits: not those that it was trained on)");
  cli.add_option("--sample", a.sample, "Rows to ask the teacher about")->check(CLI::Range(monitors::kFewestRechecked, std::size_t{1'000'000}))->capture_default_str();
  cli.add_option("--seed", a.seed, "Of the sample (default: another one each time)");
  cli.add_option("--at-least", a.at_least, "Alarm also unless the agreement is shown to be at least this (lower end of its 95 % interval)")->check(CLI::Range(0.0, 1.0));
}

Result<monitors::Recheck> recheck(const std::string& name, const fs::path& folder, const RecheckArguments& a) {
  const fs::path plain = folder.has_filename() ? folder : folder.parent_path();  // "judge/"
  const fs::path history = monitors::history_of(plain);
  monitors::Recheck out;
  out.specialist = name;
  out.version = version_of(plain);
  out.at_least = a.at_least;
  APP_TRY(task, task_of_specialist(plain.string()));
  labelling::Question question;
  question.task = task;
  if (task == labelling::Task::kIntent) {
    APP_TRY(specialist, specialists::IntentSpecialist::load(plain));
    question.labels.assign(specialist.labels().begin(), specialist.labels().end());
  }
  APP_TRY(teacher, choose_teacher(a.teacher, process_environment()));
  APP_TRY(text, read_whole(a.rows));
  APP_TRY(rows, parse_teacher_rows(task, text, a.rows, a.split, "test"));
  APP_TRY(opinions, opinions_of(plain.string(), rows));
  const Hash128 hash = hash128(text);
  out.data = a.rows;
  out.data_hash = fmt::format("{:016x}{:016x}", hash.high, hash.low);
  out.rows = rows.rows.size();
  out.teacher = teacher.config.upstream_model;
  out.seed = a.seed.value_or(monitors::next_seed(monitors::file_text(history)));
  // Kept until the recheck is written down, so that one that was killed goes on; then the teacher is asked anew.
  const std::string asked = fmt::format("{}.recheck-{}.asked", plain.string(), out.seed);
  APP_TRY(labels, TeacherLabels::open(std::move(rows), std::move(question), std::move(teacher), a.teacher, asked));
  const StopOnSignal stop;
  // Single rows, also of a reranker's: whole queries would be fewer independent ones.
  const auto places = labels.sample_single_rows(a.sample, out.seed);
  APP_CHECK(labels.confirm(places));
  APP_CHECK(labels.ask(places, stop.token()));
  std::vector<std::size_t> sampled;
  std::vector<labelling::Verdict> verdicts;
  for (const std::size_t i : places) {
    auto verdict = labels.verdict(i);
    if (!verdict) continue;
    sampled.push_back(i);
    verdicts.push_back(std::move(*verdict));
  }
  APP_CHECK(monitors::compare_with_teacher(out, task, opinions, sampled, verdicts));
  out.at = system_clock().wall();
  const auto& stored = labels.file().stored();
  if (stored.unpriced == 0) out.cost = stored.spent;
  APP_CHECK(monitors::append_recheck(history, out));
  std::error_code ignored;
  fs::remove(asked, ignored);
  return out;
}

}  // namespace understudy::app
