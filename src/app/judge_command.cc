#include "app/judge_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>

#include "app/command.h"
#include "app/command_line.h"
#include "app/cross_encoder_maker.h"
#include "app/human.h"
#include "app/labelled_rows.h"
#include "app/output.h"
#include "app/specialist_input.h"
#include "app/stop_on_signal.h"
#include "app/teacher_labels.h"
#include "app/train_support.h"
#include "base/hash.h"
#include "base/json_writer.h"

namespace understudy::app {

namespace fs = std::filesystem;

namespace {

using specialists::JudgeRow;
using specialists::JudgeSpecialist;
using specialists::LabelledPair;

struct TrainArguments {
  std::string data, calibration, out, encoder = "auto", cross_encoder = "auto", precision = "int8";
  std::optional<std::string> split, calibration_split;
  std::uint64_t seed = 1;
  std::size_t keep = 1000, epochs = 2, max_tokens = 0;
  bool json = false;
};

std::vector<trainer::PairRow> pair_rows(std::span<const LabelledPair> pairs) {
  std::vector<trainer::PairRow> out;
  for (const LabelledPair& pair : pairs) out.push_back({"", pair.first, pair.second, pair.target, pair.weight});
  return out;
}

std::string text_of(const JudgeSpecialist& made, const std::string& out, std::int64_t us) {
  const auto& c = made.calibration();
  const auto& band = made.band(kUsualBand);
  return fmt::format("{}: {}, {} supported, first rung {}, {}, trained in {}\nrows not trained on: balanced accuracy {:.4f} (the claim alone {:.4f}), AUROC {:.4f}, ECE-15 {:.4f}, Brier {:.4f} ({})\n"
                     "with at most {} wrong: {} and {}; an LLM for what is between\n{}\nnext: understudy evaluate {} --data FILE --split test\n",
                     out, counted(static_cast<std::int64_t>(made.facts().rows), "row"), made.facts().supported, made.facts().rung, made.cross_encoder() ? "cross-encoder" : "no cross-encoder",
                     human_duration(us), c.balanced_accuracy, made.facts().claim_alone_balanced_accuracy, c.auroc, c.ece15, c.brier, counted(static_cast<std::int64_t>(c.rows), "row"), kUsualBand,
                     band.yes_from ? fmt::format("yes from {:.3f}", *band.yes_from) : "never yes", band.no_to ? fmt::format("no up to {:.3f}", *band.no_to) : "never no", made.facts().trainer, out);
}

Result<std::string> train(const TrainArguments& a, const std::string& command) {
  if (auto fresh = must_be_new(a.out); !fresh) return fail(fresh.error());  // before the work
  auto data = read_judge_rows(a.data, a.split, "train");
  if (!data) return fail(data.error());
  std::optional<JudgeFile> calibration;
  if (!a.calibration.empty()) {
    auto read = read_judge_rows(a.calibration, a.calibration_split, "dev");
    if (!read) return fail(read.error());
    calibration = std::move(*read);
  }
  const StopOnSignal stop;
  const auto precision = *neural::parse_precision(a.precision);
  std::string note;
  auto encoder = find_encoder(a.encoder, precision, note);
  if (!encoder) return fail(encoder.error());
  if (!note.empty()) print_error(note);
  specialists::JudgeTraining training;
  training.seed = a.seed;
  training.encoder = encoder->get();
  training.most_kept = a.keep;
  training.progress = show_progress;
  training.stop = stop.token();
  CrossEncoderMaker maker{work_folder(a.out), {}, precision, stop.token(), "rows"};
  const auto why_not = why_no_cross_encoder(a.cross_encoder, *encoder != nullptr);
  if (!why_not) return fail(why_not.error());
  if (*why_not) {
    training.why_not = **why_not;
    print_error(training.why_not);
  } else {
    maker.job.encoder = a.encoder == "auto" ? neural::default_encoder_folder()->string() : a.encoder;  // it is open
    maker.job.loss = trainer::Loss::kPointwise;
    maker.job.seed = a.seed;
    maker.job.epochs = a.epochs;
    maker.job.max_tokens = a.max_tokens;
    training.make_cross_encoder = [&](std::span<const LabelledPair> train, std::span<const LabelledPair> held) { return maker(pair_rows(train), pair_rows(held)); };
  }
  specialists::JudgeFacts facts;
  facts.command = command;
  facts.data_file = a.data;
  facts.data_hash = data->hash;
  if (calibration) facts.calibration_file = a.calibration, facts.calibration_hash = calibration->hash;
  const auto start = std::chrono::steady_clock::now();
  auto made = specialists::train_judge(data->rows, calibration ? &calibration->rows : nullptr, training, std::move(facts));
  end_progress();
  if (!made) return fail(made.error());
  if (auto saved = made->save(a.out); !saved) return fail(saved.error());
  std::error_code ignored;
  fs::remove_all(maker.work, ignored);
  if (a.json) return made->json();
  return text_of(*made, a.out, std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count());
}

}  // namespace

Result<JudgeFile> read_judge_rows(const std::string& path, std::optional<std::string> split, const std::string& usual) {
  const auto text = read_whole(path);
  if (!text) return fail(text.error());
  if (!split && !specialists::splits_of(*text).empty()) split = usual;
  auto rows = specialists::parse_judge_rows(*text, path, {split, "", true});
  if (!rows) return fail(rows.error());
  const Hash128 h = hash128(*text);
  return JudgeFile{std::move(*rows), fmt::format("{:016x}{:016x}", h.high, h.low)};
}

Result<ReadyJudge> open_judge(const std::string& folder) {
  auto loaded = JudgeSpecialist::load(folder);
  if (!loaded) return fail(loaded.error());
  ReadyJudge out{std::move(*loaded), nullptr, nullptr, ""};
  const auto precision = [](const neural::EncoderIdentity& identity) { return neural::parse_precision(identity.precision).value_or(neural::Precision::kInt8); };
  if (out.specialist.encoder()) {
    auto encoder = find_encoder("auto", precision(*out.specialist.encoder()), out.note);
    if (!encoder) return fail(encoder.error());
    out.encoder = std::move(*encoder);
  }
  if (out.specialist.cross_encoder()) {
    neural::EncoderOptions options;
    options.folder = out.specialist.cross_encoder_folder();
    options.precision = precision(*out.specialist.cross_encoder());
    auto scorer = neural::open_pair_scorer(options);
    if (scorer) out.cross_encoder = std::move(*scorer);
    else if (scorer.error().kind == ErrorKind::kUnsupported) out.note = "without its cross-encoder: " + scorer.error().message;
    else return fail(scorer.error());
  }
  auto fit = out.specialist.fit_for(out.engines());
  if (!fit) return fail(fit.error().kind, folder + ": " + fit.error().message);
  if (fit->calibration().id != out.specialist.calibration().id && out.note.empty())
    out.note = fmt::format("calibrated anew for what this machine computes, from {} rows that it kept", fit->calibration().rows);
  out.specialist = std::move(*fit);
  return out;
}

int predict_judge(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const char* name) {
  const auto ready = open_judge(folder);
  if (!ready) return report_error(name, ready.error(), false);
  if (!ready->note.empty()) print_error(fmt::format("{}: {}", folder, ready->note));
  const auto text = read_whole(data.empty() ? "-" : data);
  if (!text) return report_error(name, text.error(), false);
  std::vector<Result<JudgeRow>> rows;
  if (!data.empty()) {
    auto parsed = specialists::parse_judge_rows(*text, data, {split, "", false});
    if (!parsed) return report_error(name, parsed.error(), false);
    for (JudgeRow& row : parsed->rows) rows.push_back(std::move(row));
  } else {
    for (std::size_t at = 0; at < text->size();) {
      const std::size_t end = std::min(text->find('\n', at), text->size());
      rows.push_back(specialists::parse_judge_row(std::string_view(*text).substr(at, end - at)));
      at = end + 1;
    }
  }
  const auto& band = ready->specialist.band(kUsualBand);
  std::string out;
  bool all = true;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    JsonWriter w(out);
    w.begin_object().field("id", rows[i] && !rows[i]->id.empty() ? rows[i]->id : fmt::format("line {}", i + 1));
    if (rows[i]) {
      const auto said = ready->specialist.judge(rows[i]->claim, rows[i]->evidence, ready->engines());
      if (!said) return report_error(name, said.error(), false);
      w.key("probability").fixed(said->probability, 6).field("verdict", specialists::verdict_name(specialists::verdict(band, static_cast<double>(said->probability))));
    } else {
      w.field("error", rows[i].error().message);
      all = false;
    }
    w.end_object();
    out += '\n';
  }
  if (const int written = print_output(out); written != kExitDone) return written;
  if (all) return kExitDone;
  print_error(std::string(name) + ": some lines could not be answered; their \"error\" says why");
  return kExitBadInput;
}

