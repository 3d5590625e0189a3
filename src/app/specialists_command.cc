#include "app/specialists_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "app/command.h"
#include "app/command_line.h"
#include "app/config_sections.h"
#include "app/config_specialists.h"
#include "app/labelled_rows.h"
#include "app/output.h"
#include "app/recheck_command.h"
#include "app/recheck_report.h"
#include "app/specialist_input.h"
#include "app/specialists_report.h"
#include "base/json_writer.h"
#include "base/nearest.h"
#include "calibration/metrics.h"
#include "calibration/risk_control.h"
#include "specialists/intent_specialist.h"

namespace understudy::app {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  StoreArguments store;
  std::string config, directory;
  std::string name;
};

void add_places(CLI::App& cli, Arguments& a) {
  add_store_arguments(cli, a.store);
  cli.add_option("-c,--config", a.config, "Configuration file (TOML): its [specialists], and the tasks that they are bound to")->type_name("FILE");
  cli.add_option("--directory", a.directory, "Directory that holds specialists (default: specialists/ in the data directory)")->type_name("DIR");
}

Result<ConfiguredSpecialists> places_of(const CLI::App& cli, const Arguments& a) {
  if (!a.config.empty() && !a.directory.empty()) return fail(ErrorKind::kUsage, "--config and --directory exclude each other");
  if (!a.config.empty()) return configured_specialists(a.config, cli.count("--data") > 0 ? a.store.data : "");
  ConfiguredSpecialists out;
  out.places.directory = a.directory.empty() ? fs::path(a.store.data) / "specialists" : fs::path(a.directory);
  out.places.required = !a.directory.empty();
  return out;
}

ListedSpecialist listed(std::string name, const fs::path& folder, const ConfiguredSpecialists& from) {
  ListedSpecialist one;
  one.name = std::move(name);
  one.folder = folder.string();
  for (const auto& [task, bound] : from.bound) {
    if (bound == one.name) one.tasks.push_back(task);
  }
  auto loaded = specialists::load_specialist(one.name, folder);
  if (loaded) {
    one.specialist = std::move(*loaded);
  } else {
    one.error = loaded.error().message;
  }
  one.recheck = monitors::last_recheck(monitors::file_text(monitors::history_of(folder)));
  return one;
}

/// Where a name, or a folder that is named itself, lies.
Result<std::pair<std::string, fs::path>> find(const std::string& word, const ConfiguredSpecialists& from) {
  APP_TRY(folders, specialists::specialist_folders(from.places));
  std::vector<std::string_view> names;
  for (const auto& entry : folders) {
    if (entry.first == word) return entry;
    names.push_back(entry.first);
  }
  std::error_code code;
  fs::path folder(word);
  if (!folder.has_filename()) folder = folder.parent_path();
  if (fs::is_directory(folder, code)) return std::pair(folder.filename().string(), folder);
  return fail(ErrorKind::kNotFound, fmt::format("there is no specialist '{}' in {}, and no such folder{}{}", word, from.places.directory.string(), did_you_mean(word, names),
                                                names.empty() ? "" : fmt::format("; there are: {}", fmt::join(names, ", "))));
}

Result<ListedSpecialist> load(const std::string& word, const ConfiguredSpecialists& from) {
  APP_TRY(found, find(word, from));
  ListedSpecialist one = listed(found.first, found.second, from);
  if (!one.specialist) return fail(ErrorKind::kCorrupt, one.error);
  return one;
}

Result<std::string> list(const ConfiguredSpecialists& from, bool json) {
  APP_TRY(folders, specialists::specialist_folders(from.places));
  std::vector<ListedSpecialist> all;
  for (const auto& [name, folder] : folders) all.push_back(listed(name, folder, from));
  const std::string directory = from.places.directory.string();
  return json ? specialists_json(all, directory) : specialists_text(all, directory, stdout_style());
}

