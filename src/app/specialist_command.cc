#include "app/specialist_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>

#include "app/command.h"
#include "app/command_line.h"
#include "app/human.h"
#include "app/labelled_rows.h"
#include "app/output.h"
#include "app/specialist_evaluation.h"
#include "app/specialist_input.h"
#include "app/specialist_kinds.h"
#include "app/stop_on_signal.h"
#include "app/teacher_training.h"
#include "app/train_support.h"
#include "audit/input.h"
#include "base/json_writer.h"

namespace understudy::app {
namespace {

using specialists::IntentPrediction;
using specialists::IntentSpecialist;

struct TrainArguments {
  std::string data, calibration, only, out, encoder = "auto";
  std::optional<std::string> split, calibration_split;
  std::uint64_t seed = 1;
  std::size_t keep = 1000;
  bool similar_labels = false, several = false, json = false;
};

Result<std::string> train(const TrainArguments& a, const std::string& command) {
  if (auto fresh = must_be_new(a.out); !fresh) return fail(fresh.error());  // before the work
  auto data = read_labelled_rows(a.data, a.split, "train", a.only);
  if (!data) return fail(data.error());
  std::optional<LabelledFile> calibration;
  if (!a.calibration.empty()) {
    auto read = read_labelled_rows(a.calibration, a.calibration_split, "dev", "");
    if (!read) return fail(read.error());
    calibration = std::move(*read);
  }
  const StopOnSignal stop;
  std::string note;
  auto encoder = find_encoder(a.encoder, neural::Precision::kFloat32, note);
  if (!encoder) return fail(encoder.error());
  if (!note.empty()) print_error(note);
  specialists::IntentFacts facts;
  facts.command = command;
  facts.data_file = a.data;
  facts.data_hash = data->hash;
  if (calibration) facts.calibration_file = a.calibration, facts.calibration_hash = calibration->hash;
  specialists::IntentTraining training;
  training.seed = a.seed;
  training.similar_labels = a.similar_labels;
  training.several = a.several;
  training.encoder = encoder->get();
  training.most_kept = a.keep;
  training.progress = show_progress;
  training.stop = stop.token();
  // Vectors lie beside the folder until it is there, so that training goes on after Ctrl-C.
  std::filesystem::path cache = std::filesystem::path(a.out + (a.out.ends_with('/') ? "" : "/")).parent_path().string() + ".vectors";
  if (training.encoder != nullptr) training.cache_folder = cache;
  const auto start = std::chrono::steady_clock::now();
  auto made = specialists::train_intent(data->rows, calibration ? &calibration->rows : nullptr, training, std::move(facts));
  end_progress();
  if (!made) return fail(made.error());
  if (auto saved = made->save(a.out); !saved) return fail(saved.error());
  std::error_code ignored;
  std::filesystem::remove_all(cache, ignored);
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
  if (specialist.several()) {
    w.key("labels").begin_array();
    for (const std::uint32_t c : p.holds) w.string(specialist.labels()[c]);
    w.end_array();
  }
  w.key("top").begin_array();
  for (std::size_t i = 0; i < p.top.ranked; ++i) {
    w.begin_array().string(specialist.labels()[p.top.top[i].label]).fixed(std::min(1.0f, p.top.top[i].probability), 6).end_array();
  }
  w.end_array().end_object();
  out += '\n';
}

void append_line_error(std::string& out, std::string_view id, std::string_view message) {
  JsonWriter w(out);
  w.begin_object().field("id", id).field("error", message).end_object();
  out += '\n';
}

/// Answers in batches, one line out for each line in.
class Predictor {
 public:
  explicit Predictor(const ReadySpecialist& ready) : ready_(ready) {}

  void add(Result<specialists::IntentRow> row, std::string id) {
    if (row && !row->id.empty()) id = row->id;
    ids_.push_back(std::move(id));
    rows_.push_back(std::move(row));
  }
  std::size_t waiting() const { return rows_.size(); }
  bool all_answered() const { return all_answered_; }

  /// What waits, answered and written.
  Result<void> flush(std::string& out) {
    std::vector<std::string_view> texts;
    for (const auto& row : rows_) {
      if (row) texts.push_back(row->text);
    }
    const auto said = ready_.specialist.predict_all(texts, ready_.encoder.get());
    if (!said) return fail(said.error());
    std::size_t at = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (rows_[i]) {
        append_prediction(out, ids_[i], (*said)[at++], ready_.specialist);
      } else {
        append_line_error(out, ids_[i], rows_[i].error().message);
        all_answered_ = false;
      }
    }
    rows_.clear();
    ids_.clear();
    return {};
  }