int run_train_judge_command(int argc, char** argv) {
  CLI::App cli("Trains a judge: does the evidence support the claim, as a calibrated probability.");
  cli.footer("Rows are JSON Lines (plain, gzip or zstd): {\"claim\": \"It opened in 1889.\", \"evidence\": \"The tower opened in 1889.\", \"label\": 1, \"split\": \"train\"}\n\n"
             "  understudy train judge --data rows.jsonl --out judge\n  understudy evaluate judge --data rows.jsonl --split test");
  TrainArguments a;
  TeacherArguments teacher;
  cli.add_option("--data", a.data, "Labelled rows; \"-\" is standard input")->required();
  cli.add_option("--split", a.split, "Rows of this split (default: train where the file has splits)");
  cli.add_option("--calibration", a.calibration, "Other rows, to choose by and calibrate on (default: the rows of --data, each judged by what has not seen it)");
  cli.add_option("--calibration-split", a.calibration_split, "Rows of this split of --calibration (default: dev where it has splits)");
  cli.add_option("--seed", a.seed, "Same rows, seed and engines: the same judge")->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 62))->capture_default_str();
  cli.add_option("--encoder", a.encoder, "auto (used where it is there), off, or a model's folder")->capture_default_str();
  cli.add_option("--cross-encoder", a.cross_encoder, "auto (fine-tuned where understudy-trainer is there), on (or fail), off")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
  cli.add_option("--epochs", a.epochs, "Of the fine-tuning, at most")->check(CLI::Range(std::size_t{1}, std::size_t{1000}))->capture_default_str();
  cli.add_option("--max-tokens", a.max_tokens, "That the cross-encoder reads of a pair (default: 96, or 128 for long evidence)")->check(CLI::Range(std::size_t{8}, std::size_t{512}));
  cli.add_option("--precision", a.precision, "In which encoder and cross-encoder compute")->check(CLI::IsMember({"fp32", "int8", "int8_weights"}))->capture_default_str();
  cli.add_option("--keep-rows", a.keep, "Rows kept in the folder, to calibrate with again on other processors")->capture_default_str();
  cli.add_option("--out", a.out, "Folder to make")->required();
  cli.add_flag("--json", a.json, "Print specialist.json");
  add_teacher_arguments(cli, labelling::Task::kFaithfulness, teacher);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto labelled = teacher_before_training(labelling::Task::kFaithfulness, teacher, a.data, a.split, a.out, a.seed);
  if (!labelled) return report_error(argv[0], labelled.error(), a.json);
  if (*labelled) return print_output(**labelled);
  const auto text = train(a, command_of(argc, argv, "understudy train judge"));
  return text ? print_output(*text) : report_error(argv[0], text.error(), a.json);
}

}  // namespace understudy::app
