#pragma once
/// What `train`, `predict` and `evaluate` do alike for every kind of specialist that reads two texts: a kind supplies only what is its own.
///
/// A kind's input is a struct with
///   Specialist, Rows, Row                   the types of its module
///   kName                                   "kind" of specialist.json
///   parse_rows(text, file, choice), parse_row(line)
/// A trainer adds to it
///   Training, Facts                         and Specialist has save and json
///   kGroup, kLoss, kHead                    what a group of the fine-tuning's rows is called (null: the kind has no cross-encoder); its loss; the head of what it makes
///   make_with(maker, training)              lets the training call the maker, with its rows as the trainer wants them
///   train(rows, held, training, facts), told(made, out, us)
///   configure(training, arguments)          where it has arguments of its own
/// a predictor
///   answer(ready, rows, out)                one line for each row, or why it has none (append_row_error)
/// an evaluator
///   Evaluation                              with `rows`
///   measure(ready, rows, folder), append_fields(writer, evaluation), text(evaluation), agreement(one, other)
/// judge_command.cc and judge_evaluation.cc are an example; specialist_kinds.cc lists them all.

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/command.h"
#include "app/cross_encoder_maker.h"
#include "app/labelled_rows.h"
#include "app/output.h"
#include "app/stop_on_signal.h"
#include "app/train_support.h"
#include "base/json_writer.h"
#include "specialists/pair_specialist.h"

namespace CLI {
class App;
}

namespace understudy::app {

/// Of `train`.
struct PairArguments {
  std::string data, calibration, out, start, encoder = "auto", cross_encoder = "auto", precision = "int8";
  std::optional<std::string> split, calibration_split;
  std::uint64_t seed = 1;
  std::size_t keep = 1000, epochs = 2, max_tokens = 0;
  double tolerance = 0.005;  ///< of rerankers
  bool ordered = false;      ///< the same
  std::string keep_order = "auto";  ///< the same
  bool json = false;
};
/// How `--help` speaks of a kind.
struct PairWords {
  const char *made, *calibration, *long_text;  ///< "judge"; what --calibration is; "long evidence"
  bool reads = false;                          ///< --cross-encoder may name another one's folder, to read its rows with
};
void add_pair_options(CLI::App& cli, PairArguments& arguments, const PairWords& words);

/// What a specialist asks, opened. An encoder or a cross-encoder that cannot be had here is left out, and `note` says so.
struct OpenEngines {
  std::unique_ptr<neural::TextEncoder> encoder;
  std::unique_ptr<neural::PairScorer> cross_encoder;
  std::string note;
};
Result<OpenEngines> open_engines(const specialists::PairSpecialist& specialist);

/// A specialist from its folder, with what it asks.
template <typename Specialist>
struct ReadyPair {
  Specialist specialist;
  std::unique_ptr<neural::TextEncoder> encoder;
  std::unique_ptr<neural::PairScorer> cross_encoder;
  std::string note;  ///< for people: what is not as it was trained; empty: nothing
  std::unique_ptr<specialists::TextMemory> memory = std::make_unique<specialists::TextMemory>();