 private:
  const ReadySpecialist& ready_;
  std::vector<Result<specialists::IntentRow>> rows_;
  std::vector<std::string> ids_;
  bool all_answered_ = true;
};

constexpr std::size_t kBatchRows = 256;

/// From standard input: what has come is answered before more is waited for. @return the exit status
int predict_stream(const ReadySpecialist& ready, const char* name) {
  auto source = audit::open_source("-");
  if (!source) return report_error(name, source.error(), false);
  Predictor predictor(ready);
  std::string text, out;
  std::size_t line = 0;
  const auto take = [&](std::string_view given) {
    const std::string id = fmt::format("line {}", ++line);
    if (given.find_first_not_of(" \t\r") == std::string_view::npos) {
      predictor.add(fail(ErrorKind::kInvalidRequest, "the line is empty: an object with \"text\" is needed"), id);
    } else {
      predictor.add(specialists::parse_intent_row(given), id);
    }
  };
  for (bool more = true; more;) {
    const std::size_t at = text.size(), step = 1 << 16;
    text.resize(at + step);
    const auto n = (*source)->read(text.data() + at, step);
    if (!n) return report_error(name, n.error(), false);
    text.resize(at + *n);
    more = *n > 0;
    std::size_t begin = 0;
    for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) take(std::string_view(text).substr(begin, end - begin));
    text.erase(0, begin);
    if (!more && !text.empty()) take(text);
    if (auto done = predictor.flush(out); !done) return report_error(name, done.error(), false);
    if (const int written = print_output(out); written != kExitDone) return written;
    out.clear();
  }
  if (predictor.all_answered()) return kExitDone;
  print_error(std::string(name) + ": some lines could not be answered; their \"error\" says why");
  return kExitBadInput;
}

}  // namespace

int run_train_intent_command(int argc, char** argv) {
  CLI::App cli("Trains a specialist for a task with closed answers (intents, routing, moderation) on labelled texts.");
  cli.footer("Rows are JSON Lines (plain, gzip or zstd): {\"id\": \"1\", \"text\": \"where is my card\", \"label\": \"card_arrival\", \"split\": \"train\"}\n\n"
             "  understudy train intent --data rows.jsonl --out cards\n  understudy evaluate cards --data rows.jsonl --split test\n"
             "  understudy train intent --teacher openai:gpt-4o --unlabelled tickets.jsonl --labels card,refund --budget-usd 5 --out cards");
  TrainArguments a;
  TeacherArguments teacher;
  cli.add_option("--data", a.data, "Labelled rows; \"-\" is standard input")->required();
  cli.add_option("--split", a.split, "Rows of this split (default: train where the file has splits)");
  cli.add_option("--only", a.only, "Only rows on which this key is true");
  cli.add_option("--calibration", a.calibration, "Rows that the probabilities are calibrated on (default: training rows held back in turn)");
  cli.add_option("--calibration-split", a.calibration_split, "Rows of this split of --calibration (default: dev where it has splits)");
  cli.add_option("--seed", a.seed, "Same rows, seed and encoder: the same specialist")->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 62))->capture_default_str();
  cli.add_option("--encoder", a.encoder, "auto (used where it is there), off, or a model's folder")->capture_default_str();
  cli.add_option("--keep-rows", a.keep, "Rows kept in the folder, to calibrate with again after quantising and on other processors")->capture_default_str();
  cli.add_flag("--multi-label", a.several, "Learn \"labels\", though rows have a \"label\" too");
  cli.add_flag("--similar-labels", a.similar_labels, "Labels that differ by case only are meant so");
  cli.add_option("--out", a.out, "Folder to make")->required();
  cli.add_flag("--json", a.json, "Print specialist.json");
  add_teacher_arguments(cli, labelling::Task::kIntent, teacher);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  TrainPlaces places{a.data, a.calibration, a.out, a.split || a.calibration_split, a.seed};
  const auto labelled = teacher_before_training(labelling::Task::kIntent, teacher, places, [&a](const std::string& data, const std::string& out) -> Result<void> {
    TrainArguments first = a;
    first.data = data;
    first.out = out;
    const auto trained = train(first, "");
    return trained ? Result<void>() : Result<void>(fail(trained.error()));
  });
  if (!labelled) return report_error(argv[0], labelled.error(), a.json);
  if (*labelled) return print_output(**labelled);
  a.data = places.data;
  a.calibration = places.calibration;
  const auto text = train(a, command_of(argc, argv, "understudy train intent"));
  return text ? print_output(*text) : report_error(argv[0], text.error(), a.json);
}

