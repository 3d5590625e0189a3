#include "app/specialist_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>

#include "app/command.h"
#include "app/command_line.h"
#include "app/human.h"
#include "app/labelled_rows.h"
#include "app/output.h"
#include "audit/input.h"
#include "base/json_writer.h"
#include "calibration/metrics.h"
#include "calibration/risk_control.h"
#include "specialists/intent_specialist.h"

namespace understudy::app {
namespace {

using specialists::IntentPrediction;
using specialists::IntentRows;
using specialists::IntentSpecialist;

struct TrainArguments {
  std::string data, calibration, only, out;
  std::optional<std::string> split, calibration_split;
  std::uint64_t seed = 1;
  bool similar_labels = false, json = false;
};

Result<std::string> train(const TrainArguments& a, const std::string& command) {
  std::error_code ignored;
  if (std::filesystem::exists(a.out, ignored) && !std::filesystem::is_empty(a.out, ignored)) {
    return fail(ErrorKind::kConflict, fmt::format("{} exists: name another folder with --out, or remove it first", a.out));  // before the work
  }
  auto data = read_labelled_rows(a.data, a.split, "train", a.only);
  if (!data) return fail(data.error());
  std::optional<LabelledFile> calibration;
  if (!a.calibration.empty()) {
    auto read = read_labelled_rows(a.calibration, a.calibration_split, "dev", "");
    if (!read) return fail(read.error());
    calibration = std::move(*read);
  }
  if (::isatty(STDERR_FILENO) == 1) print_error(fmt::format("training on {} ...", counted(static_cast<std::int64_t>(data->rows.rows.size()), "row")));
  specialists::IntentFacts facts;
  facts.command = command;
  facts.data_file = a.data;
  facts.data_hash = data->hash;
  if (calibration) facts.calibration_file = a.calibration, facts.calibration_hash = calibration->hash;
  const auto start = std::chrono::steady_clock::now();
  auto made = specialists::train_intent(data->rows, calibration ? &calibration->rows : nullptr, {a.seed, a.similar_labels}, std::move(facts));
  if (!made) return fail(made.error());
  if (auto saved = made->save(a.out); !saved) return fail(saved.error());
  if (a.json) return made->json();
  const auto& c = made->calibration();
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  return fmt::format("{}: {}, {}, trained in {}\n{}: accuracy {:.1f} %, ECE-15 {:.4f}, Brier {:.4f} ({})\n"
                     "next: understudy evaluate {} --data FILE --split test\n",
                     a.out, counted(static_cast<std::int64_t>(made->facts().rows), "row"), counted(static_cast<std::int64_t>(made->labels().size()), "label"),
                     human_duration(us), c.source == "file" ? "calibration rows" : "rows held back", 100 * c.accuracy, c.ece15, c.brier,
                     counted(static_cast<std::int64_t>(c.rows), "row"), a.out);
}

void append_prediction(std::string& out, std::string_view id, const IntentPrediction& p, const IntentSpecialist& specialist) {
  JsonWriter w(out);
  w.begin_object().field("id", id).field("label", p.label).key("probability").fixed(p.probability, 6).key("in_scope").fixed(p.in_scope, 6);
  w.key("top").begin_array();
  for (std::size_t i = 0; i < p.top.ranked; ++i) {
    w.begin_array().string(specialist.labels()[p.top.top[i].label]).fixed(std::min(1.0f, p.top.top[i].probability), 6).end_array();
  }
  w.end_array().end_object();
  out += '\n';
}

void append_line_error(std::string& out, std::size_t line, std::string_view message) {
  JsonWriter w(out);
  w.begin_object().field("id", fmt::format("line {}", line)).field("error", message).end_object();
  out += '\n';
}

/// From standard input, each line as it comes. @return the exit status
int predict_stream(const IntentSpecialist& specialist, const char* name) {
  auto source = audit::open_source("-");
  if (!source) return report_error(name, source.error(), false);
  std::string text, out;
  std::size_t line = 0;
  int status = kExitDone;
  const auto answer = [&](std::string_view given) {
    ++line;
    if (given.find_first_not_of(" \t\r") == std::string_view::npos) {
      append_line_error(out, line, "the line is empty: an object with \"text\" is needed");
      status = kExitBadInput;
    } else if (auto row = specialists::parse_intent_row(given)) {
      append_prediction(out, row->id.empty() ? fmt::format("line {}", line) : row->id, specialist.predict(row->text), specialist);
    } else {
      append_line_error(out, line, row.error().message);
      status = kExitBadInput;
    }
  };
  for (;;) {
    const std::size_t at = text.size(), step = 1 << 16;
    text.resize(at + step);
    const auto n = (*source)->read(text.data() + at, step);
    if (!n) return report_error(name, n.error(), false);
    text.resize(at + *n);
    std::size_t begin = 0;
    for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) answer(std::string_view(text).substr(begin, end - begin));
    text.erase(0, begin);
    if (*n == 0 && !text.empty()) answer(text);
    if (const int written = print_output(out); written != kExitDone) return written;
    out.clear();
    if (*n == 0) break;
  }
  if (status != kExitDone) print_error(std::string(name) + ": some lines could not be answered; their \"error\" says why");
  return status;
}

struct Evaluation {
  std::size_t rows = 0;
  double accuracy = 0, macro_f1 = 0, ece15 = 0, brier = 0;
  std::optional<double> auroc_oos;
  std::vector<std::pair<const char*, double>> served;
  double p50_us = 0, p99_us = 0;
  std::uint64_t bytes = 0;
};

double macro_f1(const std::vector<std::string_view>& truth, const std::vector<std::string_view>& said) {
  struct Counts {
    double hit = 0, said = 0, is = 0;
  };
  std::map<std::string_view, Counts> counts;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    counts[truth[i]].is += 1;
    counts[said[i]].said += 1;
    counts[truth[i]].hit += truth[i] == said[i];
  }
  double sum = 0;
  for (const auto& [name, c] : counts) sum += 2 * c.hit / (c.said + c.is);
  return sum / static_cast<double>(counts.size());
}

