#include "app/rerank_command.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <unordered_map>

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

using specialists::RerankRow;
using specialists::RerankRows;
using specialists::RerankSpecialist;

struct TrainArguments {
  std::string data, calibration, out, encoder = "auto", cross_encoder = "auto", precision = "int8";
  std::optional<std::string> split, calibration_split;
  std::uint64_t seed = 1;
  std::size_t keep = 2000, epochs = 3, max_tokens = 0;
  bool json = false;
};

std::vector<trainer::PairRow> pair_rows(const RerankRows& rows) {
  std::vector<trainer::PairRow> out;
  for (const RerankRow& row : rows.rows) out.push_back({row.qid, row.query, row.doc, row.gain, row.weight});
  return out;
}

Result<std::string> train(const TrainArguments& a, const std::string& command) {
  if (auto fresh = must_be_new(a.out); !fresh) return fail(fresh.error());  // before the work
  auto data = read_rerank_rows(a.data, a.split, "train");
  if (!data) return fail(data.error());
  std::optional<RerankFile> calibration;
  if (!a.calibration.empty()) {
    auto read = read_rerank_rows(a.calibration, a.calibration_split, "dev");
    if (!read) return fail(read.error());
    calibration = std::move(*read);
  }
  const StopOnSignal stop;
  const auto precision = *neural::parse_precision(a.precision);
  std::string note;
  auto encoder = find_encoder(a.encoder, precision, note);
  if (!encoder) return fail(encoder.error());
  if (!note.empty()) print_error(note);
  specialists::RerankTraining training;
  training.seed = a.seed;
  training.encoder = encoder->get();
  training.most_kept = a.keep;
  training.progress = show_progress;
  training.stop = stop.token();
  CrossEncoderMaker maker{work_folder(a.out), {}, precision, stop.token(), "queries"};
  const auto why_not = why_no_cross_encoder(a.cross_encoder, *encoder != nullptr);
  if (!why_not) return fail(why_not.error());
  if (*why_not) {
    training.why_not = **why_not;
  } else {
    maker.job.encoder = a.encoder == "auto" ? neural::default_encoder_folder()->string() : a.encoder;  // it is open
    maker.job.seed = a.seed;
    maker.job.epochs = a.epochs;
    maker.job.max_tokens = a.max_tokens;
    training.make_cross_encoder = [&](const RerankRows& train, const RerankRows& held) { return maker(pair_rows(train), pair_rows(held)); };
  }
  if (!training.make_cross_encoder) print_error(training.why_not);
  specialists::RerankFacts facts;
  facts.command = command;
  facts.data_file = a.data;
  facts.data_hash = data->hash;
  if (calibration) facts.calibration_file = a.calibration, facts.calibration_hash = calibration->hash;
  const auto start = std::chrono::steady_clock::now();
  auto made = specialists::train_rerank(data->rows, calibration ? &calibration->rows : nullptr, training, std::move(facts));
  end_progress();
  if (!made) return fail(made.error());
  if (auto saved = made->save(a.out); !saved) return fail(saved.error());
  std::error_code ignored;
  fs::remove_all(maker.work, ignored);
  if (a.json) return made->json();
  const auto& c = made->calibration();
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  return fmt::format("{}: {} of {} queries, first rung {}, {}, trained in {}\nrows held back: nDCG@10 {:.4f} (first rung alone {:.4f}), ECE-15 {:.4f}, Brier {:.4f} ({} of {} queries)\n{}\n"
                     "next: understudy evaluate {} --data FILE --split test\n",
                     a.out, counted(static_cast<std::int64_t>(made->facts().rows), "row"), made->facts().queries, made->facts().rung,
                     made->cross_encoder() ? "cross-encoder" : "no cross-encoder", human_duration(us), c.ndcg10, c.first_ndcg10, c.ece15, c.brier,
                     counted(static_cast<std::int64_t>(c.rows), "row"), c.queries, made->facts().trainer, a.out);
}

void append_score(std::string& out, const RerankRow& row, const specialists::RerankScore& score) {
  JsonWriter w(out);
  w.begin_object().field("qid", row.qid).field("did", row.did).key("score").fixed(score.score, 6).key("raw").fixed(score.raw, 6).end_object();
  out += '\n';
}

}  // namespace

std::string kind_of(const std::string& folder) {
  std::ifstream in(fs::path(folder) / "specialist.json", std::ios::binary);
  const std::string json{std::istreambuf_iterator<char>(in), {}};
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view kind;
  return parser.parse(json).get(root) || root["kind"].get(kind) ? "intent" : std::string(kind);
}

Result<RerankFile> read_rerank_rows(const std::string& path, std::optional<std::string> split, const std::string& usual) {
  const auto text = read_whole(path);
  if (!text) return fail(text.error());
  if (!split && !specialists::splits_of(*text).empty()) split = usual;
  auto rows = specialists::parse_rerank_rows(*text, path, {split, "", true});
  if (!rows) return fail(rows.error());
  const Hash128 h = hash128(*text);
  return RerankFile{std::move(*rows), fmt::format("{:016x}{:016x}", h.high, h.low)};
}