int run_predict_command(int argc, char** argv) {
  CLI::App cli("A specialist's answer for each row: label and calibrated probability, or a document's calibrated relevance.");
  cli.footer("  echo '{\"id\": \"1\", \"text\": \"where is my card\"}' | understudy predict cards\n  understudy predict cards --data rows.jsonl --split test");
  std::string folder, data;
  std::optional<std::string> split;
  cli.add_option("DIR", folder, "The specialist's folder")->required();
  cli.add_option("--data", data, "Rows with a \"text\" each, a \"query\" and a \"doc\", or a \"claim\" and its \"evidence\" (default: standard input)");
  cli.add_option("--split", split, "Rows of this split of --data");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  if (data.empty() && split) return report_error(argv[0], Error(ErrorKind::kUsage, "--split needs --data: from standard input all rows are answered"), false);
  if (const SpecialistKind* const kind = pair_kind_of(folder)) return kind->predict(folder, data, split, argv[0]);
  const auto ready = open_specialist(folder);
  if (!ready) return report_error(argv[0], ready.error(), false);
  if (!ready->note.empty()) print_error(fmt::format("{}: {}", folder, ready->note));
  if (data.empty()) return predict_stream(*ready, argv[0]);
  auto text = read_whole(data);
  if (!text) return report_error(argv[0], text.error(), false);
  auto rows = specialists::parse_intent_rows(*text, data, {split, "", false});
  if (!rows) return report_error(argv[0], rows.error(), false);
  Predictor predictor(*ready);
  std::string out;
  for (std::size_t i = 0; i < rows->rows.size(); ++i) {
    predictor.add(std::move(rows->rows[i]), "");
    if (predictor.waiting() < kBatchRows && i + 1 < rows->rows.size()) continue;
    if (auto done = predictor.flush(out); !done) return report_error(argv[0], done.error(), false);
    if (const int written = print_output(out); written != kExitDone) return written;
    out.clear();
  }
  return kExitDone;
}

int run_quantize_command(int argc, char** argv) {
  CLI::App cli("A smaller and faster version of a specialist, calibrated anew. It is another version: the first stays as it is.");
  cli.footer("  understudy quantize cards --to int8 --out cards-int8\n  understudy evaluate cards-int8 --before cards --data rows.jsonl");
  std::string folder, out, to, calibration;
  std::optional<std::string> split;
  bool json = false;
  cli.add_option("DIR", folder, "The specialist's folder")->required();
  cli.add_option("--to", to, "int8: weights and encoder in 8 bits. int4: weights in 4 bits, encoder in 8")->required()->check(CLI::IsMember({"int8", "int4"}));
  cli.add_option("--calibration", calibration, "Rows that it was not trained on (default: those that it kept)");
  cli.add_option("--calibration-split", split, "Rows of this split of --calibration (default: dev where it has splits)");
  cli.add_option("--out", out, "Folder to make")->required();
  cli.add_flag("--json", json, "Print specialist.json");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto quantised = [&]() -> Result<std::string> {
    if (auto fresh = must_be_new(out); !fresh) return fail(fresh.error());
    if (const SpecialistKind* const kind = pair_kind_of(folder)) return fail(ErrorKind::kUnsupported, kind->nothing_to_quantise);
    auto parent = IntentSpecialist::load(folder);
    if (!parent) return fail(parent.error());
    std::optional<LabelledFile> rows;
    if (!calibration.empty()) {
      auto read = read_labelled_rows(calibration, split, "dev", "");
      if (!read) return fail(read.error());
      rows = std::move(*read);
    }
    std::unique_ptr<neural::TextEncoder> encoder;
    if (parent->encoder()) {
      std::string note;
      auto found = find_encoder("auto", neural::Precision::kInt8, note);
      if (!found) return fail(found.error());
      if (*found == nullptr) return fail(ErrorKind::kUnsupported, fmt::format("{} reads vectors, and its new version must be calibrated with them; {}", folder, note));
      encoder = std::move(*found);
    }
    specialists::IntentFacts facts = parent->facts();
    facts.command = command_of(argc, argv, "understudy quantize");
    if (rows) facts.calibration_file = calibration, facts.calibration_hash = rows->hash;
    auto made = parent->quantised(*specialists::parse_weight_precision(to), encoder.get(), rows ? &rows->rows : nullptr, std::move(facts));
    if (!made) return fail(made.error());
    if (auto saved = made->save(out); !saved) return fail(saved.error());
    if (json) return made->json();
    const auto &a = parent->calibration(), &b = made->calibration();
    return fmt::format("{:<14}{:>12}{:>12}\n{:<14}{:>12.4f}{:>12.4f}\n{:<14}{:>12.4f}{:>12.4f}\n{:<14}{:>12}{:>12}\n({}, {})\n"
                       "next: understudy evaluate {} --before {} --data FILE --split test\n",
                       "", weight_precision_name(parent->model().precision()), to, "accuracy", a.accuracy, b.accuracy, "ECE-15", a.ece15, b.ece15, "size",
                       human_bytes(specialist_bytes(folder)), human_bytes(specialist_bytes(out)),
                       b.source == "file" ? "on calibration rows" : "on rows held back in training", counted(static_cast<std::int64_t>(b.rows), "row"), out, folder);
  }();
  return quantised ? print_output(*quantised) : report_error(argv[0], quantised.error(), json);
}

}  // namespace understudy::app