Result<Evaluation> evaluate(const IntentSpecialist& specialist, const IntentRows& rows) {
  Evaluation e;
  std::vector<double> probability, in_scope, doubt, micros;
  std::vector<std::uint8_t> right, bad, inside;
  std::vector<std::string_view> truth, said;
  for (const auto& row : rows.rows) {
    if (!row.oos && row.label.empty()) return fail(ErrorKind::kInvalidRequest, fmt::format("{}, line {}: \"label\" is needed; this specialist answers one label a text", rows.file, row.line));
    const auto start = std::chrono::steady_clock::now();
    const IntentPrediction p = specialist.predict(row.text);
    micros.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    in_scope.push_back(p.in_scope);
    inside.push_back(!row.oos);
    if (row.oos) continue;
    probability.push_back(p.probability);
    right.push_back(p.label == row.label);
    bad.push_back(!right.back());
    truth.push_back(row.label);
    said.push_back(p.label);
  }
  if (truth.empty()) return fail(ErrorKind::kInvalidRequest, rows.file + ": all rows are marked \"oos\"; rows with a label are needed too");
  e.rows = rows.rows.size();
  e.accuracy = static_cast<double>(std::count(right.begin(), right.end(), 1)) / static_cast<double>(right.size());
  e.macro_f1 = macro_f1(truth, said);
  e.ece15 = calibration::ece(probability, right);
  e.brier = calibration::brier(probability, right);
  if (truth.size() < rows.rows.size()) e.auroc_oos = calibration::auroc(in_scope, inside);
  for (const auto& [name, alpha] : {std::pair{"0.01", 0.01}, {"0.02", 0.02}, {"0.05", 0.05}, {"0.10", 0.10}}) {
    const auto promise = calibration::Promise::create(alpha, 0.10);
    if (!promise) return fail(promise.error());
    const auto choice = calibration::choose_threshold(probability, bad, *promise);
    if (!choice) return fail(choice.error());
    e.served.emplace_back(name, choice->threshold ? static_cast<double>(choice->rows) / static_cast<double>(bad.size()) : 0.0);
  }
  std::sort(micros.begin(), micros.end());
  e.p50_us = micros[micros.size() / 2];
  e.p99_us = micros[micros.size() * 99 / 100];
  return e;
}

std::string evaluation_json(const Evaluation& e) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.specialist/1").field("kind", "intent").field("rows", e.rows);
  w.key("metrics").begin_object().field("accuracy", e.accuracy).field("macro_f1", e.macro_f1);
  if (e.auroc_oos) w.field("auroc_oos", *e.auroc_oos);
  w.end_object().key("calibration").begin_object().field("ece15", e.ece15).field("brier", e.brier).end_object();
  w.key("served_at").begin_object();
  for (const auto& [alpha, share] : e.served) w.field(alpha, share);
  w.end_object().key("latency_us").begin_object().key("p50").fixed(e.p50_us, 1).key("p99").fixed(e.p99_us, 1).end_object();
  w.field("size_bytes", e.bytes).end_object();
  return out + "\n";
}