Result<ReadyReranker> open_reranker(const std::string& folder) {
  auto loaded = RerankSpecialist::load(folder);
  if (!loaded) return fail(loaded.error());
  ReadyReranker out{std::move(*loaded), nullptr, nullptr, ""};
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

int predict_rerank(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const char* name) {
  const auto ready = open_reranker(folder);
  if (!ready) return report_error(name, ready.error(), false);
  if (!ready->note.empty()) print_error(fmt::format("{}: {}", folder, ready->note));
  const auto text = read_whole(data.empty() ? "-" : data);
  if (!text) return report_error(name, text.error(), false);
  // The documents of a query are judged together: so all is read before the first answer.
  std::vector<Result<RerankRow>> rows;
  std::vector<std::vector<std::size_t>> queries;
  std::unordered_map<std::string, std::size_t> query_of;
  const auto take = [&](Result<RerankRow> row) {
    if (row) {
      if (row->did.empty()) row->did = fmt::format("line {}", rows.size() + 1);
      const auto [found, is_new] = query_of.try_emplace(row->qid + '\n' + row->query, queries.size());
      if (is_new) queries.emplace_back();
      queries[found->second].push_back(rows.size());
    }
    rows.push_back(std::move(row));
  };
  if (!data.empty()) {
    auto parsed = specialists::parse_rerank_rows(*text, data, {split, "", false});
    if (!parsed) return report_error(name, parsed.error(), false);
    for (RerankRow& row : parsed->rows) take(std::move(row));
  } else {
    for (std::size_t at = 0; at < text->size();) {
      const std::size_t end = std::min(text->find('\n', at), text->size());
      take(specialists::parse_rerank_row(std::string_view(*text).substr(at, end - at)));
      at = end + 1;
    }
  }
  std::vector<specialists::RerankScore> scores(rows.size());
  for (const auto& places : queries) {
    std::vector<std::string_view> documents;
    for (const std::size_t i : places) documents.push_back(rows[i]->doc);
    const auto said = ready->specialist.score(rows[places[0]]->query, documents, ready->engines());
    if (!said) return report_error(name, said.error(), false);
    for (std::size_t i = 0; i < places.size(); ++i) scores[places[i]] = (*said)[i];
  }
  std::string out;
  bool all = true;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i]) {
      append_score(out, *rows[i], scores[i]);
      continue;
    }
    JsonWriter w(out);
    w.begin_object().field("did", fmt::format("line {}", i + 1)).field("error", rows[i].error().message).end_object();
    out += '\n';
    all = false;
  }
  if (const int written = print_output(out); written != kExitDone) return written;
  if (all) return kExitDone;
  print_error(std::string(name) + ": some lines could not be answered; their \"error\" says why");
  return kExitBadInput;
}

int run_train_rerank_command(int argc, char** argv) {
  CLI::App cli("Trains a reranker: how relevant a document is to a query, as a calibrated probability.");
  cli.footer("Rows are JSON Lines (plain, gzip or zstd): {\"qid\": \"1\", \"query\": \"who wrote it\", \"did\": \"a\", \"doc\": \"...\", \"rel\": 1, \"split\": \"train\"}\n\n"
             "  understudy train rerank --data rows.jsonl --calibration rows.jsonl --out reranker\n  understudy evaluate reranker --data rows.jsonl --split test");
  TrainArguments a;
  TeacherArguments teacher;
  cli.add_option("--data", a.data, "Labelled rows; \"-\" is standard input")->required();
  cli.add_option("--split", a.split, "Rows of this split (default: train where the file has splits)");
  cli.add_option("--calibration", a.calibration, "Rows of other queries, to choose by and calibrate on (default: a fifth of the queries is held back)");
  cli.add_option("--calibration-split", a.calibration_split, "Rows of this split of --calibration (default: dev where it has splits)");
  cli.add_option("--seed", a.seed, "Same rows, seed and engines: the same reranker")->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 62))->capture_default_str();
  cli.add_option("--encoder", a.encoder, "auto (used where it is there), off, or a model's folder")->capture_default_str();
  cli.add_option("--cross-encoder", a.cross_encoder, "auto (fine-tuned where understudy-trainer is there), on (or fail), off")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
  cli.add_option("--epochs", a.epochs, "Of the fine-tuning, at most")->check(CLI::Range(std::size_t{1}, std::size_t{1000}))->capture_default_str();
  cli.add_option("--max-tokens", a.max_tokens, "That the cross-encoder reads of a pair (default: 96, or 128 for long documents)")->check(CLI::Range(std::size_t{8}, std::size_t{512}));
  cli.add_option("--precision", a.precision, "In which encoder and cross-encoder compute")->check(CLI::IsMember({"fp32", "int8", "int8_weights"}))->capture_default_str();
  cli.add_option("--keep-rows", a.keep, "Rows kept in the folder, to calibrate with again on other processors")->capture_default_str();
  cli.add_option("--out", a.out, "Folder to make")->required();
  cli.add_flag("--json", a.json, "Print specialist.json");
  add_teacher_arguments(cli, labelling::Task::kRelevance, teacher);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto labelled = teacher_before_training(labelling::Task::kRelevance, teacher, a.data, a.split, a.out, a.seed);
  if (!labelled) return report_error(argv[0], labelled.error(), a.json);
  if (*labelled) return print_output(**labelled);
  const auto text = train(a, command_of(argc, argv, "understudy train rerank"));
  return text ? print_output(*text) : report_error(argv[0], text.error(), a.json);
}

}  // namespace understudy::app