  specialists::PairEngines engines() const { return {encoder.get(), cross_encoder.get(), memory.get()}; }
};

std::string calibrated_anew(std::size_t rows);  ///< a note
/// Calibrated anew from its kept rows where this machine computes other numbers, or lacks the encoder; `note` says so.
template <typename Specialist>
Result<ReadyPair<Specialist>> open_pair(const std::string& folder) {
  auto loaded = Specialist::load(folder);
  if (!loaded) return fail(loaded.error());
  auto engines = open_engines(*loaded);
  if (!engines) return fail(engines.error());
  ReadyPair<Specialist> out{std::move(*loaded), std::move(engines->encoder), std::move(engines->cross_encoder), std::move(engines->note)};
  auto fit = out.specialist.fit_for(out.engines());
  if (!fit) return fail(fit.error().kind, folder + ": " + fit.error().message);
  if (fit->calibration().id != out.specialist.calibration().id && out.note.empty()) out.note = calibrated_anew(fit->calibration().rows);
  out.specialist = std::move(*fit);
  return out;
}
/// And its note told.
template <typename Specialist>
Result<ReadyPair<Specialist>> open_pair_aloud(const std::string& folder) {
  auto ready = open_pair<Specialist>(folder);
  if (ready && !ready->note.empty()) print_error(folder + ": " + ready->note);
  return ready;
}

/// What a training asks, as the arguments want it. Outlives the training.
struct PairEngineRoom {
  StopOnSignal stop;
  std::unique_ptr<neural::TextEncoder> encoder;
  CrossEncoderMaker maker;
  std::string why_not;  ///< there is no cross-encoder; empty: the maker makes one
  std::optional<specialists::CrossEncoder> reader;  ///< another's, that --cross-encoder names; then none is made
};
/// Says on standard error what is not there. @param reads  a folder that --cross-encoder names is another specialist's; else a model's
/// @param group  null: without a cross-encoder; kUnsupported where one is asked for
Result<std::unique_ptr<PairEngineRoom>> open_engine_room(const PairArguments& arguments, trainer::Loss loss, neural::PairHeadKind head, const char* group, bool reads);

/// The text of --data. kConflict, before anything is read: the folder to make is there.
Result<std::string> read_training_text(const PairArguments& arguments);

/// @param text  read_training_text. @return what to print
template <typename Trainer>
Result<std::string> train_pair(const PairArguments& a, const std::string& text, const std::string& command) {
  using Rows = typename Trainer::Rows;
  auto data = read_rows_text<Rows>(text, a.data, a.split, "train", Trainer::parse_rows);
  if (!data) return fail(data.error());
  std::optional<RowsFile<Rows>> calibration;
  if (!a.calibration.empty()) {
    auto read = read_rows_file<Rows>(a.calibration, a.calibration_split, "dev", Trainer::parse_rows);
    if (!read) return fail(read.error());
    calibration = std::move(*read);
  }
  constexpr bool kReads = requires(typename Trainer::Training t) { t.reader; };
  const auto room = open_engine_room(a, Trainer::kLoss, Trainer::kHead, Trainer::kGroup, kReads);
  if (!room) return fail(room.error());
  typename Trainer::Training training;
  training.seed = a.seed;
  training.encoder = (*room)->encoder.get();
  training.most_kept = a.keep;
  training.progress = show_progress;
  training.stop = (*room)->stop.token();
  training.why_not = (*room)->why_not;
  if constexpr (requires { Trainer::configure(training, a); }) Trainer::configure(training, a);
  if constexpr (kReads) training.reader = (*room)->reader ? &*(*room)->reader : nullptr;
  if constexpr (Trainer::kGroup != nullptr) {
    if (training.why_not.empty() && !(*room)->reader) Trainer::make_with((*room)->maker, training);
  }
  typename Trainer::Facts facts;
  facts.command = command;
  facts.data_file = a.data;
  facts.data_hash = data->hash;
  if (calibration) facts.calibration_file = a.calibration, facts.calibration_hash = calibration->hash;
  const auto start = std::chrono::steady_clock::now();
  auto made = Trainer::train(data->rows, calibration ? &calibration->rows : nullptr, training, std::move(facts));
  end_progress();
  if (!made) return fail(made.error());
  if (auto saved = made->save(a.out); !saved) return fail(saved.error());
  std::error_code ignored;
  std::filesystem::remove_all((*room)->maker.work, ignored);
  if (a.json) return made->json();
  return Trainer::told(*made, a.out, std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count());
}

/// The line for row `index` that could not be read. @param key  what names the row: "id"
void append_row_error(std::string& out, const char* key, std::size_t index, const Error& error);
/// Prints what `predict` answered. @return the exit status
int print_answers(const std::string& out, bool all_answered, const char* name);

/// @param data  empty: standard input, where a bad line costs its answer only. @return the exit status
template <typename Predictor>
int predict_pair(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const char* name) {
  const auto ready = open_pair_aloud<typename Predictor::Specialist>(folder);
  if (!ready) return report_error(name, ready.error(), false);
  const auto text = read_whole(data.empty() ? "-" : data);
  if (!text) return report_error(name, text.error(), false);
  std::vector<Result<typename Predictor::Row>> rows;
  if (!data.empty()) {
    auto parsed = Predictor::parse_rows(*text, data, {split, "", false});
    if (!parsed) return report_error(name, parsed.error(), false);
    for (auto& row : parsed->rows) rows.push_back(std::move(row));
  } else {
    for (std::size_t at = 0; at < text->size();) {
      const std::size_t end = std::min(text->find('\n', at), text->size());
      rows.push_back(Predictor::parse_row(std::string_view(*text).substr(at, end - at)));
      at = end + 1;
    }
  }
  std::string out;
  if (auto done = Predictor::answer(*ready, rows, out); !done) return report_error(name, done.error(), false);
  return print_answers(out, std::ranges::all_of(rows, [](const auto& row) { return row.has_value(); }), name);
}

std::string same_answers(double share);  ///< a line for people

/// understudy.specialist/1 as JSON or text. @param before  another folder on the same rows; empty: none. @return the exit status
template <typename Evaluator>
int evaluate_pair(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const std::string& before, bool json, const char* name) {
  const auto rows = read_rows_file<typename Evaluator::Rows>(data, split, "test", Evaluator::parse_rows);
  if (!rows) return report_error(name, rows.error(), json);
  using Evaluation = typename Evaluator::Evaluation;
  const auto measured = [&](const std::string& of) -> Result<Evaluation> {
    const auto ready = open_pair_aloud<typename Evaluator::Specialist>(of);
    if (!ready) return fail(ready.error());
    return Evaluator::measure(*ready, rows->rows, of);
  };
  const auto now = measured(folder);
  if (!now) return report_error(name, now.error(), json);
  std::optional<Evaluation> other;
  if (!before.empty()) {
    auto done = measured(before);
    if (!done) return report_error(name, done.error(), json);
    other = std::move(*done);
  }
  std::string out;
  if (!json) {
    if (other) out = "before\n" + Evaluator::text(*other) + "now\n";
    out += Evaluator::text(*now);
    if (other) out += same_answers(Evaluator::agreement(*now, *other));
    return print_output(out);
  }
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.specialist/1").field("kind", Evaluator::kName).field("rows", now->rows);
  Evaluator::append_fields(w, *now);
  if (other) {
    w.key("before").begin_object();
    Evaluator::append_fields(w, *other);
    w.end_object().field("agreement", Evaluator::agreement(*now, *other));
  }
  w.end_object();
  return print_output(out + "\n");
}

}  // namespace understudy::app