Result<std::string> remove(const std::string& name, const ConfiguredSpecialists& from, bool json) {
  APP_TRY(folders, specialists::specialist_folders(from.places));
  const auto found = std::find_if(folders.begin(), folders.end(), [&](const auto& entry) { return entry.first == name; });
  if (found == folders.end()) {
    APP_CHECK(find(name, from));   // says what there is, unless the name is a folder elsewhere
    return fail(ErrorKind::kUsage, fmt::format("{} is not in {}: only what lies there is removed by this command", name, from.places.directory.string()));
  }
  const auto& configured = from.places.folders;
  if (std::any_of(configured.begin(), configured.end(), [&](const auto& entry) { return entry.first == name; })) {
    return fail(ErrorKind::kConflict, fmt::format("the configuration names '{0}' itself: take [specialists.{0}] out of it; its folder is yours to remove", name));
  }
  for (const auto& [task, bound] : from.bound) {
    if (bound == name) return fail(ErrorKind::kConflict, fmt::format("[tasks.{}] is bound to '{}': bind it to another, or to none, first", task, name));
  }
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(found->second, code)) {
    const bool own = entry.is_regular_file(code) || entry.path().filename() == "cross_encoder";
    if (!own) return fail(ErrorKind::kConflict, fmt::format("{} holds {}, which is none of a specialist's files: remove the folder by hand", found->second.string(), entry.path().filename().string()));
  }
  fs::remove_all(found->second, code);
  if (code) return fail(ErrorKind::kIo, fmt::format("cannot remove {}: {}", found->second.string(), code.message()));
  if (!json) return fmt::format("Removed {}. A running gateway keeps it until it reloads.\n", found->second.string());
  std::string out;
  JsonWriter(out).begin_object().field("schema", "understudy.specialist-removed/1").field("name", name).field("folder", found->second.string()).end_object();
  return out + "\n";
}

/// Answers to each row, with the encoder where the specialist reads vectors and there is one.
Result<std::vector<specialists::IntentPrediction>> answers(const ReadySpecialist& ready, const specialists::IntentRows& rows) {
  std::vector<std::string_view> texts;
  for (const auto& row : rows.rows) texts.push_back(row.text);
  return ready.specialist.predict_all(texts, ready.encoder.get());
}

Result<Comparison> compare(const ReadySpecialist& first, const ReadySpecialist& second, const specialists::IntentRows& rows) {
  APP_TRY(of_first, answers(first, rows));
  APP_TRY(of_second, answers(second, rows));
  Comparison c;
  c.file = rows.file;
  std::vector<double> said[2];
  std::vector<std::uint8_t> right[2];
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    const auto& row = rows.rows[i];
    if (row.oos || row.label.empty()) continue;
    const auto &a = of_first[i], &b = of_second[i];
    said[0].push_back(a.probability);
    said[1].push_back(b.probability);
    right[0].push_back(a.label == row.label);
    right[1].push_back(b.label == row.label);
    c.same += a.label == b.label;
    c.only_first += right[0].back() && !right[1].back();
    c.only_second += right[1].back() && !right[0].back();
  }
  c.rows = right[0].size();
  if (c.rows == 0) return fail(ErrorKind::kInvalidRequest, rows.file + ": no row has a label to compare by");
  APP_TRY(promise, calibration::Promise::create(0.05, 0.10));
  for (int i = 0; i < 2; ++i) {
    Comparison::Side& side = i == 0 ? c.first : c.second;
    const auto hits = std::count(right[i].begin(), right[i].end(), 1);
    side.accuracy = static_cast<double>(hits) / static_cast<double>(c.rows);
    side.ece15 = calibration::ece(said[i], right[i]);
    std::vector<std::uint8_t> bad;
    for (const std::uint8_t r : right[i]) bad.push_back(r == 0);
    APP_TRY(choice, calibration::choose_threshold(said[i], bad, promise));
    side.served_at_5 = choice.threshold ? static_cast<double>(choice.rows) / static_cast<double>(c.rows) : 0;
  }
  return c;
}

int finish(const char* command, const Result<std::string>& text, bool json) { return text ? print_output(*text) : report_error(command, text.error(), json); }

}  // namespace

int run_specialists_list_command(int argc, char** argv) {
  CLI::App cli("The specialists that a gateway on this data directory or configuration loads.");
  cli.footer("Examples:\n  understudy specialists list\n  understudy specialists list --config understudy.toml --json");
  Arguments a;
  add_places(cli, a);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto from = places_of(cli, a);
  return finish(argv[0], from ? list(*from, a.store.json) : Result<std::string>(fail(from.error())), a.store.json);
}

