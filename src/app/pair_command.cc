#include "app/pair_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/specialist_input.h"

namespace understudy::app {

void add_pair_options(CLI::App& cli, PairArguments& a, const PairWords& words) {
  cli.add_option("--data", a.data, "Labelled rows; \"-\" is standard input")->required();
  cli.add_option("--split", a.split, "Rows of this split (default: train where the file has splits)");
  cli.add_option("--calibration", a.calibration, words.calibration);
  cli.add_option("--calibration-split", a.calibration_split, "Rows of this split of --calibration (default: dev where it has splits)");
  cli.add_option("--seed", a.seed, fmt::format("Same rows, seed and engines: the same {}", words.made))->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 62))->capture_default_str();
  cli.add_option("--encoder", a.encoder, "auto (used where it is there), off, or a model's folder")->capture_default_str();
  const std::string ways = "auto (fine-tuned where understudy-trainer is there), on (or fail), off, or the folder of ";
  cli.add_option("--cross-encoder", a.cross_encoder, ways + (words.reads ? fmt::format("another {}, whose own is read as it is", words.made) : "one made before"))->capture_default_str();
  cli.add_option("--start", a.start, fmt::format("Folder of another {} (or of a model of pairs): the fine-tuning goes on from its cross-encoder", words.made));
  cli.add_option("--epochs", a.epochs, "Of the fine-tuning, at most")->check(CLI::Range(std::size_t{1}, std::size_t{1000}))->capture_default_str();
  cli.add_option("--max-tokens", a.max_tokens, fmt::format("That the cross-encoder reads of a pair (default: 96, or 128 for {})", words.long_text))
      ->check(CLI::Range(std::size_t{8}, std::size_t{512}));
  cli.add_option("--precision", a.precision, "In which encoder and cross-encoder compute")->check(CLI::IsMember({"fp32", "int8", "int8_weights"}))->capture_default_str();
  cli.add_option("--keep-rows", a.keep, "Rows kept in the folder, to calibrate with again on other processors")->capture_default_str();
  cli.add_option("--out", a.out, "Folder to make")->required();
  cli.add_flag("--json", a.json, "Print specialist.json");
}

Result<OpenEngines> open_engines(const specialists::PairSpecialist& specialist) {
  OpenEngines out;
  const auto precision = [](const neural::EncoderIdentity& identity) { return neural::parse_precision(identity.precision).value_or(neural::Precision::kInt8); };
  if (specialist.encoder()) {
    auto encoder = find_encoder("auto", precision(*specialist.encoder()), out.note);
    if (!encoder) return fail(encoder.error());
    out.encoder = std::move(*encoder);
  }
  if (!specialist.cross_encoder()) return out;
  neural::EncoderOptions options;
  options.folder = specialist.cross_encoder_folder();
  options.precision = precision(*specialist.cross_encoder());
  auto scorer = neural::open_pair_scorer(options);
  if (scorer) out.cross_encoder = std::move(*scorer);
  else if (scorer.error().kind == ErrorKind::kUnsupported) out.note = "without its cross-encoder: " + scorer.error().message;
  else return fail(scorer.error());
  return out;
}

std::string calibrated_anew(std::size_t rows) { return fmt::format("calibrated anew for what this machine computes, from {} rows that it kept", rows); }

Result<std::string> read_training_text(const PairArguments& a) {
  if (auto fresh = must_be_new(a.out); !fresh) return fail(fresh.error());
  return read_whole(a.data);
}

Result<std::unique_ptr<PairEngineRoom>> open_engine_room(const PairArguments& a, trainer::Loss loss, neural::PairHeadKind head, const char* group, bool reads) {
  auto room = std::make_unique<PairEngineRoom>();
  const auto precision = *neural::parse_precision(a.precision);
  std::string note;
  auto encoder = find_encoder(a.encoder, precision, note);
  if (!encoder) return fail(encoder.error());
  if (!note.empty()) print_error(note);
  room->encoder = std::move(*encoder);
  if (group == nullptr) {
    if (a.cross_encoder != "auto" && a.cross_encoder != "off")
      return fail(ErrorKind::kUnsupported, fmt::format("--cross-encoder {}: judges of answers have no cross-encoder yet; leave it out", a.cross_encoder));
    return room;
  }
  room->maker = {work_folder(a.out), {}, precision, room->stop.token(), group};
  if (a.cross_encoder != "auto" && a.cross_encoder != "on" && a.cross_encoder != "off") {
    if (reads) {
      auto reader = read_cross_encoder(a.cross_encoder, precision);
      if (!reader) return fail(reader.error());
      room->reader = std::move(*reader);
    } else {
      room->maker.made_before = a.cross_encoder;
    }
    return room;
  }
  const auto why_not = why_no_cross_encoder(a.cross_encoder, room->encoder != nullptr);
  if (!why_not) return fail(why_not.error());
  if (*why_not) {
    room->why_not = **why_not;
    print_error(room->why_not);
    return room;
  }
  trainer::Job& job = room->maker.job;
  job.encoder = a.encoder == "auto" ? neural::default_encoder_folder()->string() : a.encoder;  // it is open
  if (!a.start.empty()) {
    const auto start = pair_scorer_folder(a.start);
    if (!start) return fail(start.error());
    job.encoder = start->string();
  }
  job.loss = loss;
  job.head = head;
  job.seed = a.seed;
  job.epochs = a.epochs;
  job.max_tokens = a.max_tokens;
  return room;
}

void append_row_error(std::string& out, const char* key, std::size_t index, const Error& error) {
  JsonWriter w(out);
  w.begin_object().field(key, fmt::format("line {}", index + 1)).field("error", error.message).end_object();
  out += '\n';
}

int print_answers(const std::string& out, bool all_answered, const char* name) {
  if (const int written = print_output(out); written != kExitDone) return written;
  if (all_answered) return kExitDone;
  print_error(std::string(name) + ": some lines could not be answered; their \"error\" says why");
  return kExitBadInput;
}

std::string same_answers(double share) { return fmt::format("the same answer on {:.2f} % of the rows\n", 100 * share); }

}  // namespace understudy::app