std::string evaluation_text(const Evaluation& e) {
  std::string out = fmt::format("rows        {}\naccuracy    {:.2f} %\nmacro F1    {:.4f}\nECE-15      {:.4f}\nBrier       {:.4f}\n", human_count(static_cast<std::int64_t>(e.rows)), 100 * e.accuracy,
                                e.macro_f1, e.ece15, e.brier);
  if (e.auroc_oos) out += fmt::format("AUROC oos   {:.4f}\n", *e.auroc_oos);
  for (const auto& [alpha, share] : e.served) out += fmt::format("served with at most {} wrong, 90 % sure: {:.1f} %\n", alpha, 100 * share);
  return out + fmt::format("latency     {:.1f} us (p99 {:.1f} us)\nsize        {}\n", e.p50_us, e.p99_us, human_bytes(e.bytes));
}

std::uint64_t folder_bytes(const std::string& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, error)) {
    if (entry.is_regular_file(error)) bytes += entry.file_size(error);
  }
  return bytes;
}

}  // namespace

int run_train_intent_command(int argc, char** argv) {
  CLI::App cli("Trains a specialist for a task with closed answers (intents, routing, moderation) on labelled texts.");
  cli.footer("Rows are JSON Lines (plain, gzip or zstd): {\"id\": \"1\", \"text\": \"where is my card\", \"label\": \"card_arrival\", \"split\": \"train\"}\n\n"
             "  understudy train intent --data rows.jsonl --out cards\n  understudy evaluate cards --data rows.jsonl --split test");
  TrainArguments a;
  cli.add_option("--data", a.data, "Labelled rows; \"-\" is standard input")->required();
  cli.add_option("--split", a.split, "Rows of this split (default: train where the file has splits)");
  cli.add_option("--only", a.only, "Only rows on which this key is true");
  cli.add_option("--calibration", a.calibration, "Rows that the probabilities are calibrated on (default: training rows held back in turn)");
  cli.add_option("--calibration-split", a.calibration_split, "Rows of this split of --calibration (default: dev where it has splits)");
  cli.add_option("--seed", a.seed, "Same rows and seed: the same specialist")->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 62))->capture_default_str();
  cli.add_flag("--similar-labels", a.similar_labels, "Labels that differ by case only are meant so");
  cli.add_option("--out", a.out, "Folder to make")->required();
  cli.add_flag("--json", a.json, "Print specialist.json");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  std::string command = "understudy train intent";
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  const auto text = train(a, command);
  return text ? print_output(*text) : report_error(argv[0], text.error(), a.json);
}

int run_predict_command(int argc, char** argv) {
  CLI::App cli("A specialist's answer for each row: label, calibrated probability, how much the text is of its task.");
  cli.footer("  echo '{\"id\": \"1\", \"text\": \"where is my card\"}' | understudy predict cards\n  understudy predict cards --data rows.jsonl --split test");
  std::string folder, data;
  std::optional<std::string> split;
  cli.add_option("DIR", folder, "The specialist's folder")->required();
  cli.add_option("--data", data, "Rows with a \"text\" each (default: standard input)");
  cli.add_option("--split", split, "Rows of this split of --data");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  auto specialist = IntentSpecialist::load(folder);
  if (!specialist) return report_error(argv[0], specialist.error(), false);
  if (data.empty() && split) return report_error(argv[0], Error(ErrorKind::kUsage, "--split needs --data: from standard input all rows are answered"), false);
  if (data.empty()) return predict_stream(*specialist, argv[0]);
  auto text = read_whole(data);
  if (!text) return report_error(argv[0], text.error(), false);
  const auto rows = specialists::parse_intent_rows(*text, data, {split, "", false});
  if (!rows) return report_error(argv[0], rows.error(), false);
  std::string out;
  for (const auto& row : rows->rows) append_prediction(out, row.id, specialist->predict(row.text), *specialist);
  return print_output(out);
}

int run_evaluate_command(int argc, char** argv) {
  CLI::App cli("How good a specialist is on labelled rows that it was not trained on.");
  cli.footer("  understudy evaluate cards --data rows.jsonl --split test --json");
  std::string folder, data;
  std::optional<std::string> split;
  bool json = false;
  cli.add_option("DIR", folder, "The specialist's folder")->required();
  cli.add_option("--data", data, "Labelled rows, plain, gzip or zstd")->required();
  cli.add_option("--split", split, "Rows of this split (default: test where the file has splits)");
  cli.add_flag("--json", json, "Print understudy.specialist/1");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto specialist = IntentSpecialist::load(folder);
  if (!specialist) return report_error(argv[0], specialist.error(), json);
  const auto rows = read_labelled_rows(data, split, "test", "");
  if (!rows) return report_error(argv[0], rows.error(), json);
  auto done = evaluate(*specialist, rows->rows);
  if (!done) return report_error(argv[0], done.error(), json);
  done->bytes = folder_bytes(folder);
  return print_output(json ? evaluation_json(*done) : evaluation_text(*done));
}

}  // namespace understudy::app