int run_specialists_show_command(int argc, char** argv) {
  CLI::App cli("One specialist: what it was trained on, how right it is, and how far its probabilities can be believed.");
  cli.footer("Examples:\n  understudy specialists show intent-v1\n  understudy specialists show models/cards --json");
  Arguments a;
  cli.add_option("NAME", a.name, "Its name, or a folder")->required();
  add_places(cli, a);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto shown = [&]() -> Result<std::string> {
    APP_TRY(from, places_of(cli, a));
    APP_TRY(one, load(a.name, from));
    return a.store.json ? specialist_json(one) : specialist_text(one, stdout_style());
  };
  return finish(argv[0], shown(), a.store.json);
}

int run_specialists_compare_command(int argc, char** argv) {
  CLI::App cli("Two specialists side by side; with --rows on the same labelled rows, which neither should have been trained on.");
  cli.footer("Examples:\n  understudy specialists compare intent-v1 intent-v2\n  understudy specialists compare intent-v1 intent-v2 --rows rows.jsonl --split test");
  Arguments a;
  std::string other, rows;
  std::optional<std::string> split;
  cli.add_option("FIRST", a.name, "Its name, or a folder")->required();
  cli.add_option("SECOND", other, "The same of the other")->required();
  cli.add_option("--rows", rows, "Labelled rows, plain, gzip or zstd")->type_name("FILE");
  cli.add_option("--split", split, "Rows of this split (default: test where the file has splits)");
  add_places(cli, a);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto compared = [&]() -> Result<std::string> {
    if (split && rows.empty()) return fail(ErrorKind::kUsage, "--split needs --rows");
    APP_TRY(from, places_of(cli, a));
    APP_TRY(first, load(a.name, from));
    APP_TRY(second, load(other, from));
    for (const ListedSpecialist* one : {&first, &second}) {
      if (!one->specialist->intent) return fail(ErrorKind::kUsage, fmt::format("'{}' is of kind {}: two of those are compared by understudy evaluate {} --before {}", one->name, one->specialist->kind, second.folder, first.folder));
    }
    std::optional<Comparison> on_rows;
    if (!rows.empty()) {
      APP_TRY(file, read_labelled_rows(rows, split, "test", ""));
      APP_TRY(ready_first, open_specialist(first.folder));
      APP_TRY(ready_second, open_specialist(second.folder));
      APP_TRY(made, compare(ready_first, ready_second, file.rows));
      on_rows = std::move(made);
    }
    return a.store.json ? comparison_json(first, second, on_rows) : comparison_text(first, second, on_rows, stdout_style());
  };
  return finish(argv[0], compared(), a.store.json);
}

int run_specialists_remove_command(int argc, char** argv) {
  CLI::App cli("Removes a specialist's folder from the directory. Refused where the configuration names it or a task is bound to it.");
  cli.footer("Example:\n  understudy specialists remove intent-v1 --config understudy.toml");
  Arguments a;
  cli.add_option("NAME", a.name, "Its name")->required();
  add_places(cli, a);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto from = places_of(cli, a);
  return finish(argv[0], from ? remove(a.name, *from, a.store.json) : Result<std::string>(fail(from.error())), a.store.json);
}

int run_specialists_recheck_command(int argc, char** argv) {
  CLI::App cli("Asks the teacher again about a fresh sample, and compares. Exit status 1: an alarm.");
  cli.footer("Examples:\n  understudy specialists recheck judge --teacher openai:gpt-4o --rows recent.jsonl --budget-usd 0.50\n"
             "  understudy specialists recheck models/cards --teacher openai:gpt-4o --rows recent.jsonl --sample 400 --at-least 0.9 --yes --json\n"
             "Weekly, by cron: 0 6 * * 1 understudy specialists recheck judge --data /srv/understudy --teacher openai:gpt-4o --rows recent.jsonl --budget-usd 0.50 || notify");
  Arguments a;
  RecheckArguments recheck_arguments;
  cli.add_option("NAME", a.name, "Its name, or a folder")->required();
  add_recheck_arguments(cli, recheck_arguments);
  add_places(cli, a);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto done = [&]() -> Result<monitors::Recheck> {
    APP_TRY(from, places_of(cli, a));
    APP_TRY(found, find(a.name, from));
    return recheck(found.first, found.second, recheck_arguments);
  }();
  if (!done) return report_error(argv[0], done.error(), a.store.json);
  return print_output(a.store.json ? monitors::recheck_json(*done) : recheck_text(*done), done->alarm.empty() ? kExitDone : kExitGateFailed);
}

}  // namespace understudy::app
